/* SPDX-License-Identifier: MIT */
/* To be replaced file by file: what is not there yet. */
#include <errno.h>
#include <stdlib.h>

#include "quirk/dump.h"
#include "quirk/explain.h"
#include "quirk/profile.h"
#include "quirk/set.h"
#include "quirk/suggest.h"
#include "quirk/sxp.h"

#include <stdio.h>
#include <string.h>

json_t *pb_suggest(const struct pb_profile *profile, const struct pb_denied *denied, size_t count,
                   json_t **ret_left_out)
{
    (void)profile;
    (void)denied;
    (void)count;
    *ret_left_out = json_array();
    return NULL;
}

const char *pb_danger(const struct pb_facts *facts, const struct pb_layout *layout, unsigned offset,
                      unsigned size, uint32_t bits)
{
    (void)facts;
    (void)layout;
    (void)offset;
    (void)size;
    (void)bits;
    return NULL;
}
