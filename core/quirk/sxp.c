/* SPDX-License-Identifier: MIT */
#include "quirk/sxp.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/facts.h"
#include "pci/regs.h"

/*
 * The file is a list of s-expressions; '#' begins a comment:
 *
 *     (tg3 (pci_ids ('14e4:1644' '14e4:1645:1028:0106' …))
 *          (pci_config_space_fields ('00000078:4:00000000' …)))
 *
 * Ids are vendor:device[:subvendor:subdevice], fields register:size:mask, all hexadecimal. The mask
 * was never used by xend, and the file tells to write 0 there.
 */

#define DEPTH_MAX   8 /* real files have 3 */
#define ATOM_MAX    64
#define ENTRIES_MAX 512 /* ids or fields of an entry; real ones have 45 and 11 */
#define QUIRKS_MAX  256

enum token { END, OPEN, CLOSE, ATOM, WRONG };

struct parser {
    const char *text;
    size_t length, at;
    unsigned line;
    char atom[ATOM_MAX + 1];
    char *why;
    size_t why_size;
};

/* What is read of one entry. */
struct entry {
    char name[ATOM_MAX + 1];
    json_t *groups; /* what becomes the matches: each one vendor, one subsystem, many devices */
    json_t *fields;
    unsigned id_count;
};

__attribute__((format(printf, 2, 3))) static bool bad(struct parser *p, const char *fmt, ...)
{
    int n = snprintf(p->why, p->why_size, "line %u: ", p->line);
    size_t used = n < 0 ? 0 : (size_t)n;
    va_list ap;

    if (used < p->why_size) {
        va_start(ap, fmt);
        (void)vsnprintf(p->why + used, p->why_size - used, fmt, ap);
        va_end(ap);
    }
    return false;
}

static bool skip_blanks(struct parser *p)
{
    bool comment = false;

    for (; p->at < p->length; p->at++) {
        char c = p->text[p->at];

        if (c == '\n') {
            p->line++;
            comment = false;
        } else if (c == '#') {
            comment = true;
        } else if (!comment && c != ' ' && c != '\t' && c != '\r') {
            return true;
        }
    }
    return false;
}

static bool plain(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_-+.:/@*", c));
}

static enum token read_atom(struct parser *p)
{
    char quote = p->text[p->at];
    size_t n = 0;

    if (quote == '\'' || quote == '"')
        p->at++;
    else
        quote = 0;
    for (; p->at < p->length && plain(p->text[p->at]); p->at++) {
        if (n == ATOM_MAX) {
            (void)bad(p, "a word of more than %d characters", ATOM_MAX);
            return WRONG;
        }
        p->atom[n++] = p->text[p->at];
    }
    p->atom[n] = 0;
    if (quote && (p->at == p->length || p->text[p->at++] != quote)) {
        (void)bad(p, "a quoted word does not end");
        return WRONG;
    }
    if (n == 0) {
        (void)bad(p, "neither a list nor a word");
        return WRONG;
    }
    return ATOM;
}

static enum token next(struct parser *p)
{
    if (!skip_blanks(p))
        return END;
    switch (p->text[p->at]) {
    case '(':
        p->at++;
        return OPEN;
    case ')':
        p->at++;
        return CLOSE;
    default:
        return read_atom(p);
    }
}

/* "14e4:1644" into COUNT numbers; how many there are, 0: not well-formed. */
static unsigned numbers(const char *text, uint32_t *ret, unsigned count)
{
    unsigned n = 0;

    while (n < count) {
        unsigned digits = 0;

        ret[n] = 0;
        for (; isxdigit((unsigned char)*text); text++, digits++) {
            char c = (char)(*text | 0x20);

            ret[n] = ret[n] << 4 | (uint32_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
        }
        if (digits == 0 || digits > 8)
            return 0;
        n++;
        if (*text == 0)
            return n;
        if (*text++ != ':')
            return 0;
    }
    return 0;
}

static json_t *hex(uint32_t value, int digits)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "0x%0*x", digits, value);
    return json_string(text);
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

    return x && y ? json_equal(x, y) : x == y;
}

/*
 * The match for this vendor and subsystem: one names only one of each. Programs that read this file
 * take ffff for any subsystem, as libpci does; 0000:0000 is what devices without one have.
 */
