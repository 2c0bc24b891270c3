/* SPDX-License-Identifier: MIT */
/*
 * A guest's program that maps a BAR of a device and never lets go.
 *
 *   hold RESOURCE OFFSET TALLY     RESOURCE is a resourceN file of sysfs; OFFSET that of a register
 *                                  which never changes and is neither 0 nor all ones
 *
 * It reads the register every ten milliseconds until it is killed and keeps one line in the file
 * TALLY: same=N (as at the start: it still sees the device) ones=N zeros=N other=N faults=N.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum outcome { SAME, ONES, ZEROS, OTHER, FAULTS, OUTCOMES };

static const char *const names[OUTCOMES] = { "same", "ones", "zeros", "other", "faults" };
static sigjmp_buf fault;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(fault, 1);
}

static enum outcome look(const volatile uint32_t *reg, uint32_t first)
{
    if (sigsetjmp(fault, 1))
        return FAULTS;
    uint32_t value = *reg;
    return value == first ? SAME : value == UINT32_MAX ? ONES : value == 0 ? ZEROS : OTHER;
}

/* One write, so that who reads the file never sees half of it. */
static void tell(int fd, const unsigned long *counts)
{
    char line[160];
    int length = 0;
    for (int i = 0; i < OUTCOMES; i++)
        length +=
            snprintf(line + length, sizeof(line) - (size_t)length, "%s=%lu ", names[i], counts[i]);
    line[length - 1] = '\n';
    if (pwrite(fd, line, (size_t)length, 0) != length)
        exit(3);
}

int main(int argc, char **argv)
{
    const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
    const struct sigaction action = { .sa_handler = on_fault };
    unsigned long counts[OUTCOMES] = { 0 };

    if (argc != 4)
        return 2;
    unsigned long offset = strtoul(argv[2], NULL, 0);
    unsigned long page = offset & ~4095UL;
    int in = open(argv[1], O_RDWR | O_SYNC);
    int out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    void *map =
        in < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, in, (off_t)page);
    if (map == MAP_FAILED || out < 0) {
        perror(argv[1]);
        return 1;
    }
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    const volatile uint32_t *reg = (volatile uint32_t *)map + (offset - page) / sizeof(uint32_t);
    uint32_t first = *reg;
    printf("holding %s: 0x%08" PRIx32 "\n", argv[1], first);
    fflush(stdout);
    if (first == 0 || first == UINT32_MAX)
        return 1;
    for (;;) {
        counts[look(reg, first)]++;
        tell(out, counts);
        nanosleep(&nap, NULL);
    }
}
