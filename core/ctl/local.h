/* SPDX-License-Identifier: MIT */
/*
 * What pcibackctl does itself, so that a quirk can be written and checked on any machine. Each
 * returns what the daemon would (the schema of its method describes both), or NULL with a sentence
 * in WHY and what to do in NEXT, each of SIZE bytes.
 */
#ifndef PB_CTL_LOCAL_H
#define PB_CTL_LOCAL_H

#include "ctl/command.h"

json_t *pb_ctl_local_list(const struct pb_ctl_command *command, char *why, char *next, size_t size);
json_t *pb_ctl_local_validate(const struct pb_ctl_command *command, char *why, char *next,
                              size_t size);
json_t *pb_ctl_local_query(const struct pb_ctl_command *command, char *why, char *next,
                           size_t size);
json_t *pb_ctl_local_explain(const struct pb_ctl_command *command, char *why, char *next,
                             size_t size);
json_t *pb_ctl_local_map(const struct pb_ctl_command *command, char *why, char *next, size_t size);
json_t *pb_ctl_local_import(const struct pb_ctl_command *command, char *why, char *next,
                            size_t size);

#endif
