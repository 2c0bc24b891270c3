/* SPDX-License-Identifier: MIT */
#include "daemon/generation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static struct pb_quirk_set *load_quirks(const struct pb_config *config, bool any_owner)
{
    struct pb_quirk_sources sources = {
        .dirs = (const char *const *)config->quirk_dirs.word,
        .dir_count = config->quirk_dirs.count,
        .named = config->quirk_dirs.given,
        .plugin_dirs = (const char *const *)config->plugin_dirs.word,
        .plugin_dir_count = config->plugin_dirs.count,
        .disabled = (const char *const *)config->disable.word,
        .disabled_count = config->disable.count,
        .any_owner = any_owner,
    };

    return pb_quirk_set_load(&sources);
}

void pb_generation_load_config(const struct pb_source *source, struct pb_generation *ret)
{
    *ret = (struct pb_generation){ 0 };
    ret->config = pb_config_load(source->config_path, source->config_required,
                                 source->any_config_owner, &ret->error);
}

void pb_generation_load_quirks(const struct pb_source *source, struct pb_generation *generation)
{
    generation->quirks = load_quirks(generation->config, source->any_owner);
    if (generation->quirks)
        return;
    pb_json_error_set(&generation->error, "%s: %s", source->config_path, strerror(ENOMEM));
    pb_config_free(generation->config);
    generation->config = NULL;
}

void pb_generation_load(const struct pb_source *source, struct pb_generation *ret)
{
    pb_generation_load_config(source, ret);
    if (ret->config)
        pb_generation_load_quirks(source, ret);
}

void pb_generation_fini(struct pb_generation *generation)
{
    pb_config_free(generation->config);
    pb_quirk_set_unref(generation->quirks);
    *generation = (struct pb_generation){ 0 };
}

size_t pb_generation_errors(const struct pb_generation *generation)
{
    return generation->config ? pb_quirk_set_errors(generation->quirks) : 1;
}

void pb_generation_each_problem(const struct pb_generation *generation,
                                void (*visit)(void *ctx, bool error, const char *file,
                                              const char *text),
                                void *ctx)
{
    const struct pb_quirk_problem *problems;
    size_t count;

    if (!generation->config) {
        visit(ctx, true, "", generation->error.text);
        return;
    }
    count = pb_quirk_set_problems(generation->quirks, &problems);
    for (size_t i = 0; i < count; i++)
        visit(ctx, problems[i].error, problems[i].file, problems[i].text);
}

static void log_problem(void *ctx, bool error, const char *file, const char *text)
{
    (void)ctx;
    (void)file;
    pb_log(error ? PB_LOG_ERR : PB_LOG_WARN, "%s", text);
}

void pb_generation_log(const struct pb_generation *generation)
{
    pb_generation_each_problem(generation, log_problem, NULL);
}

const char *pb_generation_summary(const struct pb_quirk_set *quirks, char buf[PB_GENERATION_TEXT])
{
    size_t count = pb_quirk_set_count(quirks), files = pb_quirk_set_files(quirks);

    (void)snprintf(buf, PB_GENERATION_TEXT, "%zu quirk%s from %zu file%s", count,
                   count == 1 ? "" : "s", files, files == 1 ? "" : "s");
    return buf;
}
