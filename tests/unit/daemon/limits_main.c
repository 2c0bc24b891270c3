/* SPDX-License-Identifier: MIT */
/* The tables of limits as JSON, for contrib/limits. */
#include <jansson.h>
#include <stdio.h>

#include "daemon/limits.h"

int main(void)
{
    json_t *limits = json_array(), *bounds = json_array(), *all;
    const struct pb_limit *limit;
    const struct pb_bound *bound;
    size_t count;
    int rc;

    limit = pb_limits_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(
            limits, json_pack("{s:s, s:I, s:I, s:I, s:b, s:s}", "name", limit[i].name, "default",
                              (json_int_t)limit[i].fallback, "min", (json_int_t)limit[i].min, "max",
                              (json_int_t)limit[i].max, "at_start", pb_limits_at_start(&limit[i]),
                              "help", limit[i].help));
    bound = pb_bounds_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(bounds,
                                    json_pack("{s:s, s:I, s:s}", "name", bound[i].name, "value",
                                              (json_int_t)bound[i].value, "help", bound[i].help));
    all = json_pack("{s:o, s:o}", "limits", limits, "bounds", bounds);
    rc = json_dumpf(all, stdout, JSON_INDENT(1));
    json_decref(all);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}
