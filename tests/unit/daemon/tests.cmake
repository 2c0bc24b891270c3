# SPDX-License-Identifier: MIT
# A backend without a machine stands in for core/backend's functions.
set(fake ${CMAKE_CURRENT_SOURCE_DIR}/daemon/fake_backend.c)
pb_unit(control daemon ${fake})
