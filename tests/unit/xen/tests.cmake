# SPDX-License-Identifier: MIT
pb_unit(store xen)
target_link_options(test_xen_store PRIVATE -Wl,--wrap=reallocarray -Wl,--wrap=strdup)

pb_unit(real_store xen ${CMAKE_CURRENT_LIST_DIR}/fake_xs.c)
target_link_libraries(test_xen_real_store PRIVATE pb_xen_real)

# This one includes Xen's headers, so pb_xen's include path must not be there, see
# core/xen/CMakeLists.txt: it links the libraries as files.
add_executable(test_xen_real_calls ${CMAKE_CURRENT_LIST_DIR}/test_real_calls.c)
set_target_properties(test_xen_real_calls PROPERTIES C_EXTENSIONS ON)
target_compile_options(test_xen_real_calls PRIVATE "SHELL:-iquote ${CMAKE_BINARY_DIR}/include/xen")
add_dependencies(test_xen_real_calls pb_xen_real pb_xen)
target_link_libraries(test_xen_real_calls PRIVATE $<TARGET_FILE:pb_xen_real> $<TARGET_FILE:pb_xen>
  pb_base pb_pci pb_libev PkgConfig::XEN pb_build_options PkgConfig::CMOCKA)
foreach(symbol xencall_open xencall_close xencall_alloc_buffer xencall_free_buffer xencall2
    xc_interface_open xc_interface_close xc_domain_getinfo xc_test_assign_device xc_assign_device
    xc_domain_iomem_permission xenevtchn_open xenevtchn_fd xenevtchn_close
    xenevtchn_bind_interdomain xenevtchn_unbind read write ioctl)
  target_link_options(test_xen_real_calls PRIVATE -Wl,--wrap=${symbol})
endforeach()
add_test(NAME unit.xen.real_calls COMMAND test_xen_real_calls)
set_tests_properties(unit.xen.real_calls PROPERTIES LABELS unit TIMEOUT 120)

# So does this one.
add_executable(test_xen_real_path ${CMAKE_CURRENT_LIST_DIR}/test_real_path.c)
set_target_properties(test_xen_real_path PROPERTIES C_EXTENSIONS ON)
target_compile_options(test_xen_real_path PRIVATE "SHELL:-iquote ${CMAKE_BINARY_DIR}/include/xen")
add_dependencies(test_xen_real_path pb_xen_real pb_xen)
target_link_libraries(test_xen_real_path PRIVATE $<TARGET_FILE:pb_xen_real> $<TARGET_FILE:pb_xen>
  pb_base pb_pci pb_libev PkgConfig::XEN pb_build_options PkgConfig::CMOCKA)
target_link_options(test_xen_real_path PRIVATE -Wl,--wrap=xenevtchn_open)
pb_counted(test_xen_real_path)
add_test(NAME unit.xen.real_path COMMAND test_xen_real_path)
set_tests_properties(unit.xen.real_path PROPERTIES LABELS unit TIMEOUT 120)
