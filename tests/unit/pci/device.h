/* SPDX-License-Identifier: MIT */
/* Devices for tests: claim facts, and hardware behind them that records every cycle. */
#ifndef PB_TEST_PCI_DEVICE_H
#define PB_TEST_PCI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/access.h"
#include "pci/facts.h"
#include "pci/map.h"

/* An 82574L: PM at c8, MSI at d0, PCI Express at e0, MSI-X at a0, AER at 100, serial number at 140.
 */
#define E1000E_PM   0xc8
#define E1000E_MSI  0xd0
#define E1000E_EXP  0xe0
#define E1000E_MSIX 0xa0
void pb_test_e1000e(struct pb_facts *facts);
/* An 82540EM as a conventional device: PM at dc, PCI-X at e4, no MSI. */
#define E1000_PM 0xdc
void pb_test_e1000(struct pb_facts *facts);
/* A virtual function: ids read all ones, BAR registers and decode bits zero. */
void pb_test_vf(struct pb_facts *facts);
/* Puts a capability of SIZE zero bytes in front of the list. */
void pb_test_add_cap(struct pb_facts *facts, uint8_t at, uint8_t id);

struct pb_test_cycle {
    enum pb_step step;
    struct pb_cycle cycle;
};

/* Hardware: what a cycle does, bit by bit. Bits without a mask are read-only. */
struct pb_test_hw {
    uint8_t config[PB_CONFIG_SIZE_PCIE];
    uint8_t rw[PB_CONFIG_SIZE_PCIE];
    uint8_t w1c[PB_CONFIG_SIZE_PCIE];
    uint8_t pm, msix;   /* offsets: losing registers in D3hot, Xen's filter */
    uint16_t exp, aer;  /* what else is lost in D3hot */
    unsigned discarded; /* writes that Xen's filter of MSI-X would drop */
    int fail_after;     /* cycles until one fails with -EIO; -1: never */
    int fail_rc;
    int reset_rc;   /* how a managed reset is answered */
    unsigned count; /* of cycles in the last access */
    struct pb_test_cycle log[32];
};

struct pb_test_device {
    struct pb_facts facts;
    struct pb_layout layout;
    struct pb_map *map;
    struct pb_view view;
    struct pb_test_hw hw;
};

/* Everything from facts: layout, baseline, a fresh view, hardware as claimed. NULL-safe free. */
struct pb_test_device *pb_test_device_new(void (*fill)(struct pb_facts *facts));
/* The same, from facts that a test has changed. */
struct pb_test_device *pb_test_device_of(const struct pb_facts *facts);
/* And with edits of its capabilities, and traits; the two must fit the device. */
struct pb_test_device *pb_test_device_with(const struct pb_facts *facts,
                                           const struct pb_traits *traits,
                                           const struct pb_cap_edit *edits, size_t count);
void pb_test_device_free(struct pb_test_device *dev);
/* A fresh guest finds hardware as claimed. */
void pb_test_device_reset(struct pb_test_device *dev);

uint32_t pb_test_hw_read(struct pb_test_hw *hw, unsigned offset, unsigned size);
void pb_test_hw_write(struct pb_test_hw *hw, unsigned offset, unsigned size, uint32_t value);

/* One access to its end; cycles are in dev->hw.log. */
struct pb_access pb_test_run(struct pb_test_device *dev, bool write, int32_t offset, int32_t size,
                             uint32_t value);
/* A write of which a plugin has taken the bits outside of MINE. */
struct pb_access pb_test_run_mine(struct pb_test_device *dev, int32_t offset, int32_t size,
                                  uint32_t value, uint32_t mine, uint32_t denied);
/* The value of a read that must succeed. */
uint32_t pb_test_read(struct pb_test_device *dev, int32_t offset, int32_t size);
/* A write; returns its error. */
int pb_test_write(struct pb_test_device *dev, int32_t offset, int32_t size, uint32_t value);

unsigned pb_test_count(const struct pb_test_hw *hw, enum pb_step step);
/* The number of the cycle (from FIRST on) with that step, place and value; fails when there is
 * none. */
unsigned pb_test_expect(const struct pb_test_hw *hw, unsigned first, enum pb_step step,
                        unsigned offset, unsigned size, uint32_t value);

/* Reproducible numbers. */
uint32_t pb_test_random(uint32_t *state);

#endif
