/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"

struct machine machine;

int __wrap_nanosleep(const struct timespec *t, struct timespec *left);

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    uint64_t ms = (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000;

    (void)left;
    for (uint64_t i = 0; i < ms; i++) {
        machine.slept_ms++;
        if (machine.tick)
            machine.tick();
    }
    return 0;
}

static int config_read(void *ctx, unsigned offset, unsigned size, uint32_t *ret_value)
{
    (void)ctx;
    if (machine.fail)
        return machine.fail;
    *ret_value = pb_le_get(machine.config + offset, size);
    return 0;
}

static int config_write(void *ctx, unsigned offset, unsigned size, uint32_t value)
{
    (void)ctx;
    if (machine.fail)
        return machine.fail;
    if (offset == 4) {
        machine.command_writes++;
        if (machine.fail_off && !(value & 2))
            return machine.fail_off;
    }
    pb_le_put(machine.config + offset, size, value);
    if (machine.written)
        machine.written(offset, size, value);
    return 0;
}

static void *bar_map(void *ctx, unsigned bar, size_t *ret_length)
{
    (void)ctx;
    if (machine.no_map || bar != 0) {
        errno = EACCES;
        return NULL;
    }
    machine.maps++;
    *ret_length = sizeof(machine.bar);
    return machine.bar;
}

const struct pb_reset_io machine_io = { .config_read = config_read,
                                        .config_write = config_write,
                                        .bar_map = bar_map };

void machine_init(void)
{
    struct pb_facts *facts = &machine.facts;

    memset(&machine, 0, sizeof(machine));
    facts->sbdf.bus = 3;
    facts->vendor = 0x144d;
    facts->device = 0xa804;
    facts->class_code = 0x010802;
    facts->config_size = PB_CONFIG_SIZE_PCIE;
    facts->resource[0] = (struct pb_resource){ .start = UINT64_C(0x1f0000000),
                                               .end = UINT64_C(0x1f0000fff),
                                               .flags = PB_RES_MEM | PB_RES_MEM_64 | 4 };
    facts->resource[2] =
        (struct pb_resource){ .start = 0xc000, .end = 0xc01f, .flags = PB_RES_IO | 1 };
    pb_le_put(facts->config, 4, 0xa804144d);
    pb_le_put(facts->config + 4, 2, 0x0400);
    pb_le_put(facts->config + 8, 4, 0x01080200);
    pb_le_put(facts->config + 0x10, 4, 0xf0000004);
    pb_le_put(facts->config + 0x14, 4, 1);
    pb_le_put(facts->config + 0x18, 4, 0xc001);
    memcpy(machine.config, facts->config, sizeof(machine.config));
}

const char *machine_plugin(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), PB_FIXTURE_DIR "/%s.so", name);
    return path;
}
