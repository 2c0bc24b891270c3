/* SPDX-License-Identifier: MIT */
/*
 * Taking a device back from a guest, whatever the guest does meanwhile. The order is that of H7 and
 * H2: answer nothing, revoke, bus mastering off, interrupts unmapped (decode on, D0), decode off,
 * reset, deassign, quarantine. The guest's page and port stay until all of its devices are back.
 */
#ifndef PB_BACKEND_STRIP_H
#define PB_BACKEND_STRIP_H

#include "backend/task.h"

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

/* Into DOMID_IO, or into it again: nobody reaches it there (H3). */
int pb_strip_quarantine(struct pb_device *dev);

/* Bus mastering off, at once and only that: the frontend's node has disappeared (H3). */
void pb_strip_stop_dma(struct pb_device *dev);

/*
 * Appends what brings the device to D0 with decode on. Without No_Soft_Reset its registers are lost
 * on the way: the claim image is written back, with INTX_DISABLE.
 */
void pb_script_wake(struct pb_script *s);
/* Appends the writes that bring the claim image back, COMMAND last as `command`. */
void pb_script_restore_image(struct pb_script *s, uint16_t command);

#endif
