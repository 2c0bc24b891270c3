# SPDX-License-Identifier: MIT
pb_unit(index base)
pb_unit(json base)
pb_unit(log base)
pb_unit(ratelimit base)
