/* SPDX-License-Identifier: MIT */
/*
 * A guest that never stops: it posts its operations one after the other, over and over, as soon as
 * the last one was answered, and counts what did not go well. It waits as pcifront does: an
 * operation without an answer after WAIT_MS of real time has failed.
 */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <jansson.h>

struct sim_world;
struct sim_domain;
struct sim_loop;

/*
 * OPS: objects as of the command "op", each may have "expect_err" (0) and "expect" (a value;
 * absent: any). Takes the reference over. It begins when the frontend is connected, and pauses when
 * not.
 */
void sim_loop_start(struct sim_world *w, struct sim_domain *dom, json_t *ops, unsigned wait_ms,
                    unsigned gap_ms);
/*
 * {"running", "done", "failed", "timeouts", "errors", "wrong", "aborted", "max_ms", "first"}:
 * failed is the sum of timeouts, errors and wrong values; aborted ones lost their page; first is
 * the first that failed.
 */
json_t *sim_loop_report(const struct sim_domain *dom);
/* After the operation under way. */
void sim_loop_stop(struct sim_domain *dom);
void sim_loop_free(struct sim_domain *dom);

#endif
