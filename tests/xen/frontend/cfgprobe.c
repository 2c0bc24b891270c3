/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes a device's config space through its sysfs file, and measures how long that
 * takes.
 *
 *   cfgprobe read PATH OFFSET SIZE            prints the value
 *   cfgprobe write PATH OFFSET SIZE VALUE     writes, then prints what reads back
 *   cfgprobe bench PATH COUNT                 one line a kind of access: rate and percentiles
 *   cfgprobe scan PATH FILE OFFSET            reads the first 256 bytes, dword by dword, over and
 * over until FILE exists; only the dword at OFFSET may change
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct access {
    const char *name;
    off_t offset;
    size_t size;
    bool write;
};

/* The writes put back what was read: the cache line size reaches hardware, the interrupt line never
 * does. */
static const struct access accesses[] = {
    { "ids", 0x00, 4, false },
    { "command", 0x04, 2, false },
    { "header-type", 0x0e, 1, false },
    { "bar0", 0x10, 4, false },
    { "cache-line-write", 0x0c, 1, true },
    { "interrupt-line-write", 0x3c, 1, true },
    { "whole-header", 0x00, 64, false },
};

static double micros(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static bool once(int fd, const struct access *access, void *buffer)
{
    ssize_t n = access->write ? pwrite(fd, buffer, access->size, access->offset)
                              : pread(fd, buffer, access->size, access->offset);
    return n == (ssize_t)access->size;
}

static int bench_one(int fd, const struct access *access, size_t count, double *times)
{
    unsigned char buffer[256];
    double total = 0;
    if (pread(fd, buffer, access->size, access->offset) != (ssize_t)access->size)
        return 1;
    for (size_t i = 0; i < count; i++) {
        double start = micros();
        if (!once(fd, access, buffer))
            return 1;
        times[i] = micros() - start;
        total += times[i];
    }
    qsort(times, count, sizeof(*times), compare);
    printf(
        "cfgprobe %s count=%zu per_second=%.0f p50_us=%.1f p90_us=%.1f p99_us=%.1f max_us=%.1f\n",
        access->name, count, (double)count * 1e6 / total, times[count / 2], times[count * 9 / 10],
        times[count * 99 / 100], times[count - 1]);
    return 0;
}

static int bench(int fd, size_t count)
{
    double *times = calloc(count ? count : 1, sizeof(*times));
    int status = times && count ? 0 : 1;
    for (size_t i = 0; status == 0 && i < sizeof(accesses) / sizeof(accesses[0]); i++)
        status = bench_one(fd, &accesses[i], count, times);
    free(times);
    if (status)
        perror("cfgprobe: bench");
    return status;
}

static int show(int fd, off_t offset, size_t size)
{
    uint32_t value = 0;
    if (size > sizeof(value) || pread(fd, &value, size, offset) != (ssize_t)size) {
        perror("cfgprobe: read");
        return 1;
    }
    printf("0x%0*" PRIx32 "\n", (int)size * 2, value);
    return 0;
}

struct scan {
    unsigned long scans, failed, changed, changes_at;
    uint32_t value_at;
};

static void scan_once(int fd, const uint32_t *first, off_t at, struct scan *scan)
{
    for (off_t offset = 0; offset < 256; offset += 4) {
        uint32_t value = 0;
        if (pread(fd, &value, 4, offset) != 4 || (offset == 0 && value != first[0])) {
            scan->failed++;
        } else if (offset == at) {
            scan->changes_at += value != scan->value_at;
            scan->value_at = value;
        } else {
            scan->changed += value != first[offset / 4];
        }
    }
    scan->scans++;
}

/* Fails when an access did, or when anything but the dword at AT was not always the same. */
static int scan_until(int fd, const char *file, off_t at)
{
    uint32_t first[64];
    struct scan scan = { 0 };
    double worst = 0;
    if (pread(fd, first, sizeof(first), 0) != (ssize_t)sizeof(first) || at < 0 || at > 252)
        return 1;
    scan.value_at = first[at / 4];
    do {
        double start = micros();
        scan_once(fd, first, at, &scan);
        if (micros() - start > worst)
            worst = micros() - start;
    } while (access(file, F_OK) != 0);
    printf("cfgprobe scan scans=%lu accesses=%lu failed=%lu changed=%lu changes_at=%lu "
           "last=0x%08" PRIx32 " slowest_scan_us=%.0f\n",
           scan.scans, scan.scans * 64, scan.failed, scan.changed, scan.changes_at, scan.value_at,
           worst);
    return scan.failed || scan.changed ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int fd = open(argv[2], O_RDWR);
    if (fd < 0) {
        perror(argv[2]);
        return 1;
    }
    off_t offset = strtol(argv[3], NULL, 0);
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
    if (strcmp(argv[1], "bench") == 0)
        return bench(fd, strtoul(argv[3], NULL, 0));
    if (strcmp(argv[1], "scan") == 0 && argc == 5)
        return scan_until(fd, argv[3], strtol(argv[4], NULL, 0));
    if (strcmp(argv[1], "read") == 0 && argc == 5)
        return show(fd, offset, size);
    if (strcmp(argv[1], "write") == 0 && argc == 6) {
        uint32_t value = (uint32_t)strtoul(argv[5], NULL, 0);
        if (size > sizeof(value) || pwrite(fd, &value, size, offset) != (ssize_t)size) {
            perror("cfgprobe: write");
            return 1;
        }
        return show(fd, offset, size);
    }
    return 2;
}
