/* SPDX-License-Identifier: MIT */
#include "host/surroundings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/*
 * In sysfs a device's real path leads through the bridges above it: the last names that are
 * addresses. The first is said in full, of the others what bus numbers cannot change.
 */
static void read_path(const struct pb_sysfs *fs, char ret[PB_PATH_TEXT])
{
    char real[PATH_MAX], *at, *save = NULL;
    size_t n = 0;

    ret[0] = '\0';
    if (!realpath(fs->device, real))
        return;
    for (at = strtok_r(real, "/", &save); at; at = strtok_r(NULL, "/", &save)) {
        struct pb_sbdf sbdf;

        if (strlen(at) != PB_SBDF_TEXT - 1 || !pb_sbdf_parse(at, &sbdf))
            n = 0;
        else if (n == 0)
            n = (size_t)snprintf(ret, PB_PATH_TEXT, "%s", at);
        else if (n < PB_PATH_TEXT)
            n += (size_t)snprintf(ret + n, PB_PATH_TEXT - n, "/%s", at + strlen("0000:00:"));
    }
    if (n == 0 || n >= PB_PATH_TEXT)
        ret[0] = '\0';
}

static void read_functions(const struct pb_sysfs *fs, struct pb_surroundings *ret)
{
    char path[PATH_MAX], target[256], number[16], *end;
    const char *name;
    unsigned long count;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "%s/physfn", fs->device);
    n = readlink(path, target, sizeof(target) - 1);
    if (n > 0) {
        target[n] = '\0';
        name = strrchr(target, '/');
        ret->has_physical_function =
            pb_sbdf_parse(name ? name + 1 : target, &ret->physical_function);
    }
    if (pb_sysfs_read(fs, "sriov_numvfs", number, sizeof(number)) != 0)
        return;
    count = strtoul(number, &end, 10);
    if (end != number && !*end)
        ret->virtual_functions = (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX);
}

void pb_surroundings_read(const struct pb_sysfs *fs, const char *proc, struct pb_surroundings *ret)
{
    memset(ret, 0, sizeof(*ret));
    read_path(fs, ret->path);
    if (!pb_sysfs_pluggable(fs, ret->port))
        ret->port[0] = '\0';
    read_functions(fs, ret);
    pb_uses_read(fs, proc, ret);
    pb_neighbours_read(fs, ret);
}
