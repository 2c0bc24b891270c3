# SPDX-License-Identifier: MIT
pb_unit(remember host)
pb_unit(wire host)

# These run on a kernel of plain files, see kernel.h.
foreach(module sysfs job claim confine outside surroundings helper host cycle)
  pb_unit(${module} host ${CMAKE_CURRENT_LIST_DIR}/kernel.c)
  foreach(symbol write kill pb_now_ns pb_now_ms pb_coarse_ns pb_tick_ns pb_plugin_open)
    target_link_options(test_host_${module} PRIVATE -Wl,--wrap=${symbol})
  endforeach()
  target_compile_definitions(test_host_${module} PRIVATE PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
  add_dependencies(test_host_${module} fixture_fake fixture_fake2 fixture_bare)
endforeach()
target_sources(test_host_helper PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_sources(test_host_confine PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_sources(test_host_host PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_sources(test_host_cycle PRIVATE ${CMAKE_CURRENT_LIST_DIR}/world.c)
pb_counted(test_host_cycle)
target_link_options(test_host_job PRIVATE -Wl,--wrap=execl)

# Resets with plugins; of the kernel's, only those that take part.
pb_unit(job_reset host ${CMAKE_CURRENT_LIST_DIR}/kernel.c)
foreach(symbol write kill pb_now_ns pb_now_ms pb_coarse_ns pb_tick_ns pb_plugin_open nanosleep)
  target_link_options(test_host_job_reset PRIVATE -Wl,--wrap=${symbol})
endforeach()
target_include_directories(test_host_job_reset PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/quirk)
target_compile_definitions(test_host_job_reset PRIVATE PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
add_dependencies(test_host_job_reset fixture_fake fixture_fake2 fixture_bare)

# Over a udev library that is played by the test.
pb_unit(uevent host)
foreach(symbol udev_monitor_receive_device udev_device_get_property_value udev_device_unref
        udev_monitor_get_fd pb_log)
  target_link_options(test_host_uevent PRIVATE -Wl,--wrap=${symbol})
endforeach()
