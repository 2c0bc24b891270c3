/* SPDX-License-Identifier: MIT */
/*
 * A device for plugins around a reset: configuration space and one BAR in memory, and time that
 * passes only when somebody sleeps.
 */
#ifndef PB_TESTS_QUIRK_MACHINE_H
#define PB_TESTS_QUIRK_MACHINE_H

#include <stdbool.h>

#include "quirk/reset.h"

struct machine {
    struct pb_facts facts; /* as at claim: BAR 0 has 4 KiB, BAR 2 ports */
    uint8_t config[PB_CONFIG_SIZE_PCIE];
    _Alignas(8) uint8_t bar[0x1000];
    unsigned command_writes, maps;
    int fail;     /* every configuration cycle */
    int fail_off; /* turning memory decode off */
    bool no_map;
    uint64_t slept_ms;
    /* What the device does by itself: after each MS, and after a write to configuration space. */
    void (*tick)(void);
    void (*written)(unsigned offset, unsigned size, uint32_t value);
};

extern struct machine machine;
extern const struct pb_reset_io machine_io;

/* COMMAND 0400, 64-bit BAR 0 at 0x1_f0000000. */
void machine_init(void);
/* Path of a fixture, or of a plugin that is shipped. */
const char *machine_plugin(const char *name);

#endif
