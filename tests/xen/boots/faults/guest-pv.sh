# SPDX-License-Identifier: MIT
# shellcheck shell=dash
modprobe xen-pcifront
