# SPDX-License-Identifier: MIT
pb_unit(dump quirk)
target_compile_definitions(test_quirk_dump PRIVATE DUMPS="${PROJECT_SOURCE_DIR}/tests/sim/devices")
pb_unit(sxp quirk)
pb_unit(suggest quirk ${CMAKE_CURRENT_SOURCE_DIR}/pci/device.c)
target_include_directories(test_quirk_suggest PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/pci)
pb_unit(manifest quirk)
pb_unit(lint quirk)
target_compile_definitions(test_quirk_lint PRIVATE PB_CORPUS="${CMAKE_CURRENT_LIST_DIR}")
pb_unit(set quirk)
foreach(module match)
  pb_unit(${module} quirk ${CMAKE_CURRENT_SOURCE_DIR}/pci/device.c)
  target_include_directories(test_quirk_${module} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/pci)
endforeach()

# Debian's own interpreter, for which python3-jsonschema is packaged.
find_program(PB_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(PB_PYTHON NAMES python3 REQUIRED)
add_test(NAME unit.quirk.schema COMMAND ${PB_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/schema_test.py -b)
set_tests_properties(unit.quirk.schema PROPERTIES LABELS unit TIMEOUT 120
  ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")

# Plugins, on fixtures that do what the tests say.
include(${CMAKE_CURRENT_LIST_DIR}/plugins/plugins.cmake)
get_property(fixtures GLOBAL PROPERTY PB_FIXTURES)
foreach(module plugin hooks hooks_reload reset minor)
  pb_unit(${module} quirk)
  target_compile_definitions(test_quirk_${module} PRIVATE PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
  target_include_directories(test_quirk_${module} PRIVATE ${CMAKE_CURRENT_LIST_DIR})
  add_dependencies(test_quirk_${module} ${fixtures})
endforeach()
target_link_options(test_quirk_plugin PRIVATE -Wl,--wrap=fstat -Wl,--wrap=dlopen)
# A loader of a later minor version than there is: it takes the place of the layer's.
target_sources(test_quirk_minor PRIVATE ${CMAKE_CURRENT_LIST_DIR}/plugins/later.c)
if(TARGET fixture_cxx)
  target_compile_definitions(test_quirk_hooks PRIVATE PB_HAVE_CXX)
endif()
foreach(module hooks hooks_reload)
  target_sources(test_quirk_${module} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/plugged.c)
  target_link_options(test_quirk_${module} PRIVATE -Wl,--wrap=pb_now_ns -Wl,--wrap=pb_now_ms)
endforeach()
target_sources(test_quirk_reset PRIVATE ${CMAKE_CURRENT_LIST_DIR}/machine.c)
target_link_options(test_quirk_reset PRIVATE -Wl,--wrap=nanosleep)

# The plugins that are shipped.
get_property(shipped GLOBAL PROPERTY PB_PLUGIN_TARGETS)
foreach(module reset_plugins access_plugins)
  pb_unit(${module} quirk)
  target_compile_definitions(test_quirk_${module} PRIVATE PB_PLUGIN_DIR="${CMAKE_BINARY_DIR}/plugins"
    PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
  add_dependencies(test_quirk_${module} ${shipped})
endforeach()
target_sources(test_quirk_reset_plugins PRIVATE ${CMAKE_CURRENT_LIST_DIR}/machine.c)
target_link_options(test_quirk_reset_plugins PRIVATE -Wl,--wrap=nanosleep)
foreach(module profile explain)
  pb_unit(${module} quirk ${CMAKE_CURRENT_SOURCE_DIR}/pci/device.c)
  target_include_directories(test_quirk_${module} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/pci)
  target_compile_definitions(test_quirk_${module} PRIVATE PB_FIXTURE_DIR="${PB_FIXTURE_DIR}")
  add_dependencies(test_quirk_${module} ${fixtures})
endforeach()

# The template of a plugin, built outside of the tree against what an install brings.
find_program(PB_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(PB_PYTHON NAMES python3 REQUIRED)
add_executable(template_check ${CMAKE_CURRENT_LIST_DIR}/template_check.c)
target_link_libraries(template_check PRIVATE pb_quirk pb_build_options)
add_test(NAME unit.quirk.template
  COMMAND ${PB_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/template_test.py -b)
set_tests_properties(unit.quirk.template PROPERTIES LABELS unit TIMEOUT 120
  ENVIRONMENT "CMAKE=${CMAKE_COMMAND};BUILD=${CMAKE_BINARY_DIR};TEMPLATE=${PROJECT_SOURCE_DIR}/contrib/plugin-template;CC=${CMAKE_C_COMPILER};CHECK=$<TARGET_FILE:template_check>;PYTHONDONTWRITEBYTECODE=1")
