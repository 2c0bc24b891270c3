# SPDX-License-Identifier: MIT
pb_unit(policy backend)
