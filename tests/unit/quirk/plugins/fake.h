/* SPDX-License-Identifier: MIT */
/* A plugin that does what a test tells it through the symbol `fake`, and counts. */
#ifndef PB_TESTS_QUIRK_FAKE_H
#define PB_TESTS_QUIRK_FAKE_H

#include "pcibackd/plugin.h"

struct fake {
    const struct pcibackd_host *host;
    int load_rc, attach_rc, before_rc, after_rc;
    /* What read and write answer; NULL: PCIBACKD_PASS. */
    int (*access)(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
    /* In every other callback, with its name; may be NULL. */
    void (*call)(const struct pcibackd_device *dev, const char *callback);
    unsigned loads, unloads, attaches, detaches, accesses, befores, afters;
    int told; /* the rc that after_reset got */
    struct pcibackd_access last;
    void *state; /* of the last callback that had one */
};

extern PCIBACKD_EXPORT struct fake fake;

#endif
