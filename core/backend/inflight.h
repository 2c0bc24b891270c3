/* SPDX-License-Identifier: MIT */
/*
 * The operation under way in the journal: what a new process does with one that the last did not
 * end (H9, H10). Without a journal all of it does nothing.
 *
 * On the access path these are plain stores in order: nothing can fail, block or allocate. A
 * process dies between two instructions, and the next one sees every store before that and none
 * after.
 */
#ifndef PB_BACKEND_INFLIGHT_H
#define PB_BACKEND_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct pb_guest;
struct pb_device;

/*
 * g->run.op was taken and is about to be carried out. If it is the one that an earlier process has
 * begun (g->run.again), run.did says what was done of it.
 */
void pb_inflight_begin(struct pb_guest *g);
/* run.access is about to write to hardware, or to ask for a reset: what it kept is stored. */
void pb_inflight_write(struct pb_guest *g);
/* A write that may not be repeated is done. */
void pb_inflight_written(struct pb_guest *g);
/* Plugins are about to be called for the write under way; MINE is what is left if that ends us. */
void pb_inflight_call(struct pb_guest *g, uint32_t value, uint32_t mine);
/* They were: this is left for the access engine. */
void pb_inflight_called(struct pb_guest *g, uint32_t value, uint32_t mine, uint32_t denied);
/* DID (enum pb_op_did) must not be forgotten. */
void pb_inflight_note(struct pb_guest *g, uint32_t did);
/* Nothing of it is carried out for a while (it waits), or now it is again: who dies meanwhile does
 * not die of it. */
void pb_inflight_rest(struct pb_guest *g, bool rests);
/* Its answer, in g->run, is about to be written; or could not be, since nobody waits. */
void pb_inflight_answer(struct pb_guest *g);
void pb_inflight_unanswered(struct pb_guest *g);
/* It is answered, or of no interest any more. */
void pb_inflight_end(struct pb_guest *g);

/* Before the first map of DEV's message interrupts; after each map; when they are all on record. */
void pb_inflight_interrupts_open(struct pb_device *dev);
/*
 * COUNT in a row from FIRST were mapped. True: there was one that nobody knew of, and it is gone.
 * Then they have to go too, and be mapped again, since freeing the other one has masked its vector
 * (H10).
 */
bool pb_inflight_interrupt_mapped(struct pb_device *dev, uint32_t first, unsigned count);
void pb_inflight_interrupts_closed(struct pb_device *dev);
/* Is PIRQ one that a device of G's is known to have, by message or line? */
bool pb_inflight_on_record(const struct pb_guest *g, uint32_t pirq);
/*
 * Unmaps what nobody has on record of the message interrupts of G's domain: what a process left
 * behind that died between map and record. Never a GSI. How many there were.
 */
unsigned pb_inflight_sweep(struct pb_guest *g);

/*
 * G was adopted: its page is mapped, its port bound (pb_serve_bound was called), its devices can be
 * reached; g->held was set before all that, so that nothing of it was served.
 * Decides about the operation that was under way (replay, answer, undo, or fence G), sweeps pirqs
 * that nobody has on record, begins resets anew that its guest has asked for, tells the frontend
 * once, and lets G be served.
 */
void pb_inflight_resume(struct pb_guest *g);

#endif
