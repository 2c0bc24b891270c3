/* SPDX-License-Identifier: MIT */
/*
 * Configuration files: the input is up to three of them, with NUL bytes between: the file, one of
 * its directory, and that of saved slots. An error names its place; what is taken keeps its own
 * rules, reads the same a second time, and makes udev rules of one line each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "daemon/boot_rules.h"
#include "daemon/config.h"
#include "fuzz.h"

static char dir[] = "/tmp/pcibackd-fuzz-XXXXXX";
static char paths[3][96], fragments[64];

static void remove_all(void)
{
    for (unsigned i = 0; i < 3; i++)
        (void)unlink(paths[i]);
    (void)rmdir(fragments);
    (void)rmdir(dir);
}

static void setup(void)
{
    if (paths[0][0])
        return;
    PB_ASSERT(mkdtemp(dir));
    (void)snprintf(fragments, sizeof(fragments), "%s/pcibackd.d", dir);
    PB_ASSERT(mkdir(fragments, 0700) == 0);
    (void)snprintf(paths[0], sizeof(paths[0]), "%s/pcibackd.json", dir);
    (void)snprintf(paths[1], sizeof(paths[1]), "%s/pcibackd.d/10-more.json", dir);
    (void)snprintf(paths[2], sizeof(paths[2]), "%s/pcibackd.d/" PB_CONFIG_SAVED, dir);
    (void)atexit(remove_all);
}

/* Writes the part of the input up to the next NUL; no file without one. */
static void write_part(const char *path, const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, 0, *size);
    size_t n = end ? (size_t)(end - *data) : *size;
    FILE *file;

    (void)unlink(path);
    if (n > 0) {
        file = fopen(path, "we");
        PB_ASSERT(file && fwrite(*data, 1, n, file) == n);
        (void)fclose(file);
    }
    *data += n + (end ? 1 : 0);
    *size -= n + (end ? 1 : 0);
}

static void check_words(const struct pb_config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        PB_ASSERT(words->word[i] && words->word[i][0]);
}

static void check_device(const struct pb_policy *policy, size_t at)
{
    const struct pb_device_policy *dev = &policy->devices[at];
    const char *why;

    PB_ASSERT(!dev->name[0] || pb_name_check(dev->name, &why));
    PB_ASSERT(dev->driver[0] && !strchr(dev->driver, '/'));
    PB_ASSERT(pb_policy_device(policy, dev->sbdf) == dev);
    for (size_t i = 0; i < at; i++)
        PB_ASSERT(!dev->name[0] || strcmp(dev->name, policy->devices[i].name) != 0);
}

static void check_policy(const struct pb_policy *policy)
{
    const char *why;

#define X(name, fallback, min, max, help) \
    PB_ASSERT(policy->limits.name >= (min) && policy->limits.name <= (max));
    PB_LIMITS(X)
#undef X
    PB_ASSERT(policy->busy_poll_us <= PB_BUSY_POLL_US_MAX);
    for (size_t i = 0; i < policy->device_count; i++)
        check_device(policy, i);
    for (size_t i = 0; i < policy->guest_count; i++)
        PB_ASSERT(pb_name_check(policy->guests[i].name, &why));
    for (size_t i = 0; i < policy->assignment_count; i++) {
        struct pb_sbdf sbdf;

        PB_ASSERT(pb_sbdf_parse(policy->assignments[i].device, &sbdf));
        for (size_t k = 0; k < i; k++)
            PB_ASSERT(strcmp(policy->assignments[i].device, policy->assignments[k].device) != 0);
    }
}

/* What a name says may not become a rule of its own. */
static void check_boot_rules(const struct pb_policy *policy)
{
    char *text = NULL, *line, *rest;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    PB_ASSERT(out && pb_boot_rules_print(policy, out) == 0 && fclose(out) == 0);
    PB_ASSERT(strlen(text) == length);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        PB_ASSERT(line[0] == '#' || strncmp(line, "ACTION", 6) == 0 ||
                  strncmp(line, "SUBSYSTEM", 9) == 0 || strncmp(line, "KERNEL", 6) == 0 ||
                  strncmp(line, "LABEL", 5) == 0 || strncmp(line, "GOTO", 4) == 0 ||
                  line[0] == ' ');
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pb_json_error error = { 0 }, again = { 0 };
    struct pb_config *config, *second;

    setup();
    for (unsigned i = 0; i < 3; i++)
        write_part(paths[i], &data, &size);
    config = pb_config_load(paths[0], false, true, &error);
    second = pb_config_load(paths[0], false, true, &again);
    PB_ASSERT((config == NULL) == (second == NULL) && (config == NULL) == error.set);
    if (error.set) {
        PB_ASSERT(strncmp(error.text, dir, strlen(dir)) == 0 &&
                  strcmp(error.text, again.text) == 0);
        return 0;
    }
    PB_ASSERT(config->socket[0] == '/' && config->state_dir[0] == '/' && config->group[0]);
    check_words(&config->quirk_dirs);
    check_words(&config->plugin_dirs);
    check_words(&config->disable);
    check_policy(config->policy);
    check_boot_rules(config->policy);
    PB_ASSERT(config->policy->device_count == second->policy->device_count);
    pb_config_free(config);
    pb_config_free(second);
    return 0;
}
