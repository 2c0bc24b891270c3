# SPDX-License-Identifier: MIT
pb_unit(dump quirk)
target_compile_definitions(test_quirk_dump PRIVATE DUMPS="${PROJECT_SOURCE_DIR}/tests/sim/devices")
pb_unit(sxp quirk)
