/* SPDX-License-Identifier: MIT */
/*
 * Coverage builds only: a filter that kills who opens a file is met with the counters already
 * written, and nothing is written afterwards.
 */
#include <gcov.h>
#include <seccomp.h>

int __real_seccomp_load(const scmp_filter_ctx ctx);
int __wrap_seccomp_load(const scmp_filter_ctx ctx);

int __wrap_seccomp_load(const scmp_filter_ctx ctx)
{
    uint32_t action = SCMP_ACT_KILL_PROCESS;

    (void)seccomp_attr_get(ctx, SCMP_FLTATR_ACT_DEFAULT, &action);
    __gcov_dump(); /* once: a second one writes nothing */
    if (action != SCMP_ACT_KILL_PROCESS)
        __gcov_reset();
    return __real_seccomp_load(ctx);
}
