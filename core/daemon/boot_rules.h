/* SPDX-License-Identifier: MIT */
/*
 * udev rules that keep the configured devices from their native drivers until the daemon claims
 * them: the `driver_override` is set before udev loads any PCI driver's module. contrib/initramfs
 * and contrib/systemd put them where udev finds them at boot.
 */
#ifndef PB_DAEMON_BOOT_RULES_H
#define PB_DAEMON_BOOT_RULES_H

#include <stdio.h>

#include "backend/policy.h"

/* Where a rule leaves a file for each device that it has set: struct pb_host_options' boot_dir. */
#define PB_BOOT_DIR "/run/pcibackd-boot"

/* 0, or -EIO. */
int pb_boot_rules_print(const struct pb_policy *policy, FILE *out);

#endif
