/* SPDX-License-Identifier: MIT */
#include "host/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* "--helper FD", each of these with a value, then each list as "NAME COUNT WORD...". */
enum text { SYSFS, PROC, LIB_DIR, BOOT_DIR, CONFIG_DIR, RUN_DIR, STORE, UID, TEXT_COUNT };
static const char *const names[TEXT_COUNT] = {
    [SYSFS] = "--sysfs",           [PROC] = "--proc",
    [LIB_DIR] = "--lib-dir",       [BOOT_DIR] = "--boot-dir",
    [CONFIG_DIR] = "--config-dir", [RUN_DIR] = "--run-dir",
    [STORE] = "--store",           [UID] = "--uid",
};
#define PLUGIN_DIRS "--plugin-dirs"
#define DRIVERS     "--drivers"
#define HEAD        3 /* the program's name, "--helper", FD */
#define WORDS_MAX   4096

struct numbers {
    char uid[12], plugin_dirs[12], drivers[12];
};

static const char *plain(const char *text)
{
    return text ? text : "";
}

char **pb_arguments_make(const struct pb_host_options *o, const char *number)
{
    const size_t count = HEAD + 2 * TEXT_COUNT + 4 + o->plugin_dir_count + o->driver_count + 1;
    const char **words = calloc(1, count * sizeof(*words) + sizeof(struct numbers));
    struct numbers *n = words ? (struct numbers *)(void *)(words + count) : NULL;
    size_t at = 0;

    if (!words)
        return NULL;
    (void)snprintf(n->uid, sizeof(n->uid), "%u", o->uid);
    (void)snprintf(n->plugin_dirs, sizeof(n->plugin_dirs), "%u", (unsigned)o->plugin_dir_count);
    (void)snprintf(n->drivers, sizeof(n->drivers), "%u", (unsigned)o->driver_count);
    const char *const values[TEXT_COUNT] = {
        [SYSFS] = o->sysfs,           [PROC] = o->proc,
        [LIB_DIR] = o->lib_dir,       [BOOT_DIR] = o->boot_dir,
        [CONFIG_DIR] = o->config_dir, [RUN_DIR] = o->run_dir,
        [STORE] = o->store,           [UID] = n->uid,
    };

    words[at++] = "pcibackd-helper";
    words[at++] = "--helper";
    words[at++] = number;
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        words[at++] = names[i];
        words[at++] = plain(values[i]);
    }
    words[at++] = PLUGIN_DIRS;
    words[at++] = n->plugin_dirs;
    for (size_t i = 0; i < o->plugin_dir_count; i++)
        words[at++] = o->plugin_dirs[i];
    words[at++] = DRIVERS;
    words[at++] = n->drivers;
    for (size_t i = 0; i < o->driver_count; i++)
        words[at++] = o->drivers[i];
    PB_ASSERT(at + 1 == count);
    return (char **)(uintptr_t)words;
}

static bool read_number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    *ret = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && *ret <= max;
}

/* From ARGV[*at]: NAME COUNT WORD... */
static bool take_list(int argc, char **argv, int *at, const char *name,
                      const char *const **ret_words, size_t *ret_count)
{
    unsigned long count;

    if (*at + 2 > argc || strcmp(argv[*at], name) != 0 ||
        !read_number(argv[*at + 1], WORDS_MAX, &count) || (int)count > argc - *at - 2)
        return false;
    *ret_words = (const char *const *)(argv + *at + 2);
    *ret_count = count;
    *at += 2 + (int)count;
    return true;
}

bool pb_arguments_take(int argc, char **argv, struct pb_host_options *ret, int *ret_fd)
{
    const char *values[TEXT_COUNT];
    unsigned long fd, uid;
    int at = HEAD;

    if (argc < HEAD + 2 * (int)TEXT_COUNT || strcmp(argv[1], "--helper") != 0 ||
        !read_number(argv[2], 1UL << 20, &fd))
        return false;
    for (unsigned i = 0; i < TEXT_COUNT; i++, at += 2) {
        if (strcmp(argv[at], names[i]) != 0)
            return false;
        values[i] = argv[at + 1];
    }
    if (!read_number(values[UID], UINT32_MAX, &uid))
        return false;
    *ret = (struct pb_host_options){ .sysfs = values[SYSFS],
                                     .proc = values[PROC],
                                     .lib_dir = values[LIB_DIR],
                                     .boot_dir = values[BOOT_DIR],
                                     .config_dir = values[CONFIG_DIR],
                                     .run_dir = values[RUN_DIR],
                                     .store = values[STORE],
                                     .uid = (uint32_t)uid };
    *ret_fd = (int)fd;
    return take_list(argc, argv, &at, PLUGIN_DIRS, &ret->plugin_dirs, &ret->plugin_dir_count) &&
           take_list(argc, argv, &at, DRIVERS, &ret->drivers, &ret->driver_count) && at == argc;
}
