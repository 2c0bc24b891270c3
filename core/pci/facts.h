/* SPDX-License-Identifier: MIT */
/*
 * What was true of a device before any guest had it: read once at claim, never again. Every
 * decision about a device uses these values, because a guest may have changed the device since
 * (XSA-337). Plain data without pointers: the helper process sends it as it is.
 */
#ifndef PB_PCI_FACTS_H
#define PB_PCI_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/addr.h"

#define PB_PCI_BARS         6
#define PB_PCI_ROM          6 /* index of the expansion ROM among the resources */
#define PB_PCI_RESOURCES    7

#define PB_CONFIG_SIZE_PCI  256u
#define PB_CONFIG_SIZE_PCIE 4096u

/* Flags of a resource, as Linux prints them in sysfs `resource` (include/linux/ioport.h). */
#define PB_RES_BAR_BITS   0x0000000fu /* of a BAR: the register's own low bits */
#define PB_RES_ROM_SHADOW 0x00000002u /* of the ROM: a copy in RAM, not the BAR's memory */
#define PB_RES_IO         0x00000100u
#define PB_RES_MEM        0x00000200u
#define PB_RES_PREFETCH   0x00002000u
#define PB_RES_MEM_64     0x00100000u
#define PB_RES_DISABLED   0x10000000u
#define PB_RES_UNSET      0x20000000u

struct pb_resource {
    uint64_t start, end; /* both inclusive; 0,0: none */
    uint64_t flags;
};

struct pb_facts {
    struct pb_sbdf sbdf;
    uint16_t vendor, device, subsystem_vendor, subsystem_device; /* from sysfs: right for VFs too */
    uint32_t class_code; /* 24 bits: base class, subclass, interface */
    uint8_t revision;
    bool virtual_function;
    uint32_t irq;         /* the routed line (a GSI), 0: none */
    uint16_t config_size; /* bytes of config[] that are real: 256 or 4096 */
    struct pb_resource resource[PB_PCI_RESOURCES];
    char reset_methods[64]; /* sysfs reset_method: names separated by spaces, "" when none */
    uint8_t config[PB_CONFIG_SIZE_PCIE];
};

#endif
