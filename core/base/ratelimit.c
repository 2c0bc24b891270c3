/* SPDX-License-Identifier: MIT */
#include "base/ratelimit.h"

#include <stdio.h>

bool pb_ratelimit_allow(struct pb_ratelimit *rl, uint64_t now_ms, unsigned burst,
                        unsigned interval_ms, unsigned *ret_suppressed)
{
    if (now_ms - rl->window_ms >= interval_ms) {
        rl->window_ms = now_ms;
        rl->used = 0;
    }
    if (rl->used >= burst) {
        if (rl->suppressed < UINT32_MAX)
            rl->suppressed++;
        return false;
    }
    rl->used++;
    *ret_suppressed = rl->suppressed;
    rl->suppressed = 0;
    return true;
}

const char *pb_ratelimit_note(unsigned suppressed)
{
    static _Thread_local char text[40];

    text[0] = '\0';
    if (suppressed)
        (void)snprintf(text, sizeof(text), " (%u more line%s suppressed)", suppressed,
                       suppressed == 1 ? "" : "s");
    return text;
}
