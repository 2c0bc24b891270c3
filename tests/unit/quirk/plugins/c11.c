/* SPDX-License-Identifier: MIT */
/* The public header as strict C11, and the smallest plugin. */
#include "pcibackd/plugin.h"

PCIBACKD_PLUGIN = { PCIBACKD_PLUGIN_HEAD, .name = "c11" };
