/* SPDX-License-Identifier: MIT */
/* Files of our own that are there whole or not at all, whenever the machine stops. */
#ifndef PB_HOST_FILE_H
#define PB_HOST_FILE_H

#include <sys/types.h>

/*
 * DIR/NAME holds TEXT afterwards, or what it held before: written beside it as DIR/TEMPORARY,
 * synced, renamed, and the directory synced. 0 or negative errno.
 */
int pb_file_replace(const char *dir, const char *name, const char *temporary, const char *text,
                    mode_t mode);
/* The same for its removal; 0 when it is not there. */
int pb_file_remove(const char *dir, const char *name);
/* Its beginning, as much as fits, with a NUL. -EPROTO: nothing is in it, or it cannot be read. */
int pb_file_read(const char *path, char *text, size_t size);

#endif
