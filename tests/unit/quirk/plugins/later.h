/* SPDX-License-Identifier: MIT */
/* The interface as it may be one day: minor version 3. */
#ifndef PB_TESTS_QUIRK_LATER_H
#define PB_TESTS_QUIRK_LATER_H

#include "pcibackd/plugin.h"

#undef PCIBACKD_ABI_MINOR
#define PCIBACKD_ABI_MINOR 3

#endif