static json_t *group_of(json_t *groups, const uint32_t *id, bool subsystem)
{
    json_t *match = json_pack("{s:o, s:[]}", "vendor", hex(id[0], 4), "device"), *other;
    size_t i;

    /* a device's number means nothing without its vendor's */
    subsystem = subsystem && id[2] != 0xffff && (id[2] | id[3]) != 0;
    if (match && subsystem)
        (void)json_object_set_new(match, "subsystem_vendor", hex(id[2], 4));
    if (match && subsystem && id[3] != 0xffff)
        (void)json_object_set_new(match, "subsystem_device", hex(id[3], 4));
    json_array_foreach (groups, i, other) {
        if (match && same(match, other, "vendor") && same(match, other, "subsystem_vendor") &&
            same(match, other, "subsystem_device")) {
            json_decref(match);
            return other;
        }
    }
    return json_array_append_new(groups, match) ? NULL : match;
}

static bool holds(const json_t *array, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (json_equal(json_array_get(array, i), value))
            return true;
    }
    return false;
}

static bool add_id(struct parser *p, struct entry *entry)
{
    uint32_t id[4] = { 0 };
    unsigned n = numbers(p->atom, id, 4);
    json_t *match, *devices, *device;

    if (n != 2 && n != 4)
        return bad(p, "'%s' is not vendor:device or vendor:device:subvendor:subdevice", p->atom);
    for (unsigned i = 0; i < n; i++) {
        if (id[i] > 0xffff)
            return bad(p, "'%s': an id has at most four digits", p->atom);
    }
    if (++entry->id_count > ENTRIES_MAX)
        return bad(p, "more than %d ids", ENTRIES_MAX);
    match = group_of(entry->groups, id, n == 4);
    devices = json_object_get(match, "device");
    device = hex(id[1], 4);
    if (!holds(devices, device))
        (void)json_array_append(devices, device);
    json_decref(device);
    return match || bad(p, "out of memory");
}

/* Registers are aligned to their size, so that two of them nest or are disjoint: keeps the wider.
 */
static bool covered(json_t *fields, uint32_t at, unsigned size)
{
    for (size_t i = json_array_size(fields); i-- > 0;) {
        const json_t *field = json_array_get(fields, i);
        uint32_t other =
            (uint32_t)strtoul(json_string_value(json_object_get(field, "at")), NULL, 0);
        unsigned other_size = (unsigned)json_integer_value(json_object_get(field, "size"));

        if (other <= at && at + size <= other + other_size)
            return true;
        if (at <= other && other + other_size <= at + size)
            (void)json_array_remove(fields, i);
    }
    return false;
}

static bool add_field(struct parser *p, struct entry *entry)
{
    uint32_t field[3];
    unsigned size;

    if (numbers(p->atom, field, 3) != 3)
        return bad(p, "'%s' is not register:size:mask", p->atom);
    size = field[1];
    if (size != 1 && size != 2 && size != 4)
        return bad(p, "'%s': the size is 1, 2 or 4 bytes", p->atom);
    if (field[0] % size || field[0] > PB_CONFIG_SIZE_PCIE - size)
        return bad(p, "'%s': no register of that size is there", p->atom);
    if (field[0] < PCI_HEADER_END)
        return bad(p, "'%s': registers of the header have rules of their own", p->atom);
    if (json_array_size(entry->fields) == ENTRIES_MAX)
        return bad(p, "more than %d fields", ENTRIES_MAX);
    if (covered(entry->fields, field[0], size))
        return true;
    if (json_array_append_new(entry->fields,
                              json_pack("{s:o, s:i, s:o, s:s}", "at", hex(field[0], 2), "size",
                                        (int)size, "write", hex(pb_ones(size), (int)(2 * size)),
                                        "why", "xend let the guest write it")))
        return bad(p, "out of memory");
    return true;
}

/* The rest of a list whose '(' and first word are read; each word of it goes to ADD. */
static bool read_words(struct parser *p, struct entry *entry,
                       bool (*add)(struct parser *p, struct entry *entry))
{
    unsigned depth = 1;

    while (depth > 0) {
        switch (next(p)) {
        case OPEN:
            if (++depth > DEPTH_MAX)
                return bad(p, "lists nest deeper than %d", DEPTH_MAX);
            break;
        case CLOSE:
            depth--;
            break;
        case ATOM:
            if (!add(p, entry))
                return false;
            break;
        case END:
            return bad(p, "the file ends within a list");
        case WRONG:
        default:
            return false;
        }
    }
    return true;
}

/* A word is expected; anything else is an error. */
static bool read_name(struct parser *p, const char *what)
{
    enum token token = next(p);

    if (token == WRONG)
        return false;
    return token == ATOM || bad(p, "%s is expected", what);
}

