# SPDX-License-Identifier: MIT
# A backend without a machine stands in for core/backend's functions.
set(fake ${CMAKE_CURRENT_SOURCE_DIR}/daemon/fake_backend.c)
pb_unit(boot_rules daemon)
pb_unit(config daemon)
pb_unit(control daemon ${fake} ${CMAKE_CURRENT_SOURCE_DIR}/daemon/control_fixture.c)
pb_unit(control_attack daemon ${fake} ${CMAKE_CURRENT_SOURCE_DIR}/daemon/control_fixture.c)
pb_unit(lock daemon)
pb_unit(notify daemon)
# Over the host's kernel of plain files, with a helper and with libxenstore.
pb_unit(privilege daemon ${CMAKE_CURRENT_SOURCE_DIR}/host/kernel.c
  ${CMAKE_CURRENT_SOURCE_DIR}/host/world.c)
target_include_directories(test_daemon_privilege PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/host)
target_compile_definitions(test_daemon_privilege PRIVATE PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
target_link_libraries(test_daemon_privilege PRIVATE pb_xen_real pb_libev ${CMAKE_DL_LIBS})
add_dependencies(test_daemon_privilege fixture_fake)
foreach(symbol write kill pb_now_ns pb_now_ms pb_coarse_ns pb_tick_ns pb_plugin_open)
  target_link_options(test_daemon_privilege PRIVATE -Wl,--wrap=${symbol})
endforeach()
foreach(name reload reload_turns)
  pb_unit(${name} daemon ${fake} ${CMAKE_CURRENT_SOURCE_DIR}/daemon/reload_fixture.c)
endforeach()
pb_unit(verbs daemon ${fake})

# The faces as programs. Debian's own interpreter, for which python3-jsonschema is packaged.
find_program(PB_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(PB_PYTHON NAMES python3 REQUIRED)
add_executable(pcibackd-fake ${CMAKE_CURRENT_SOURCE_DIR}/daemon/fake_main.c ${fake})
target_link_libraries(pcibackd-fake PRIVATE pb_daemon pb_libev Threads::Threads pb_build_options)
# What contrib/limits asks for the tables of limits.
add_executable(pcibackd-limits ${CMAKE_CURRENT_SOURCE_DIR}/daemon/limits_main.c)
target_link_libraries(pcibackd-limits PRIVATE pb_daemon pb_build_options)
foreach(name IN ITEMS ctl docs drop life schema unit)
  add_test(NAME unit.daemon.${name}
    COMMAND ${PB_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/daemon/${name}_test.py -b)
  set_tests_properties(unit.daemon.${name} PROPERTIES LABELS unit TIMEOUT 120
    ENVIRONMENT "PCIBACKD=$<TARGET_FILE:pcibackd>;PCIBACKCTL=$<TARGET_FILE:pcibackctl>;PCIBACKD_FAKE=$<TARGET_FILE:pcibackd-fake>;PCIBACKD_LIMITS=$<TARGET_FILE:pcibackd-limits>;PCIBACKD_PLUGINS=${CMAKE_BINARY_DIR}/plugins;PYTHONDONTWRITEBYTECODE=1")
endforeach()
