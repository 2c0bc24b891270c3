# SPDX-License-Identifier: MIT
pb_unit(cycles base)
target_link_options(test_base_cycles PRIVATE -Wl,--wrap=pb_now_ns,--wrap=pb_cycles)
pb_unit(index base)
pb_unit(json base)
pb_unit(log base)
pb_unit(ratelimit base)
