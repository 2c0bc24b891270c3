/* SPDX-License-Identifier: MIT */
/*
 * Results for people. What the daemon says may hold a guest's words: control characters are never
 * printed.
 */
#ifndef PB_CTL_PRINT_H
#define PB_CTL_PRINT_H

#include "ctl/command.h"

/* device.c */
void pb_ctl_print_list(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_show(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_change(const struct pb_ctl_command *command, const json_t *result);
/* print.c */
void pb_ctl_print_guests(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_stats(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_check(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_judge_check(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_version(const struct pb_ctl_command *command, const json_t *result);
/* prometheus.c: text format 0.0.4, for a textfile collector */
void pb_ctl_print_prometheus(const json_t *result);
/* explain.c */
void pb_ctl_print_explain(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_quirks(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_query(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_problems(const struct pb_ctl_command *command, const json_t *result);
/* A line each: "error: …", "warning: …". */
void pb_ctl_print_problem_list(const json_t *problems);
int pb_ctl_judge_problems(const struct pb_ctl_command *command, const json_t *result);
/* picture.c */
void pb_ctl_print_map(const struct pb_ctl_command *command, const json_t *result);
/* accesses.c */
void pb_ctl_print_denied(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_suggestion(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_judge_suggestion(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_trace(const struct pb_ctl_command *command, const json_t *result);
/* slots.c */
void pb_ctl_print_slots(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_slot(const struct pb_ctl_command *command, const json_t *result);
void pb_ctl_print_why(const struct pb_ctl_command *command, const json_t *result);
/* reload.c */
void pb_ctl_print_reload(const struct pb_ctl_command *command, const json_t *result);

/* text.c: what all of them use */
void pb_ctl_print_json(const struct pb_ctl_command *command, const json_t *result);
/* Copies TEXT to BUF with '?' for each control character and returns BUF. NULL is "". */
const char *pb_ctl_clean(const char *text, char *buf, size_t size);
/* A member of OBJECT as text, cleaned; numbers are written out, null is "". */
const char *pb_ctl_text(const json_t *object, const char *key, char *buf, size_t size);
/* The same, with "-" instead of "". */
const char *pb_ctl_cell(const json_t *object, const char *key, char *buf, size_t size);
/* A member that is an integer or a text "0x…"; 0 when it is neither. */
unsigned long long pb_ctl_number(const json_t *object, const char *key);
const char *pb_ctl_or_dash(const char *text);
/* "LABEL            VALUE" */
void pb_ctl_line(const char *label, const char *value);

#endif
