/* SPDX-License-Identifier: MIT */
/*
 * What libxl does to a PV guest's PCI devices, step by step, as far as a backend can notice it:
 * sysfs and hypercalls at once, xenstore in its transactions, its waits by polling. What would
 * crash it is a violation.
 *
 *   xl-assignable-add device · xl-assignable-remove device
 *   xl-attach domid device [permissive] [vdevfn] [starting] [unchecked]
 *                        starting: as part of create; unchecked: although it is not assignable
 *   xl-detach domid device · xl-destroy domid       {"rc", "waits": [ms ...], "gave_up"}
 *   xl-list domid                                   {"devices": [...]}
 * All but the first two and the last take [poll_ms], 1/100 of how long xl waits for the backend.
 */
#ifndef SIM_TOOLSTACK_H
#define SIM_TOOLSTACK_H

#include "sim_command.h"

extern const struct sim_command sim_commands_toolstack[];

#endif
