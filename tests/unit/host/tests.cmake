# SPDX-License-Identifier: MIT
pb_unit(remember host)
pb_unit(wire host)

# These run on a kernel of plain files, see kernel.h.
foreach(module sysfs job helper host)
  pb_unit(${module} host ${CMAKE_CURRENT_LIST_DIR}/kernel.c)
  foreach(symbol write kill pb_now_ns pb_now_ms)
    target_link_options(test_host_${module} PRIVATE -Wl,--wrap=${symbol})
  endforeach()
endforeach()
target_sources(test_host_helper PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_sources(test_host_host PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_link_options(test_host_job PRIVATE -Wl,--wrap=execl)
