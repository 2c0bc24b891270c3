/* SPDX-License-Identifier: MIT */
/* The address of a PCI function: segment, bus, device and function. */
#ifndef PB_PCI_ADDR_H
#define PB_PCI_ADDR_H

#include <stdbool.h>
#include <stdint.h>

struct pb_sbdf {
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn; /* device << 3 | function */
};

#define PB_DEVFN(dev, fn)   ((uint8_t)((dev) << 3 | (fn)))
#define PB_DEVFN_DEV(devfn) ((devfn) >> 3)
#define PB_DEVFN_FN(devfn)  ((devfn)&7u)

/*
 * Strict: the whole of TEXT is "ssss:bb:dd.f" or "bb:dd.f" (segment 0), hexadecimal of at most that
 * many digits, device <= 1f, function <= 7.
 */
bool pb_sbdf_parse(const char *text, struct pb_sbdf *ret);

#define PB_SBDF_TEXT 13
/* "0000:03:00.0" in BUF; returns BUF. */
const char *pb_sbdf_format(struct pb_sbdf sbdf, char buf[PB_SBDF_TEXT]);

static inline bool pb_sbdf_equal(struct pb_sbdf a, struct pb_sbdf b)
{
    return a.segment == b.segment && a.bus == b.bus && a.devfn == b.devfn;
}

/* Xen's machine_sbdf: segment << 16 | bus << 8 | devfn. */
static inline uint32_t pb_sbdf_machine(struct pb_sbdf s)
{
    return (uint32_t)s.segment << 16 | (uint32_t)s.bus << 8 | s.devfn;
}

#endif
