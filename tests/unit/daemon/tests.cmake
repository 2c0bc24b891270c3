# SPDX-License-Identifier: MIT
# A backend without a machine stands in for core/backend's functions.
set(fake ${CMAKE_CURRENT_SOURCE_DIR}/daemon/fake_backend.c)
pb_unit(config daemon)
pb_unit(control daemon ${fake})
pb_unit(lock daemon)
pb_unit(notify daemon)
pb_unit(verbs daemon ${fake})
