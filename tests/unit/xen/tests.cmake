# SPDX-License-Identifier: MIT
pb_unit(store xen)
target_link_options(test_xen_store PRIVATE -Wl,--wrap=reallocarray -Wl,--wrap=strdup)

pb_unit(real_store xen ${CMAKE_CURRENT_LIST_DIR}/fake_xs.c)
target_link_libraries(test_xen_real_store PRIVATE pb_xen_real)
