/* SPDX-License-Identifier: MIT */
/*
 * Where a guest sees its devices: topology "vpci", one virtual bus 0000:00 of 32 slots. The
 * function number is the physical one; functions of one physical slot stay together; a virtual
 * function with number 0 gets a slot of its own.
 */
#ifndef PB_PROTO_TOPOLOGY_H
#define PB_PROTO_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/addr.h"

#define PB_VSLOTS 32

struct pb_vslots {
    struct {
        bool used[8];
        bool alone;              /* a virtual function with number 0: nobody joins it */
        struct pb_sbdf physical; /* of the first device, when one is used */
    } slot[PB_VSLOTS];
};

/* -ENOSPC: no free slot; -EEXIST: that function is there already. */
__attribute__((warn_unused_result)) int pb_vslots_add(struct pb_vslots *slots,
                                                      struct pb_sbdf physical,
                                                      bool virtual_function,
                                                      struct pb_sbdf *ret_virtual);
void pb_vslots_remove(struct pb_vslots *slots, struct pb_sbdf virtual_address);

#define PB_VDEV_TEXT 14
/* The vdev-N node: "0000:00:01.00"; the function has two digits, as every frontend expects. */
const char *pb_vdev_format(struct pb_sbdf virtual_address, char buf[PB_VDEV_TEXT]);

#endif
