/* SPDX-License-Identifier: MIT */
/*
 * MSI (one vector, or several at once) and MSI-X of a device that a guest has. Dom0 maps the pirqs
 * and owns the enable bits and INTX_DISABLE; Xen programs address, data and mask.
 */
#ifndef PB_BACKEND_INTERRUPT_H
#define PB_BACKEND_INTERRUPT_H

#include "backend/script.h"

struct pb_guest;
struct pb_device;

/*
 * Carries out the MSI operation in g->run.op on g->run.dev; DONE runs when g->run.err, .value and
 * .entries hold the answer (maybe inside of this call).
 */
void pb_interrupt_op(struct pb_guest *g, void (*done)(struct pb_guest *g));
/* The vectors on record as the entries of the answer in g->run. */
void pb_interrupt_entries(struct pb_guest *g);
/* The guest gave up before the answer: takes back what the operation in g->run mapped (H9). */
void pb_interrupt_undo(struct pb_guest *g, void (*done)(struct pb_guest *g));
/*
 * Appends to S the steps that end all message interrupts: enable bits off, pirqs unmapped, and
 * INTX_DISABLE set again, since Xen's unmap turns INTx on (H17). Decode must be on and the device
 * in D0.
 */
void pb_interrupt_script_off(struct pb_script *s);
/*
 * Appends the steps that bring mapped vectors back after the device lost its registers: BARs and
 * COMMAND are in place again (H8). The script ends with -ESTALE when the device stays masked; then
 * pb_interrupt_script_lost has to run.
 */
void pb_interrupt_script_restore(struct pb_script *s);
/* Nothing is mapped any more, and the line is the guest's again. */
void pb_interrupt_script_lost(struct pb_script *s);
/*
 * Appends what a device whose MSI-X stays masked needs besides (H8): Xen's preparation, released
 * and made anew. Only while nobody has its memory: the table is not protected in between (H16).
 * Decode must be on.
 */
void pb_interrupt_script_prepare_anew(struct pb_script *s);
/*
 * An access of the guest's has brought the device back from D3hot without its registers: so do its
 * interrupts now. g->run.err says how it went when DONE runs (maybe inside of this call).
 */
void pb_interrupt_bring_back(struct pb_guest *g, void (*done)(struct pb_guest *g));
/*
 * Unmaps whatever is still mapped, whether or not the device answers (H2). False when Xen keeps
 * some: they stay on record, and the device must not go to anybody else.
 */
bool pb_interrupt_unmap(struct pb_device *dev);

#endif
