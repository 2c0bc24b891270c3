/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/config_read.h"

/* The files in the order of reading. */
struct file_list {
    char **path;
    size_t count;
    char *saved; /* the path of saved slots, whether it is there or not; NULL: there can be none */
};

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static bool add_path(struct file_list *list, const char *dir, const char *name)
{
    char **grown = reallocarray(list->path, list->count + 1, sizeof(*grown));
    char *path = NULL;

    if (!grown)
        return false;
    list->path = grown;
    if (asprintf(&path, "%s%s%s", dir, dir[0] ? "/" : "", name) < 0)
        return false;
    list->path[list->count++] = path;
    return true;
}

static int is_fragment(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && ends_with(entry->d_name, ".json");
}

/* Not alphasort: the order must not depend on a locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

char *pb_config_dir(const char *path)
{
    char *dir = NULL;

    if (!ends_with(path, ".json") ||
        asprintf(&dir, "%.*s.d", (int)(strlen(path) - strlen(".json")), path) < 0)
        return NULL;
    return dir;
}

/* Who may write to it adds files as he likes. */
static void check_dir(const char *dir, bool any_owner, struct pb_json_error *error)
{
    struct stat st;
    const char *why = stat(dir, &st) == 0 ? pb_json_mistrust(&st, any_owner) : strerror(errno);

    if (why)
        pb_json_error_set(error, "%s: %s", dir, why);
}

/* Those beside PATH. */
static bool add_fragments(struct file_list *list, const char *path, bool any_owner,
                          struct pb_json_error *error)
{
    struct dirent **entries = NULL;
    char *dir = pb_config_dir(path);
    bool added;
    int count;

    if (!dir)
        return !ends_with(path, ".json");
    added = asprintf(&list->saved, "%s/" PB_CONFIG_SAVED, dir) >= 0;
    if (!added)
        list->saved = NULL;
    count = scandir(dir, &entries, is_fragment, by_bytes);
    if (count < 0 && errno != ENOENT)
        pb_json_error_set(error, "%s: %s", dir, strerror(errno));
    if (count >= 0)
        check_dir(dir, any_owner, error);
    for (int i = 0; i < count; i++) {
        added = added && add_path(list, dir, entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(dir);
    return added;
}

static struct pb_config *new_config(void)
{
    struct pb_config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    config->policy = malloc(sizeof(*config->policy));
    if (!config->policy) {
        free(config);
        return NULL;
    }
    pb_policy_init(config->policy);
    (void)snprintf(config->socket, sizeof(config->socket), "/run/pcibackd/control.sock");
    (void)snprintf(config->group, sizeof(config->group), "pcibackd");
    (void)snprintf(config->state_dir, sizeof(config->state_dir), "/run/pcibackd");
    return config;
}

static bool set_default(struct pb_config_words *words, const char *const *dirs, size_t count)
{
    if (words->given)
        return true;
    words->word = calloc(count, sizeof(*words->word));
    if (!words->word)
        return false;
    for (size_t i = 0; i < count; i++) {
        words->word[i] = strdup(dirs[i]);
        if (!words->word[i])
            return false;
        words->count++;
    }
    return true;
}

/* What no file said. */
static bool set_defaults(struct pb_config *config)
{
    static const char *const quirk_dirs[] = { "/usr/share/pcibackd/quirks.d",
                                              "/etc/pcibackd/quirks.d" };
    static const char *const plugin_dirs[] = { "/usr/lib/pcibackd/plugins" };

    return set_default(&config->quirk_dirs, quirk_dirs, PB_ARRAY_SIZE(quirk_dirs)) &&
           set_default(&config->plugin_dirs, plugin_dirs, PB_ARRAY_SIZE(plugin_dirs));
}

static void free_words(struct pb_config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->word[i]);
    free((void *)words->word);
}

static void read_files(struct pb_config_reader *reader, const struct file_list *list)
{
    for (size_t i = 0; i < list->count && !reader->error->set; i++) {
        json_t *root =
            pb_json_load(list->path[i], PB_CONFIG_FILE_MAX, reader->any_owner, reader->error);

        if (!root)
            return;
        reader->saved = list->saved && strcmp(list->path[i], list->saved) == 0;
        pb_config_read(reader, root, list->path[i]);
        reader->config->files_read++;
        json_decref(root);
    }
    if (!reader->error->set)
        pb_config_resolve(reader);
}

struct pb_config *pb_config_load(const char *path, bool required, bool any_owner,
                                 struct pb_json_error *error)
{
    struct pb_config_reader reader = { .config = new_config(),
                                       .error = error,
                                       .any_owner = any_owner };
    struct file_list list = { 0 };
    bool listed = reader.config != NULL;

    if (listed && (required || access(path, F_OK) == 0 || errno != ENOENT))
        listed = add_path(&list, "", path);
    listed = listed && add_fragments(&list, path, any_owner, error);
    if (!listed)
        pb_json_error_set(error, "%s: %s", path, strerror(ENOMEM));
    read_files(&reader, &list);
    if (reader.config && !error->set && !set_defaults(reader.config))
        pb_json_error_set(error, "%s: %s", path, strerror(ENOMEM));

    free(reader.device_places);
    free(reader.guest_places);
    free(reader.assignment_places);
    for (size_t i = 0; i < list.count; i++)
        free(list.path[i]);
    free((void *)list.path);
    free(list.saved);
    if (error->set) {
        pb_config_free(reader.config);
        return NULL;
    }
    return reader.config;
}

void pb_config_free(struct pb_config *config)
{
    if (!config)
        return;
    if (config->policy)
        pb_policy_free(config->policy);
    free(config->policy);
    free_words(&config->quirk_dirs);
    free_words(&config->plugin_dirs);
    free_words(&config->disable);
    free(config);
}
