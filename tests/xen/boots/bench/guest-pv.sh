# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The card's driver waits for the frontend, which is loaded while the time is taken.
modprobe e1000e
