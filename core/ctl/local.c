/* SPDX-License-Identifier: MIT */
#include "ctl/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "quirk/dump.h"
#include "quirk/explain.h"
#include "quirk/profile.h"
#include "quirk/sxp.h"

#define INPUT_MAX ((size_t)4 * 1024 * 1024)
/* What one request can ask for (SH_INFO_MAX_VEC of pciif.h); the daemon's limits may leave less. */
#define MSIX_VECTORS_MAX 128
#define TEXT             256

struct failure {
    char *why, *next;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static void fail(const struct failure *f, const char *next,
                                                       const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(f->why, f->size, fmt, ap);
    va_end(ap);
    (void)snprintf(f->next, f->size, "%s", next);
}

/* All of FILE, to be freed; "-" is standard input. */
static char *read_input(const char *file, size_t *ret_length, const struct failure *f)
{
    bool standard = strcmp(file, "-") == 0;
    FILE *stream = standard ? stdin : fopen(file, "re");
    char *text = stream ? malloc(INPUT_MAX + 1) : NULL;

    if (!text) {
        fail(f, stream ? "" : "name a file that can be read, or - for standard input",
             "cannot read it: %s", strerror(errno));
    } else {
        *ret_length = fread(text, 1, INPUT_MAX + 1, stream);
        if (ferror(stream) || *ret_length > INPUT_MAX) {
            fail(f, "name a file that can be read, or - for standard input", "cannot read it: %s",
                 ferror(stream) ? strerror(errno) : "it is longer than 4 MiB");
            free(text);
            text = NULL;
        }
    }
    if (stream && !standard)
        (void)fclose(stream);
    return text;
}

/* Directories that were named must be there; those that are read by default need not. */
static bool check_dirs(const struct pb_ctl_list *dirs, const struct failure *f)
{
    for (size_t i = 0; i < dirs->count; i++) {
        struct stat st;

        if (stat(dirs->text[i], &st) != 0) {
            fail(f, "name a directory that can be read", "%.200s: %s", dirs->text[i],
                 strerror(errno));
            return false;
        }
        if (!S_ISDIR(st.st_mode)) {
            fail(f, "name the directory that holds it", "%.200s: is not a directory",
                 dirs->text[i]);
            return false;
        }
    }
    return true;
}

/* PLUGINS: also opens those of a directory that was named, which runs code of theirs. */
static struct pb_quirk_set *load(const struct pb_ctl_command *c, bool plugins,
                                 const struct failure *f)
{
    static const char *const dirs[] = { PB_CTL_QUIRKS_SHIPPED, PB_CTL_QUIRKS_LOCAL };
    static const char *const plugin_dirs[] = { PB_CTL_PLUGINS };
    struct pb_quirk_sources sources = { .dirs = dirs,
                                        .dir_count = PB_ARRAY_SIZE(dirs),
                                        .plugin_dirs = plugin_dirs,
                                        .plugin_dir_count = PB_ARRAY_SIZE(plugin_dirs),
                                        .any_owner = true,
                                        .no_plugins = !plugins || !c->plugin_dirs.count };
    struct pb_quirk_set *set;

    if (!check_dirs(&c->dirs, f) || !check_dirs(&c->plugin_dirs, f))
        return NULL;
    if (c->dirs.count) {
        sources.dirs = c->dirs.text;
        sources.dir_count = c->dirs.count;
    }
    if (c->plugin_dirs.count) {
        sources.plugin_dirs = c->plugin_dirs.text;
        sources.plugin_dir_count = c->plugin_dirs.count;
    }
    set = pb_quirk_set_load(&sources);
    if (!set)
        fail(f, "", "out of memory");
    return set;
}

/* What is not in force is no part of the answer, but must not go unnoticed. */
static void mention_errors(const struct pb_ctl_command *c, const struct pb_quirk_set *set)
{
    size_t errors = pb_quirk_set_errors(set);

    if (errors)
        (void)fprintf(stderr,
                      "pcibackctl: %s: note: %zu error%s in manifests, which are left out; see "
                      "pcibackctl quirks validate\n",
                      c->verb->name, errors, errors == 1 ? "" : "s");
}

/* That nothing matches means little where nothing was looked at. */
static void mention_no_manifests(const struct pb_ctl_command *c, const struct pb_quirk_set *set)
{
    if (!pb_quirk_set_files(set) && !pb_quirk_set_errors(set))
        (void)fprintf(stderr, "pcibackctl: %s: note: there are no manifests in %s\n", c->verb->name,
                      c->dirs.count ? "these directories"
                                    : PB_CTL_QUIRKS_SHIPPED " and " PB_CTL_QUIRKS_LOCAL
                                                            "; name others with --dir");
}

static json_t *result_or_memory(json_t *result, const struct failure *f)
{
    if (!result)
        fail(f, "", "out of memory");
    return result;
}

json_t *pb_ctl_local_list(const struct pb_ctl_command *command, char *why, char *next, size_t size)
{
    struct failure f = { why, next, size };
    struct pb_quirk_set *set = load(command, false, &f);
    json_t *result;

    if (!set)
        return NULL;
    mention_errors(command, set);
    result = result_or_memory(pb_explain_set(set), &f);
    pb_quirk_set_unref(set);
    return result;
}

json_t *pb_ctl_local_validate(const struct pb_ctl_command *command, char *why, char *next,
                              size_t size)
{
    struct failure f = { why, next, size };
    struct pb_quirk_set *set = load(command, true, &f);
    json_t *result;

    if (!set)
        return NULL;
    result = result_or_memory(pb_explain_set(set), &f);
    pb_quirk_set_unref(set);
    return result;
}

static void add_quirk(void *ctx, const struct pb_quirk_view *view)
{
    (void)json_array_append_new(ctx, pb_explain_quirk(view));
}

json_t *pb_ctl_local_query(const struct pb_ctl_command *command, char *why, char *next, size_t size)
{
    struct failure f = { why, next, size };
    struct pb_quirk_set *set = load(command, false, &f);
    json_t *quirks = json_array();

    if (set) {
        mention_errors(command, set);
        mention_no_manifests(command, set);
        pb_quirk_set_query(set, &command->ids, add_quirk, quirks);
        pb_quirk_set_unref(set);
        return result_or_memory(json_pack("{s:o}", "quirks", quirks), &f);
    }
    json_decref(quirks);
    return NULL;
}

static bool read_dump(const struct pb_ctl_command *c, struct pb_facts *ret, const struct failure *f)
{
    char reason[TEXT] = "";
    size_t length = 0;
    char *text = read_input(c->dump, &length, f);
    int rc;

    if (!text)
        return false;
    rc = pb_dump_parse(text, length, c->dump_device, ret, reason, sizeof(reason));
    free(text);
    if (rc == 0)
        return true;
    fail(f,
         rc == -EEXIST                     ? "name one with --device"
         : rc == -ENOENT && c->dump_device ? "see which devices the dump has"
                                           : "give it what `lspci -xxxx` prints",
         "%s", reason);
    return false;
}

static struct pb_profile *build(const struct pb_ctl_command *c, const struct pb_facts *facts,
                                const struct failure *f)
{
    const struct pb_operator nothing_said = { .msix_vectors_max = MSIX_VECTORS_MAX };
    struct pb_profile *profile = NULL;
    struct pb_layout layout;
    struct pb_quirk_set *set;
    char reason[TEXT] = "";
    int rc = pb_layout_read(facts, &layout);

    if (rc) {
        fail(f, "",
             rc == -ENODEV ? "the device did not answer: its registers are all ones"
                           : "its list of capabilities is malformed");
        return NULL;
    }
    set = load(c, false, f);
    if (!set)
        return NULL;
    mention_errors(c, set);
    rc = pb_profile_build(set, facts, &layout, &nothing_said, &profile, reason, sizeof(reason));
    pb_quirk_set_unref(set);
    if (rc == 0)
        return profile;
    if (rc == -EOPNOTSUPP)
        fail(f, "", "it is a bridge, which no guest can be given");
    else
        fail(f, rc == -EINVAL ? "correct the quirk, or mask its file" : "", "%s", reason);
    return NULL;
}

/* RENDER of the profile that the dump's device has. */
static json_t *of_dump(const struct pb_ctl_command *c, json_t *(*render)(const struct pb_profile *),
                       const struct failure *f)
{
    struct pb_facts *facts = calloc(1, sizeof(*facts));
    struct pb_profile *profile = NULL;
    json_t *result = NULL;

    if (!facts)
        fail(f, "", "out of memory");
    else if (read_dump(c, facts, f))
        profile = build(c, facts, f);
    if (profile)
        result = result_or_memory(render(profile), f);
    pb_profile_unref(profile);
    free(facts);
    return result;
}

json_t *pb_ctl_local_explain(const struct pb_ctl_command *command, char *why, char *next,
                             size_t size)
{
    struct failure f = { why, next, size };

    return of_dump(command, pb_explain, &f);
}

json_t *pb_ctl_local_map(const struct pb_ctl_command *command, char *why, char *next, size_t size)
{
    struct failure f = { why, next, size };

    return of_dump(command, pb_explain_map, &f);
}

json_t *pb_ctl_local_import(const struct pb_ctl_command *command, char *why, char *next,
                            size_t size)
{
    struct failure f = { why, next, size };
    char reason[TEXT] = "";
    size_t length = 0;
    char *text = read_input(command->file, &length, &f);
    json_t *result = text ? pb_sxp_import(text, length, reason, sizeof(reason)) : NULL;

    if (text && !result)
        fail(&f, "correct that line, or leave its entry out", "%s", reason);
    free(text);
    return result;
}
