/* SPDX-License-Identifier: MIT */
/*
 * The operation under way in the journal: what a new process does with one that the last did not
 * end (H9, H10). Without a journal all of it does nothing.
 */
#ifndef PB_BACKEND_INFLIGHT_H
#define PB_BACKEND_INFLIGHT_H

#include <stdbool.h>

struct pb_guest;
struct pb_device;

/* g->run.op was taken and nothing of it is done. */
void pb_inflight_begin(struct pb_guest *g);
/* The next write to hardware; ONCE: it may not be done twice. False: the last process did it. */
bool pb_inflight_write(struct pb_guest *g, bool once);
void pb_inflight_written(struct pb_guest *g);
/* Its answer is about to be written; it is answered and told, or of no interest any more. */
void pb_inflight_answer(struct pb_guest *g);
void pb_inflight_end(struct pb_guest *g);

/* Before the first map or unmap of DEV's message interrupts; after the last, all on record. */
void pb_inflight_interrupts_open(struct pb_device *dev);
void pb_inflight_interrupts_closed(struct pb_device *dev);

/*
 * G was adopted: its ring is bound, its devices can be reached, nothing of it was served yet.
 * Decides about the operation that was under way (replay, answer, undo, or fence G), sweeps pirqs
 * that nobody has on record, tells the frontend once, and lets G be served.
 */
void pb_inflight_resume(struct pb_guest *g);

#endif
