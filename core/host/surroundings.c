/* SPDX-License-Identifier: MIT */
#include "host/host.h"

static const char *const use_names[] = {
#define X(id, name, help) [PB_USE_##id] = (name),
    PB_USES(X)
#undef X
};

static const char *const share_names[] = {
#define X(id, name, help) [PB_SHARE_##id] = (name),
    PB_SHARES(X)
#undef X
};

const char *pb_use_name(enum pb_use use)
{
    return use_names[use];
}

const char *pb_share_name(enum pb_share share)
{
    return share_names[share];
}
