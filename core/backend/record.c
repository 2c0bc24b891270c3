/* SPDX-License-Identifier: MIT */
#include "backend/record.h"

#include "backend/machine.h"

int pb_record_claimed(struct pb_device *dev)
{
    (void)dev;
    return 0;
}

void pb_record_device(struct pb_device *dev)
{
    (void)dev;
}

void pb_record_shadow(struct pb_device *dev)
{
    (void)dev;
}

void pb_record_released(struct pb_device *dev)
{
    (void)dev;
}

int pb_record_guest(struct pb_guest *g)
{
    (void)g;
    return 0;
}

void pb_record_guest_freed(struct pb_guest *g)
{
    (void)g;
}
