/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <ftw.h>
#include <stdio.h>

#define DESCRIPTORS 16 /* of directories, at once */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void pb_tree_remove(const char *path)
{
    (void)nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}
