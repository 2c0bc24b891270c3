/* SPDX-License-Identifier: MIT */
#include "base/cycles.h"

uint64_t pb_cycles(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}
