# SPDX-License-Identifier: MIT
# The tools that need no daemon, as programs; they share the library of the daemon's faces.
foreach(name IN ITEMS tools views)
  add_test(NAME unit.ctl.${name}
    COMMAND ${PB_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/ctl/${name}_test.py -b)
  set_tests_properties(unit.ctl.${name} PROPERTIES LABELS unit TIMEOUT 120
    ENVIRONMENT "PCIBACKCTL=$<TARGET_FILE:pcibackctl>;PCIBACKD_FAKE=;PYTHONPATH=${CMAKE_CURRENT_SOURCE_DIR}/daemon;PYTHONDONTWRITEBYTECODE=1")
endforeach()
