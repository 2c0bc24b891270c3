/* SPDX-License-Identifier: MIT */
/* `map`: the configuration space as a picture, a cell a byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "ctl/print.h"
#include "pci/facts.h"

#define TEXT        256
#define ORIGINS_ROW 8 /* names at the end of a row */

/* How a class looks: letter, colour of the 256 of terminals (background), meaning. */
#define CLASSES(X)                                                            \
    X('h', 236, "hw", "read from the device, writes are dropped")             \
    X('k', 242, "known", "read from the device, once until its next reset")   \
    X('w', 28, "write", "read and written through")                           \
    X('c', 130, "w1c", "written through; ones clear")                         \
    X('v', 25, "virtual", "this guest's own, the device never sees it")       \
    X('f', 90, "fixed", "a constant")                                         \
    X('m', 240, "several", "bits of more than one class; see quirks explain") \
    X('p', 124, "plugin", "a plugin decides")                                 \
    X('.', 232, "hidden", "reads 0, writes are dropped")

static const struct look {
    char letter;
    unsigned color;
    const char *name, *meaning;
} looks[] = {
#define X(letter, color, name, meaning) { letter, color, name, meaning },
    CLASSES(X)
#undef X
};

/* The result, checked and unpacked. */
struct picture {
    bool color;
    unsigned size, row; /* bytes, in all and of a row */
    const char *classes;
    const json_t *origins;
    uint16_t origin[PB_CONFIG_SIZE_PCIE];
};

static const struct look *look_of(char letter)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(looks); i++) {
        if (looks[i].letter == letter)
            return &looks[i];
    }
    return &looks[0];
}

static bool want_color(const struct pb_ctl_command *command)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    if (command->color != PB_CTL_COLOR_AUTO)
        return command->color == PB_CTL_COLOR_ALWAYS;
    return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) &&
           !(term && strcmp(term, "dumb") == 0);
}

/* Run lengths to one origin a byte; what they do not cover has the first one. */
static void unpack_origins(struct picture *p, const json_t *runs)
{
    unsigned at = 0;

    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        json_int_t count = json_integer_value(json_array_get(run, 0));
        json_int_t index = json_integer_value(json_array_get(run, 1));

        for (; count > 0 && at < p->size; count--, at++)
            p->origin[at] = index > 0 && index <= UINT16_MAX ? (uint16_t)index : 0;
    }
}

static bool unpack(struct picture *p, const struct pb_ctl_command *command, const json_t *result)
{
    const char *classes = json_string_value(json_object_get(result, "classes"));
    size_t length = classes ? strlen(classes) : 0;

    if (!length || length > PB_CONFIG_SIZE_PCIE)
        return false;
    *p = (struct picture){ .color = want_color(command),
                           .size = (unsigned)length,
                           .row = length > PB_CONFIG_SIZE_PCI ? 32 : 16,
                           .classes = classes,
                           .origins = json_object_get(result, "origins") };
    unpack_origins(p, json_object_get(result, "origin_of"));
    return true;
}

static void print_cell(const struct picture *p, char letter)
{
    if (p->color)
        (void)printf("\033[48;5;%um\033[97m%c \033[0m", look_of(letter)->color, letter);
    else
        (void)putchar(letter);
}

/* "" for bytes that no rule names. */
static const char *origin_name(const struct picture *p, unsigned at, char *buf, size_t size)
{
    const json_t *name = json_array_get(p->origins, p->origin[at]);

    (void)pb_ctl_clean(json_string_value(name), buf, size);
    if (strcmp(buf, "default") == 0)
        buf[0] = '\0';
    return buf;
}

/* The origins of a row, each once, in order. */
static void print_origins(const struct picture *p, unsigned from, unsigned to)
{
    uint16_t seen[ORIGINS_ROW];
    unsigned count = 0;

    for (unsigned at = from; at < to; at++) {
        char text[TEXT];
        bool known = !origin_name(p, at, text, sizeof(text))[0];

        for (unsigned i = 0; i < count; i++)
            known = known || seen[i] == p->origin[at];
        if (known)
            continue;
        if (count == ORIGINS_ROW) {
            (void)printf(", ...");
            return;
        }
        seen[count] = p->origin[at];
        (void)printf("%s%s", count ? ", " : "  ", text);
        count++;
    }
}

static void print_row(const struct picture *p, unsigned from)
{
    unsigned to = from + p->row < p->size ? from + p->row : p->size;

    (void)printf("0x%03x ", from);
    for (unsigned at = from; at < to; at++) {
        if (at % 4 == 0)
            (void)putchar(' ');
        print_cell(p, p->classes[at]);
    }
    print_origins(p, from, to);
    (void)putchar('\n');
}

/* Where the run of bytes ends that are like the one at FROM. */
static unsigned run_end(const struct picture *p, unsigned from)
{
    unsigned at = from;

    while (at < p->size && p->classes[at] == p->classes[from] && p->origin[at] == p->origin[from])
        at++;
    return at;
}

/* Beyond the first 256 bytes, whole rows that say the same are one line. */
static unsigned print_run(const struct picture *p, unsigned from)
{
    unsigned end = run_end(p, from);

    if (end < p->size)
        end -= end % p->row;
    if (from < PB_CONFIG_SIZE_PCI || end < from + 2 * p->row)
        return from;
    (void)printf("0x%03x-0x%03x: %u bytes, %s", from, end - 1, end - from,
                 look_of(p->classes[from])->name);
    print_origins(p, from, from + 1);
    (void)putchar('\n');
    return end;
}

static void print_legend(const struct picture *p)
{
    (void)putchar('\n');
    for (unsigned i = 0; i < PB_ARRAY_SIZE(looks); i++) {
        if (!memchr(p->classes, looks[i].letter, p->size))
            continue;
        print_cell(p, looks[i].letter);
        (void)printf(" %-8s %s\n", looks[i].name, looks[i].meaning);
    }
}

void pb_ctl_print_map(const struct pb_ctl_command *command, const json_t *result)
{
    struct picture p;

    if (!unpack(&p, command, result)) {
        (void)printf("no configuration space\n");
        return;
    }
    for (unsigned at = 0; at < p.size;) {
        unsigned end = print_run(&p, at);

        if (end == at) {
            print_row(&p, at);
            end = at + p.row;
        }
        at = end;
    }
    print_legend(&p);
}
