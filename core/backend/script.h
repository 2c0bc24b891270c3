/* SPDX-License-Identifier: MIT */
/*
 * A short list of steps on one device's registers: read-modify-write of a register at its natural
 * width, calls in between (hypercalls), pauses. It runs to its end at once on a healthy device; on
 * a device in doubt each cycle may complete later. One script a device at a time.
 */
#ifndef PB_BACKEND_SCRIPT_H
#define PB_BACKEND_SCRIPT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/host.h"

#define PB_SCRIPT_MAX 48

struct pb_device;
struct pb_script;

struct pb_instr {
    enum { PB_INSTR_MODIFY, PB_INSTR_EXPECT, PB_INSTR_CALL, PB_INSTR_PAUSE } kind;
    uint16_t offset;
    uint8_t size;
    uint16_t pause_ms;
    uint32_t clear, set;
    int (*call)(struct pb_script *script,
                void *ctx); /* 0 or negative errno, which ends the script */
    void *ctx;
};

struct pb_script {
    struct pb_device *dev;
    bool running;
    unsigned count, at;
    struct pb_instr instr[PB_SCRIPT_MAX];
    int rc; /* of the instruction that ended it, or 0 */
    void (*done)(struct pb_script *script, void *ctx);
    void *ctx;
    struct pb_hw_cycle cycle;
    ev_timer timer;
};

void pb_script_begin(struct pb_script *s, struct pb_device *dev);
/* Writes (old & ~clear) | set when that differs from old. All ones read back end the script:
 * -ENXIO. */
void pb_script_modify(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t clear,
                      uint32_t set);
/* Ends the script with -ESTALE unless (register & mask) == value. */
void pb_script_expect(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t mask,
                      uint32_t value);
void pb_script_write(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t value);
void pb_script_call(struct pb_script *s, int (*call)(struct pb_script *s, void *ctx), void *ctx);
void pb_script_pause(struct pb_script *s, uint16_t ms);
/* DONE may run inside of this call. */
void pb_script_run(struct pb_script *s, void (*done)(struct pb_script *s, void *ctx), void *ctx);
/* Stops the timer; only for the end of the daemon. */
void pb_script_fini(struct pb_script *s);

#endif
