# SPDX-License-Identifier: MIT
pb_unit(store xen)
target_link_options(test_xen_store PRIVATE -Wl,--wrap=reallocarray -Wl,--wrap=strdup)
