# SPDX-License-Identifier: MIT
pb_unit(policy backend)
pb_unit(poll backend)
pb_unit(journal backend backend/journal_dir.c)
pb_unit(journal_damage backend backend/journal_dir.c)
pb_unit(journal_versions backend backend/journal_dir.c)
add_executable(journal-next ${CMAKE_CURRENT_SOURCE_DIR}/backend/test_journal_versions.c
  ${CMAKE_CURRENT_SOURCE_DIR}/backend/journal_dir.c)
target_link_libraries(journal-next PRIVATE pb_backend pb_test_tree pb_build_options PkgConfig::CMOCKA)
pb_next(journal-next)
foreach(target test_backend_journal_versions journal-next)
  target_compile_definitions(${target} PRIVATE JOURNAL_NEXT="$<TARGET_FILE:journal-next>")
endforeach()
add_dependencies(test_backend_journal_versions journal-next)
# It opens a journal for each of its bytes.
set_tests_properties(unit.backend.journal_damage PROPERTIES TIMEOUT 600 COST 30)
