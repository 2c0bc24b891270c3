# SPDX-License-Identifier: MIT
# shellcheck shell=dash
echo "I am the echo role"
echo echo >/tmp/role
