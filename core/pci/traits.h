/* SPDX-License-Identifier: MIT */
/*
 * What is true of a device as a whole, beside its registers: decided by quirks (a manifest's
 * "device" object), then by the operator's configuration. Zero means: nothing was said.
 */
#ifndef PB_PCI_TRAITS_H
#define PB_PCI_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

/* May it be given to a guest? */
enum pb_assign { PB_ASSIGN_ALLOW, PB_ASSIGN_WARN, PB_ASSIGN_DENY };

/* Linux's reset methods, by their names in sysfs `reset_method` (drivers/pci/pci.c). */
#define PB_RESET_METHODS(X)               \
    X(DEVICE_SPECIFIC, "device_specific") \
    X(ACPI, "acpi")                       \
    X(FLR, "flr")                         \
    X(AF_FLR, "af_flr")                   \
    X(PM, "pm")                           \
    X(BUS, "bus")                         \
    X(CXL_BUS, "cxl_bus")

enum pb_reset_method {
#define X(id, name) PB_RESET_BY_##id,
    PB_RESET_METHODS(X)
#undef X
        PB_RESET_METHOD_COUNT
};

#define PB_RESET_METHODS_TEXT 64 /* all names with spaces between them fit */

/*
 * Every trait, once: id, key in a manifest's "device" object, what it does. Parsing, `explain`, the
 * schema's test and the manual page follow this list.
 */
#define PB_TRAITS(X)                                                                          \
    X(CONFIG_SIZE, "config_size", "bytes of configuration space that may be touched")         \
    X(CLASS, "class", "the class code that the guest sees")                                   \
    X(MSI, "msi", "deny: the capability is hidden and enabling it refused")                   \
    X(MSIX, "msix", "deny: the capability is hidden and enabling it refused")                 \
    X(MSIX_MAX_VECTORS, "msix_max_vectors", "the table's size as the guest sees it, at most") \
    X(INTX, "intx",                                                                           \
      "deny: no interrupt pin; warn: only on a line that no device known here shares")        \
    X(INTX_WITH_MSI, "intx_with_msi", "keep: INTX_DISABLE stays clear while MSI is on")       \
    X(ROM, "rom", "hide: no expansion ROM")                                                   \
    X(VPD_SIZE, "vpd_size", "bytes of VPD that may be read")                                  \
    X(RESET_METHOD, "reset_method", "reset methods to use, in this order")                    \
    X(NO_RESET, "no_reset", "reset methods never to use")                                     \
    X(RESET_DELAY, "delay_after_reset_ms", "wait after a reset before the device is touched") \
    X(D3_DELAY, "d3_delay_ms", "wait after a change from or to D3hot (default 10)")           \
    X(ASSIGN, "assign", "deny or warn: whether a guest may have it")

enum pb_trait {
#define X(id, key, help) PB_TRAIT_##id,
    PB_TRAITS(X)
#undef X
        PB_TRAIT_COUNT
};

enum pb_intx { PB_INTX_ALLOW, PB_INTX_WARN, PB_INTX_DENY };

struct pb_traits {
    bool set[PB_TRAIT_COUNT];
    /* who decided, why, and in which file (NULL: the configuration); borrowed from there */
    const char *origin[PB_TRAIT_COUNT], *reason[PB_TRAIT_COUNT], *file[PB_TRAIT_COUNT];
    uint16_t config_size; /* a multiple of 4, 64 to 4096 */
    uint32_t class_code;  /* 24 bits */
    bool deny_msi, deny_msix, keep_intx, hide_rom;
    enum pb_intx intx;
    uint16_t msix_max_vectors;                   /* 1 to 2048 */
    uint16_t vpd_size;                           /* 1 to 32767 */
    uint8_t reset_method[PB_RESET_METHOD_COUNT]; /* enum pb_reset_method, in order */
    uint8_t reset_method_count;
    uint8_t no_reset; /* bits 1 << enum pb_reset_method */
    uint16_t reset_delay_ms, d3_delay_ms;
    enum pb_assign assign;
};

#endif