/* "(pci_ids …) (pci_config_space_fields …))": the rest of an entry. */
static bool read_parts(struct parser *p, struct entry *entry)
{
    enum token token;

    while ((token = next(p)) == OPEN) {
        bool ok;

        if (!read_name(p, "pci_ids or pci_config_space_fields"))
            return false;
        if (strcmp(p->atom, "pci_ids") == 0)
            ok = read_words(p, entry, add_id);
        else if (strcmp(p->atom, "pci_config_space_fields") == 0)
            ok = read_words(p, entry, add_field);
        else
            return bad(p, "'%s' is neither pci_ids nor pci_config_space_fields", p->atom);
        if (!ok)
            return false;
    }
    if (token == WRONG)
        return false;
    if (token != CLOSE)
        return bad(p, token == END ? "the file ends within an entry" : "a list is expected");
    if (json_array_size(entry->groups) == 0 || json_array_size(entry->fields) == 0)
        return bad(p, "entry '%s' has no %s", entry->name,
                   json_array_size(entry->groups) == 0 ? "pci_ids" : "pci_config_space_fields");
    return true;
}

/* Lower case letters, digits and dashes, as ids are. */
static void to_id(char *name)
{
    for (char *c = name; *c; c++)
        *c = (char)(isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '-');
}

static bool id_is_taken(const json_t *quirks, const char *id)
{
    for (size_t i = 0; i < json_array_size(quirks); i++) {
        const json_t *quirk = json_array_get(quirks, i);

        if (strcmp(json_string_value(json_object_get(quirk, "id")), id) == 0)
            return true;
    }
    return false;
}

/* "tg3", or "tg3-14e4" when there are several; a number makes it unique. */
static void name_quirk(const json_t *quirks, const struct entry *entry, const json_t *match,
                       char *ret, size_t size)
{
    const char *vendor = json_string_value(json_object_get(match, "vendor")) + 2;
    bool several = json_array_size(entry->groups) > 1;
    int length = snprintf(ret, size, "xend-%.40s%s%s", entry->name, several ? "-" : "",
                          several ? vendor : "");

    for (unsigned i = 2; id_is_taken(quirks, ret); i++)
        (void)snprintf(ret + length, size - (size_t)length, "-%u", i);
}

static bool add_quirks(struct parser *p, struct entry *entry, json_t *quirks)
{
    json_t *match;
    size_t i;

    to_id(entry->name);
    json_array_foreach (entry->groups, i, match) {
        char id[ATOM_MAX + 32], reason[2 * ATOM_MAX + 64];
        json_t *quirk;

        if (json_array_size(quirks) == QUIRKS_MAX)
            return bad(p, "more than %d quirks", QUIRKS_MAX);
        name_quirk(quirks, entry, match, id, sizeof(id));
        (void)snprintf(reason, sizeof(reason),
                       "imported: xend let guests write these registers of %s", entry->name);
        quirk =
            json_pack("{s:s, s:s, s:s, s:O, s:O, s:b}", "id", id, "reason", reason, "source",
                      "https://github.com/xen-project/xen/blob/"
                      "3b71aa2851c9c93dafe8250b78c21b4472410e44/tools/examples/xend-pci-quirks.sxp",
                      "match", match, "fields", entry->fields, "unsafe", true);
        if (json_array_append_new(quirks, quirk))
            return bad(p, "out of memory");
    }
    return true;
}

static bool read_entry(struct parser *p, json_t *quirks)
{
    struct entry entry = { .groups = json_array(), .fields = json_array() };
    bool ok = false;

    if (!entry.groups || !entry.fields)
        (void)bad(p, "out of memory");
    else if (read_name(p, "the name of an entry")) {
        memcpy(entry.name, p->atom, sizeof(entry.name));
        ok = read_parts(p, &entry) && add_quirks(p, &entry, quirks);
    }
    json_decref(entry.groups);
    json_decref(entry.fields);
    return ok;
}

json_t *pb_sxp_import(const char *text, size_t length, char *why, size_t why_size)
{
    struct parser p = {
        .text = text, .length = length, .line = 1, .why = why, .why_size = why_size
    };
    json_t *quirks = json_array(), *file;
    enum token token = END;
    bool ok = quirks || bad(&p, "out of memory");

    while (ok && (token = next(&p)) == OPEN)
        ok = read_entry(&p, quirks);
    if (ok && token != END)
        ok = token == WRONG ? false : bad(&p, "an entry begins with '('");
    if (ok && json_array_size(quirks) == 0)
        ok = bad(&p, "the file has no entry");
    if (!ok) {
        json_decref(quirks);
        return NULL;
    }
    file = json_pack("{s:i, s:o}", "schema", 1, "quirks", quirks);
    if (!file)
        (void)bad(&p, "out of memory");
    return file;
}
