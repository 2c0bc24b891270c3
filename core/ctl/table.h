/* SPDX-License-Identifier: MIT */
/* Rows with aligned columns, for people. */
#ifndef PB_CTL_TABLE_H
#define PB_CTL_TABLE_H

#include <stddef.h>

#define PB_TABLE_COLUMNS_MAX 10

struct pb_table {
    unsigned columns;
    char **cells; /* row after row */
    size_t count;
};

/* HEADERS ends with NULL. */
void pb_table_init(struct pb_table *table, const char *const *headers);
/* The next cell, in order. */
__attribute__((format(printf, 2, 3))) void pb_table_add(struct pb_table *table, const char *fmt,
                                                        ...);
/* Prints to stdout and frees. */
void pb_table_print(struct pb_table *table);

#endif
