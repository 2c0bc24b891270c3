/* SPDX-License-Identifier: MIT */
/*
 * Taking a device back from a guest, whatever the guest does meanwhile. The order is that of H7 and
 * H2: answer nothing, revoke, bus mastering off, interrupts unmapped (decode on, D0), decode off,
 * reset, deassign, quarantine. The guest's page and port stay until all of its devices are back.
 */
#ifndef PB_BACKEND_STRIP_H
#define PB_BACKEND_STRIP_H

#include "backend/task.h"
#include "pci/traits.h"

/* The steps, for tables of tasks. task->dev is the device; each tolerates what is undone already.
 */
/* Waits until no access of the guest to the device is with the hardware. */
enum pb_run pb_strip_await_access(struct pb_task *task);
enum pb_run pb_strip_revoke(struct pb_task *task);
enum pb_run pb_strip_quiet(struct pb_task *task);
enum pb_run pb_strip_reset(struct pb_task *task);
enum pb_run pb_strip_restore(struct pb_task *task);
enum pb_run pb_strip_deassign(struct pb_task *task);
enum pb_run pb_strip_hold(struct pb_task *task);

/* All of them: for tables that end with a device in quarantine. */
#define PB_STRIP_STEPS                                                            \
    { "revoke", pb_strip_revoke, NULL }, { "quiet", pb_strip_quiet, NULL },       \
        { "reset", pb_strip_reset, NULL }, { "restore", pb_strip_restore, NULL }, \
        { "deassign", pb_strip_deassign, NULL },                                  \
    {                                                                             \
        "hold", pb_strip_hold, NULL                                               \
    }

/*
 * The methods by which DEV may be reset, as sysfs wants them ("": the kernel's order): none that
 * its owner or a quirk forbids, none that hits a neighbour which is not ours alone. -ENOTTY with a
 * sentence in WHY when none is left.
 */
int pb_strip_reset_methods(const struct pb_device *dev, char ret[PB_RESET_METHODS_TEXT], char *why,
                           size_t why_size);

/* Into DOMID_IO, or into it again: nobody reaches it there (H3). */
int pb_strip_quarantine(struct pb_device *dev);

/* Bus mastering off, at once and only that: the frontend's node has disappeared (H3). */
void pb_strip_stop_dma(struct pb_device *dev);

/*
 * Appends what brings the device to D0 with decode on. Without No_Soft_Reset its registers are lost
 * on the way: the claim image is written back, with INTX_DISABLE.
 */
void pb_script_wake(struct pb_script *s);
/*
 * Appends the comparison of ids, BARs and the chain of capabilities with what they were at claim:
 * -ESTALE. VERDICT says in BUF what such a script found.
 */
void pb_script_verify(struct pb_script *s);
const char *pb_script_verdict(const struct pb_script *s, char *buf, size_t size);
/* Appends the writes that bring the claim image back, COMMAND last as `command`. */
void pb_script_restore_image(struct pb_script *s, uint16_t command);

#endif
