/* SPDX-License-Identifier: MIT */
/* Nanoseconds of what a guest's operation pays to the journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/journal.h"
#include "base/log.h"

#define TURNS 2000000u

static struct pb_journal *j;
static struct pb_journal_record *device, *guest;

static void shadow_turn(unsigned i)
{
    static uint8_t shadow[4096];

    shadow[(i * 4) % 64 + 0x40] = (uint8_t)i;
    shadow[(i * 4) % 64 + 0x41] = (uint8_t)(i >> 8);
    shadow[(i * 4) % 64 + 0x42] = (uint8_t)(i >> 16);
    shadow[(i * 4) % 64 + 0x43] = (uint8_t)(i >> 24);
    pb_journal_put_shadow(device, shadow, sizeof(shadow));
}

static void register_turn(unsigned i)
{
    static uint8_t shadow[4096];
    unsigned at = (i * 4) % 64 + 0x40;

    memcpy(shadow + at, &i, sizeof(i));
    pb_journal_put_register(device, shadow, sizeof(shadow), at);
}

static void same_shadow_turn(unsigned i)
{
    static uint8_t shadow[4096];

    (void)i;
    pb_journal_put_shadow(device, shadow, sizeof(shadow));
}

static void whole_shadow_turn(unsigned i)
{
    static uint8_t shadow[4096];

    memset(shadow, (int)i, sizeof(shadow));
    pb_journal_put_shadow(device, shadow, sizeof(shadow));
}

static void device_turn(unsigned i)
{
    static struct pb_journal_device d;

    d.phase = i % PB_JOURNAL_PHASE_COUNT;
    d.resets = i;
    pb_journal_put_device(device, &d);
}

/* The stores that a write pays which may not be repeated. */
static void op_turn(unsigned i)
{
    struct pb_journal_op *op = pb_journal_op(guest);
    struct pb_op now = { .cmd = PB_CMD_CONF_WRITE, .offset = (int32_t)i, .size = 4 };

    memcpy(&op->op, &now, offsetof(struct pb_op, entries));
    op->processes = 1;
    op->did = 0;
    op->connection = 1;
    memset(&op->kept, 0, sizeof(op->kept));
    atomic_store_explicit(&op->stage, PB_OP_BEGUN, memory_order_release);
    atomic_store_explicit(&op->stage, PB_OP_ONCE, memory_order_release);
    atomic_store_explicit(&op->stage, PB_OP_BEGUN, memory_order_release);
    op->err = 0;
    op->value = i;
    atomic_store_explicit(&op->stage, PB_OP_ANSWERED, memory_order_release);
    atomic_store_explicit(&op->stage, PB_OP_IDLE, memory_order_release);
}

static void plugin_turn(unsigned i)
{
    (void)i;
    pb_journal_enter_plugin(j, "nvme-quiesce", 7);
    pb_journal_leave_plugin(j);
}

static void measure(const char *what, void (*turn)(unsigned i))
{
    uint64_t best = UINT64_MAX;

    for (unsigned round = 0; round < 5; round++) {
        uint64_t began = pb_now_ns(), ns;

        for (unsigned i = 0; i < TURNS / 5; i++)
            turn(i);
        ns = pb_now_ns() - began;
        best = ns < best ? ns : best;
    }
    (void)printf("%-42s %7.1f ns\n", what, (double)best / (TURNS / 5));
}

static void remove_files(const char *dir)
{
    char path[100];

    (void)snprintf(path, sizeof(path), "%s/" PB_JOURNAL_FILE, dir);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    char dir[] = "/dev/shm/pb-bench-XXXXXX", why[200];
    struct pb_journal_options options = {
        .dir = dir, .boot = "bench", .guests = 128, .devices = 1024, .reserve_devices = 16
    };
    enum pb_journal_found found;
    uint64_t began;

    if (!mkdtemp(dir))
        return 1;
    began = pb_now_ns();
    if (pb_journal_open(&options, &found, &j, why, sizeof(why)) != 0) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    (void)printf("%-42s %7.1f us\n", "open, new", (double)(pb_now_ns() - began) / 1000);
    device = pb_journal_add_device(j);
    guest = pb_journal_add_guest(j);
    if (!device || !guest)
        return 1;
    measure("put_shadow, 4 of 4096 bytes changed", shadow_turn);
    measure("put_register, changed", register_turn);
    measure("put_shadow, nothing changed", same_shadow_turn);
    measure("put_shadow, all 4096 bytes changed", whole_shadow_turn);
    measure("put_device, two words changed", device_turn);
    measure("an operation's marker, begin to end", op_turn);
    measure("a plugin's call, enter and leave", plugin_turn);
    for (unsigned i = 0; i < 99; i++) {
        struct pb_journal_record *r = pb_journal_add_device(j);
        static struct pb_facts facts = { .config_size = 4096 };
        static struct pb_surroundings surroundings;
        static struct pb_journal_device d;
        static uint8_t shadow[4096];

        facts.sbdf.bus = d.sbdf.bus = (uint8_t)i;
        facts.sbdf.devfn = d.sbdf.devfn = 8;
        if (!r)
            return 1;
        pb_journal_put_device(r, &d);
        pb_journal_put_facts(r, &facts, &surroundings);
        pb_journal_put_shadow(r, shadow, sizeof(shadow));
    }
    (void)printf("%-42s %7.1f KiB\n", "file system, 100 devices and a guest",
                 (double)pb_journal_stats(j).bytes / 1024);
    pb_journal_close(j);
    began = pb_now_ns();
    if (pb_journal_open(&options, &found, &j, why, sizeof(why)) != 0)
        return 1;
    (void)printf("%-42s %7.1f us\n", "open, 100 devices kept",
                 (double)(pb_now_ns() - began) / 1000);
    if (pb_journal_stats(j).devices != 100 || pb_journal_stats(j).lost_parts != 0)
        return 1;
    pb_journal_close(j);
    remove_files(dir);
    return 0;
}
