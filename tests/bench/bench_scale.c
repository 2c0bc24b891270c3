/* SPDX-License-Identifier: MIT */
/*
 * What one more guest costs the others: 1 to 10,000 guests with a device each are connected, and
 * one of them, or all in turn, access theirs. bench_scale         a table bench_scale COUNT   one
 * line of it Instructions are counted by stepping a copy of the process, which is exact; callgrind
 * agrees: valgrind --tool=callgrind --toggle-collect=pb_serve_ports bench_scale COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "fleet.h"

#define ACCESSES 20000u
#define STEPPED  8u

/* Not one after the other in memory: each finds the caches as a stranger has left them. */
#define STRIDE 7919u

static unsigned turn_of(const struct fleet *f, unsigned i)
{
    return (unsigned)((uint64_t)i * STRIDE % f->count);
}

static void one_guest(struct fleet *f)
{
    for (unsigned i = 0; i < STEPPED; i++)
        (void)fleet_access(f, 0);
}

static void all_guests(struct fleet *f)
{
    for (unsigned i = 0; i < STEPPED; i++)
        (void)fleet_access(f, turn_of(f, i));
}

static void nothing(struct fleet *f)
{
    (void)f;
}

static double ns_per_access(struct fleet *f, bool spread)
{
    uint64_t began = fleet_cpu_ns();

    for (unsigned i = 0; i < ACCESSES; i++) {
        if (!fleet_access(f, spread ? turn_of(f, i) : 0)) {
            (void)fputs("an access was not answered\n", stderr);
            exit(1);
        }
    }
    return (double)(fleet_cpu_ns() - began) / ACCESSES;
}

/* What a pass of the measuring loop costs by itself. */
static double per_access(uint64_t steps, uint64_t empty)
{
    return (double)(steps - empty) / STEPPED;
}

static int line(unsigned count)
{
    struct fleet *f = fleet_open(count);
    size_t empty = fleet_heap(), claimed, attached;
    uint64_t began, claim_ns, attach_ns, adopt_ns, base;
    double one, all;

    began = fleet_cpu_ns();
    fleet_claim(f, 0, count);
    claim_ns = fleet_cpu_ns() - began;
    claimed = fleet_heap();
    began = fleet_cpu_ns();
    fleet_attach(f, 0, count);
    attach_ns = fleet_cpu_ns() - began;
    attached = fleet_heap();
    began = fleet_cpu_ns();
    fleet_restart(f);
    adopt_ns = fleet_cpu_ns() - began;
    fleet_settle(f);
    fleet_quiet(f);
    base = fleet_steps(nothing, f);
    one = per_access(fleet_steps(one_guest, f), base);
    all = per_access(fleet_steps(all_guests, f), base);
    (void)ns_per_access(f, true);
    (void)printf("%6u | %9.0f | %9.0f | %8.0f | %8.0f | %11zu | %12zu | %8.1f | %9.1f | %8.1f\n",
                 count, one, all, ns_per_access(f, false), ns_per_access(f, true),
                 (attached - claimed) / count, (claimed - empty) / count, (double)claim_ns / 1e6,
                 (double)attach_ns / 1e6, (double)adopt_ns / 1e6);
    (void)fflush(stdout);
    fleet_close(f);
    return 0;
}

int main(int argc, char **argv)
{
    static const unsigned counts[] = { 1, 10, 100, 1000, 10000 };
    int status = 0;

    if (argc > 1)
        return line((unsigned)strtoul(argv[1], NULL, 10));
    (void)puts("guests | instr one | instr all |   ns one |   ns all | bytes/guest | bytes/device "
               "| claim ms | attach ms | adopt ms");
    (void)fflush(stdout);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && status == 0; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(line(counts[i]));
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 1;
    }
    return status != 0;
}
