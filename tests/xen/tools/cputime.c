/* SPDX-License-Identifier: MIT */
/*
 * cputime DOMID MILLISECONDS: what a domain spends of the processors during that time, in
 * nanoseconds, and how long the time really was. This program sleeps meanwhile.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xenctrl.h>

struct moment {
    uint64_t cpu_ns, wall_ns;
};

static int look(xc_interface *xch, uint32_t domid, struct moment *ret_now)
{
    struct timespec now;
    xc_dominfo_t info;

    if (xc_domain_getinfo(xch, domid, 1, &info) != 1 || info.domid != domid) {
        fprintf(stderr, "cputime: no domain %u\n", domid);
        return -1;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    ret_now->cpu_ns = info.cpu_time;
    ret_now->wall_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return 0;
}

int main(int argc, char **argv)
{
    struct moment before, after;

    if (argc != 3)
        return 2;
    uint32_t domid = (uint32_t)strtoul(argv[1], NULL, 0);
    long ms = strtol(argv[2], NULL, 0);
    const struct timespec nap = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    if (!xch) {
        perror("cputime: xc_interface_open");
        return 1;
    }
    if (look(xch, domid, &before) != 0)
        return 1;
    nanosleep(&nap, NULL);
    if (look(xch, domid, &after) != 0)
        return 1;
    printf("%llu %llu\n", (unsigned long long)(after.cpu_ns - before.cpu_ns),
           (unsigned long long)(after.wall_ns - before.wall_ns));
    return 0;
}
