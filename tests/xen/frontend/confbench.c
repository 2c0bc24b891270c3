/* SPDX-License-Identifier: MIT */
/*
 * How fast a PCI backend answers, seen from a guest: the sysfs files of a device's config space.
 *
 *   confbench latency PATH COUNT SCANS   one line a kind of access: NAME p50 p99, in microseconds
 *   confbench only PATH COUNT NAME       the same of one kind
 *   confbench flood PATH NAME SECONDS    as fast as it goes: accesses and nanoseconds
 *   confbench enumerate DRIVER           loads xen-pcifront: milliseconds until DRIVER has a device
 *
 * What must be constant is compared each time: an answer that is wrong ends it with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum kind { CONSTANT, LIVE, WRITE, SCAN };

struct access {
    const char *name;
    off_t offset;
    size_t size;
    enum kind kind;
    unsigned pause_us; /* before each one, so that no burst helps it */
};

/* Writes put back what was read: the cache line size reaches hardware, the interrupt line never. */
static const struct access accesses[] = {
    { "ids", 0x00, 4, CONSTANT, 0 },          { "status", 0x06, 2, LIVE, 0 },
    { "command", 0x04, 2, LIVE, 0 },          { "vendor", 0x40, 4, LIVE, 0 },
    { "write_hardware", 0x0c, 1, WRITE, 0 },  { "write_shadow", 0x3c, 1, WRITE, 0 },
    { "ids_alone", 0x00, 4, CONSTANT, 3000 }, { "scan_256", 0, 256, SCAN, 0 },
    { "scan_4096", 0, 4096, SCAN, 0 },
};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(unsigned us)
{
    const struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

    nanosleep(&time, NULL);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static const struct access *find(const char *name)
{
    for (size_t i = 0; i < ACCESSES; i++) {
        if (strcmp(accesses[i].name, name) == 0)
            return &accesses[i];
    }
    fprintf(stderr, "confbench: no access %s\n", name);
    return NULL;
}

/* BUFFER is what the first access gave, and keeps it. */
static bool once(int fd, const struct access *a, uint8_t *buffer)
{
    uint8_t got[4096];
    ssize_t n;

    if (a->kind == WRITE)
        return pwrite(fd, buffer, a->size, a->offset) == (ssize_t)a->size;
    n = pread(fd, got, a->size, a->offset);
    if (n != (ssize_t)a->size)
        return false;
    if (a->kind == CONSTANT || a->kind == SCAN) /* a scan begins with the ids */
        return memcmp(got, buffer, 4) == 0;
    return true;
}

static int wrong(const struct access *a, unsigned long at)
{
    fprintf(stderr, "confbench: %s: access %lu failed or has another value\n", a->name, at);
    return 1;
}

static int latency(int fd, const struct access *a, size_t count, uint64_t *times)
{
    uint8_t first[4096];

    if (pread(fd, first, a->size, a->offset) != (ssize_t)a->size)
        return wrong(a, 0);
    for (size_t i = 0; i < count; i++) {
        if (a->pause_us)
            nap(a->pause_us);
        uint64_t begun = now_ns();
        if (!once(fd, a, first))
            return wrong(a, i + 1);
        times[i] = now_ns() - begun;
    }
    qsort(times, count, sizeof(*times), compare);
    printf("%s %.1f %.1f\n", a->name, (double)times[count / 2] / 1e3,
           (double)times[count * 99 / 100] / 1e3);
    return 0;
}

static int latencies(int fd, size_t count, size_t scans, const char *only)
{
    uint64_t *times = calloc(count + scans + 1, sizeof(*times));
    int status = times && count && scans ? 0 : 2;

    for (size_t i = 0; status == 0 && i < ACCESSES; i++) {
        const struct access *a = &accesses[i];
        size_t n = a->size == 4096   ? (scans + 2) / 3
                   : a->kind == SCAN ? scans
                   : a->pause_us     ? (count + 9) / 10
                                     : count;

        if (!only || strcmp(only, a->name) == 0)
            status = latency(fd, a, n, times);
    }
    free(times);
    return status;
}

static int flood(int fd, const struct access *a, double seconds)
{
    uint64_t begun, end;
    unsigned long count = 0;
    uint8_t first[4096];

    if (pread(fd, first, a->size, a->offset) != (ssize_t)a->size)
        return wrong(a, 0);
    begun = now_ns();
    end = begun + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
        if (!once(fd, a, first))
            return wrong(a, count + 1);
        count++;
    }
    printf("%lu %llu\n", count, (unsigned long long)(now_ns() - begun));
    return 0;
}

static bool has_device(const char *driver)
{
    char pattern[128];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "/sys/bus/pci/drivers/%s/*:*", driver);
    bool any = glob(pattern, 0, NULL, &found) == 0;
    globfree(&found);
    return any;
}

static int enumerate(const char *driver)
{
    uint64_t begun, end;
    pid_t child;
    int status;

    if (has_device(driver)) {
        fprintf(stderr, "confbench: %s has a device already\n", driver);
        return 1;
    }
    begun = now_ns();
    end = begun + 30000000000u;
    child = fork();
    if (child == 0) {
        execlp("modprobe", "modprobe", "xen-pcifront", (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 1;
    while (!has_device(driver)) {
        if (now_ns() > end) {
            fprintf(stderr, "confbench: %s got no device\n", driver);
            return 1;
        }
        nap(1000);
    }
    printf("enumeration %.1f\n", (double)(now_ns() - begun) / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "enumerate") == 0)
        return enumerate(argv[2]);
    if (argc != 5)
        return 2;
    int fd = open(argv[2], O_RDWR);
    if (fd < 0) {
        fprintf(stderr, "confbench: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    const struct access *a = strcmp(argv[1], "flood") == 0  ? find(argv[3])
                             : strcmp(argv[1], "only") == 0 ? find(argv[4])
                                                            : accesses;
    if (!a)
        return 2;
    if (strcmp(argv[1], "flood") == 0)
        return flood(fd, a, strtod(argv[4], NULL));
    size_t count = strtoul(argv[3], NULL, 0);
    if (strcmp(argv[1], "only") == 0)
        return latencies(fd, count, count, argv[4]);
    if (strcmp(argv[1], "latency") == 0)
        return latencies(fd, count, strtoul(argv[4], NULL, 0), NULL);
    return 2;
}
