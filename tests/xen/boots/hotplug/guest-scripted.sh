# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# No pcifront here: labfe is the frontend.
echo "waiting for orders"
