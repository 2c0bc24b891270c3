# SPDX-License-Identifier: MIT
# shellcheck shell=dash
echo "I am the other role"
echo other >/tmp/role
