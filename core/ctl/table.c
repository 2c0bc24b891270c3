/* SPDX-License-Identifier: MIT */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void pb_table_init(struct pb_table *table, const char *const *headers)
{
    *table = (struct pb_table){ 0 };
    while (headers[table->columns])
        table->columns++;
    PB_ASSERT(table->columns <= PB_TABLE_COLUMNS_MAX);
    for (unsigned i = 0; i < table->columns; i++)
        pb_table_add(table, "%s", headers[i]);
}

void pb_table_add(struct pb_table *table, const char *fmt, ...)
{
    char **grown = reallocarray(table->cells, table->count + 1, sizeof(*grown));
    va_list ap;

    if (!grown)
        abort(); /* a command line tool without memory has nothing to save */
    table->cells = grown;
    va_start(ap, fmt);
    if (vasprintf(&table->cells[table->count], fmt, ap) < 0)
        abort();
    va_end(ap);
    table->count++;
}

/* Characters, not bytes: names may be UTF-8. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Are the cells behind this one, in its row, all empty? */
static bool ends_row(const struct pb_table *table, size_t i)
{
    for (i++; i < table->count && i % table->columns != 0; i++) {
        if (table->cells[i][0])
            return false;
    }
    return true;
}

void pb_table_print(struct pb_table *table)
{
    size_t width[PB_TABLE_COLUMNS_MAX] = { 0 };

    for (size_t i = 0; i < table->count; i++) {
        size_t w = width_of(table->cells[i]), column = i % table->columns;

        if (w > width[column])
            width[column] = w;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;

        /* no blanks at the end of a line */
        if (ends_row(table, i))
            (void)printf("%s", table->cells[i]);
        else
            (void)printf("%s%*s", table->cells[i],
                         (int)(width[column] - width_of(table->cells[i]) + 2), "");
        if (column + 1 == table->columns)
            (void)putchar('\n');
    }
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free((void *)table->cells);
    *table = (struct pb_table){ 0 };
}
