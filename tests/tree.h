/* SPDX-License-Identifier: MIT */
/* Directories that tests make. */
#ifndef PB_TESTS_TREE_H
#define PB_TESTS_TREE_H

/* Removes PATH and all that is in it; links are not followed, what cannot be removed stays. */
void pb_tree_remove(const char *path);

#endif
