/* SPDX-License-Identifier: MIT */
#include "backend/inflight.h"

#include "backend/machine.h"

void pb_inflight_begin(struct pb_guest *g)
{
    (void)g;
}

bool pb_inflight_write(struct pb_guest *g, bool once)
{
    (void)g;
    (void)once;
    return true;
}

void pb_inflight_written(struct pb_guest *g)
{
    (void)g;
}

void pb_inflight_answer(struct pb_guest *g)
{
    (void)g;
}

void pb_inflight_end(struct pb_guest *g)
{
    (void)g;
}

void pb_inflight_interrupts_open(struct pb_device *dev)
{
    (void)dev;
}

void pb_inflight_interrupts_closed(struct pb_device *dev)
{
    (void)dev;
}

void pb_inflight_resume(struct pb_guest *g)
{
    (void)g;
}
