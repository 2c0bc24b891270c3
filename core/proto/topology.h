/* SPDX-License-Identifier: MIT */
/*
 * Where a guest sees its devices.
 *
 * vpci: one virtual bus 0000:00 of 32 slots. The function number is the physical one; functions of
 * one physical slot stay together; a virtual function with number 0 gets a slot of its own.
 * slot: the same bus, but each function gets a slot of its own and becomes function 0.
 * passthrough: the physical address; a root for each bus.
 *
 * A wanted address (xl's vdevfn) is honoured by vpci and slot when it is free.
 */
#ifndef PB_PROTO_TOPOLOGY_H
#define PB_PROTO_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/addr.h"

/* id, name in the configuration, meaning */
#define PB_TOPOLOGIES(X)                                             \
    X(VPCI, "vpci", "one bus, functions of a device stay together")  \
    X(SLOT, "slot", "one bus, each function is a device of its own") \
    X(PASSTHROUGH, "passthrough", "the addresses that the host sees")

enum pb_topology {
#define X(id, name, help) PB_TOPOLOGY_##id,
    PB_TOPOLOGIES(X)
#undef X
        PB_TOPOLOGY_COUNT
};
const char *pb_topology_name(enum pb_topology topology);

#define PB_VSLOTS 32

struct pb_vslots {
    struct {
        bool used[8];
        bool alone;              /* a virtual function with number 0: nobody joins it */
        struct pb_sbdf physical; /* of the first device, when one is used */
    } slot[PB_VSLOTS];
};

#define PB_VDEVFN_ANY (-1)
/*
 * WANTED is a devfn or PB_VDEVFN_ANY; one that is taken is ignored. -ENOSPC: no free slot; -EEXIST:
 * that function is there already.
 */
__attribute__((warn_unused_result)) int
pb_vslots_add(struct pb_vslots *slots, enum pb_topology topology, struct pb_sbdf physical,
              bool virtual_function, int wanted, struct pb_sbdf *ret_virtual);
void pb_vslots_remove(struct pb_vslots *slots, struct pb_sbdf virtual_address);

#define PB_VDEV_TEXT 14
/* The vdev-N node: "0000:00:01.00"; the function has two digits, as every frontend expects. */
const char *pb_vdev_format(struct pb_sbdf virtual_address, char buf[PB_VDEV_TEXT]);

#endif
