/* SPDX-License-Identifier: MIT */
/* A loop, a host with its real helper process, and the kernel of kernel.h below both. */
#ifndef PB_TESTS_HOST_WORLD_H
#define PB_TESTS_HOST_WORLD_H

#include <stdbool.h>
#include <sys/types.h>

#include "host/host.h"
#include "kernel.h"

struct world_job {
    struct pb_job job;
    bool done;
    unsigned turn; /* 1: the first of all jobs and cycles that completed */
    uint64_t began_ms, took_ms;
};

struct world_cycle {
    struct pb_hw_cycle cycle;
    bool done;
    unsigned turn;
};

extern struct ev_loop *world_loop;
extern struct pb_host *world_host;
extern pid_t world_helper; /* known after the first job */

/* cmocka's setup and teardown of one test. */
int world_setup(void **state);
int world_teardown(void **state);
void world_open(const char *self); /* NULL: this program */
void world_close(void);
/* Closes the host and waits for the helper: its wait status. */
int world_end(void);

/* Runs the loop until *FLAG, at most MS. */
bool world_wait(const bool *flag, unsigned ms);
void world_run(unsigned ms);
/* Until *COUNT is WANTED, without the loop. */
bool world_watch(const atomic_uint *count, unsigned wanted, unsigned ms);

/* Everything but its submission. */
void world_prepare(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf,
                   unsigned deadline_ms);
void world_submit(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf,
                  unsigned deadline_ms);
/* Submits, waits; the job's rc. */
int world_do(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf);
/* The claimed kernel_nic. */
struct pb_hw *world_claim(void);

enum pb_hw_when world_read(struct world_cycle *c, struct pb_hw *hw, uint16_t offset, uint8_t size);
enum pb_hw_when world_write(struct world_cycle *c, struct pb_hw *hw, uint16_t offset, uint8_t size,
                            uint32_t value);

pid_t world_child_of(pid_t parent); /* one of them, 0 none */
unsigned world_fds(void);           /* that this process has open */

#endif
