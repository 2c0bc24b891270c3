/* SPDX-License-Identifier: MIT */
/* The loader as a later minor version of the ABI would compile it. */
#include "later.h"

#include "quirk/plugin.c" /* NOLINT(bugprone-suspicious-include) */
