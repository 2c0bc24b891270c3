# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Its pcifront is loaded when dom0 says so.
echo "waiting for orders"
