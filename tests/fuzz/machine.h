/* SPDX-License-Identifier: MIT */
/*
 * The machine over the simulated world in this process, and a clock that only the loop moves: what
 * waits for a second takes no time, and every run of the same input is the same.
 */
#ifndef PB_TEST_FUZZ_MACHINE_H
#define PB_TEST_FUZZ_MACHINE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "sim_world.h"

#define MACHINE_GUEST 5u
#define MACHINE_OTHER 6u
#define MACHINE_NIC   "0000:00:05.0"
#define MACHINE_DISK  "0000:00:06.0"

struct machine_options {
    bool journal; /* what guests have is kept for the next daemon */
    bool xl_mode, permissive, allow_interrupt_control, no_polling;
    enum pb_topology topology;
};

struct machine {
    struct machine_options options;
    struct ev_loop *loop;
    struct sim_world *w;
    struct pb_xen *xen;
    struct pb_host *host;
    struct pb_backend *b;
    unsigned verbs; /* under way */
    bool failed;    /* the last one that ended */
};

/* A NIC and a disk, two guests, started. */
struct machine *machine_new(const struct machine_options *options);
/* The daemon ends, then the world. */
void machine_free(struct machine *m);
/* With a journal: the daemon ends, as it does by SIGTERM, and another one begins. */
void machine_restart(struct machine *m);
/* Time passes, and everything happens that is due meanwhile. */
void machine_run(struct machine *m, unsigned ms);
/* Until all verbs have ended, which they have to. */
void machine_finish(struct machine *m);
/* A command of sim_command.h, as JSON's text. False: it was refused. */
bool machine_do(struct machine *m, const char *command);
/* For pb_backend_*: counts verbs; CTX is the machine. */
void machine_verb_done(void *ctx, const struct pb_failure *failure);
/* Claims and attaches DEV, waits until the guest is connected. False: it was refused. */
bool machine_connect(struct machine *m, unsigned domid, const char *dev);
/* No correct daemon did what the world has seen. */
void machine_check(const struct machine *m);
/*
 * Whatever is left of guests is taken back and nothing may stay behind (permissions, vectors,
 * ports, pages); NODES: of xenstore neither.
 */
void machine_check_clean(struct machine *m, bool nodes);

#endif
