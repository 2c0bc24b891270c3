# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# No driver for the card: its registers are what is of interest, or it is none.
modprobe xen-pcifront
