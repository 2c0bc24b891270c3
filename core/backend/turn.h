/* SPDX-License-Identifier: MIT */
/*
 * Who is looked at when: guests that have a turn, guests whose flags are polled, events about
 * nothing. The port of a guest is masked from its event on until pb_turn_over or the end of a poll.
 */
#ifndef PB_BACKEND_TURN_H
#define PB_BACKEND_TURN_H

struct pb_backend;
struct pb_guest;

void pb_turn_start(struct pb_backend *b);
void pb_turn_stop(struct pb_backend *b);
void pb_turn_init(struct pb_guest *g);
/* Its port was bound. */
void pb_turn_bound(struct pb_guest *g);
/* It is not looked at any more. */
void pb_turn_leave(struct pb_guest *g);

/* It is looked at in the next round of the loop, after everything else that is ready. */
void pb_turn_want(struct pb_guest *g);
/* Its operation waits for something: it is not polled meanwhile. */
void pb_turn_wait(struct pb_guest *g);
/*
 * It was looked at, OPS operations were answered and there is no more: polls it, or unmasks its
 * port, which takes a while when there was nothing too often.
 */
void pb_turn_over(struct pb_guest *g, unsigned ops);

#endif
