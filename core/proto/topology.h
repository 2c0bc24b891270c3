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

#define PB_VSLOTS   32
#define PB_VDEVICES 256 /* on a guest's virtual buses: 32 slots of 8 functions */
#define PB_VROOTS   64  /* buses that one guest was ever told of */

/* Zeroed: nothing there, no bus. */
struct pb_vslots {
    unsigned device_count, root_count;
    struct {
        struct pb_sbdf at, physical;
        bool alone; /* nobody joins it in its slot */
    } device[PB_VDEVICES];
    struct {
        uint16_t segment;
        uint8_t bus;
    } root[PB_VROOTS]; /* never shrinks: a guest cannot be told that a bus is gone */
};

#define PB_VDEVFN_ANY (-1)
/*
 * WANTED is a devfn or PB_VDEVFN_ANY. It is ignored when it is none, is taken, or lies in a slot
 * of another device; `slot` looks at its slot only. -ENOSPC: no free slot, or too many buses;
 * -EEXIST: the device is there already.
 */
__attribute__((warn_unused_result)) int
pb_vslots_add(struct pb_vslots *slots, enum pb_topology topology, struct pb_sbdf physical,
              bool virtual_function, int wanted, struct pb_sbdf *ret_virtual);
/* One that was added by an earlier process: where it was then, whatever the topology says now. */
__attribute__((warn_unused_result)) int pb_vslots_restore(struct pb_vslots *slots,
                                                          struct pb_sbdf virtual_address,
                                                          struct pb_sbdf physical,
                                                          bool virtual_function);
/* A bus that the guest was told of. */
__attribute__((warn_unused_result)) int pb_vslots_restore_root(struct pb_vslots *slots,
                                                               uint16_t segment, uint8_t bus);
void pb_vslots_remove(struct pb_vslots *slots, struct pb_sbdf virtual_address);
/* Is there, or was there ever, a device on this bus? */
bool pb_vslots_has_root(const struct pb_vslots *slots, uint32_t segment, uint32_t bus);

#define PB_VDEV_TEXT 14
/* The vdev-N node: "0000:00:01.00"; the function has two digits, as every frontend expects. */
const char *pb_vdev_format(struct pb_sbdf virtual_address, char buf[PB_VDEV_TEXT]);

#define PB_VROOT_TEXT 8
/* The root-K node of slots->root[K]: "0000:00". */
const char *pb_vroot_format(const struct pb_vslots *slots, unsigned k, char buf[PB_VROOT_TEXT]);

#endif
