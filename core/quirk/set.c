/* SPDX-License-Identifier: MIT */
#include "quirk/set.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "quirk/lint.h"
#include "quirk/manifest_file.h"
#include "quirk/match.h"

#define FILES_MAX 4096

struct pb_quirk_set {
    unsigned refs;
    struct pb_manifest **manifest; /* in order of rank, then name */
    size_t manifest_count;
    /* Refused, but their plugins may be closed on the loop only. */
    struct pb_manifest **refused;
    size_t refused_count;
    const struct pb_quirk **quirk; /* in rising precedence */
    size_t quirk_count;
    struct pb_quirk_problem *problem;
    size_t problem_count, errors;
    bool no_memory;
};

/* A file of a directory. */
struct candidate {
    char *path;
    const char *name; /* in path */
    size_t rank;
};

struct candidates {
    struct candidate *list;
    size_t count;
};

static bool grow(struct pb_quirk_set *set, void *array, size_t count, size_t size)
{
    void **p = array, *grown = reallocarray(*p, count + 1, size);

    if (grown)
        *p = grown;
    else
        set->no_memory = true;
    return grown != NULL;
}

static void add_problem(struct pb_quirk_set *set, bool error, const char *file, const char *text)
{
    struct pb_quirk_problem p = { .error = error,
                                  .file = pb_manifest_printable(file),
                                  .text = pb_manifest_printable(text) };

    set->errors += error;
    if (!p.file || !p.text || !grow(set, &set->problem, set->problem_count, sizeof(p))) {
        set->no_memory = true;
        free((char *)(uintptr_t)p.file);
        free((char *)(uintptr_t)p.text);
        return;
    }
    set->problem[set->problem_count++] = p;
}

__attribute__((format(printf, 4, 5))) static void problem(struct pb_quirk_set *set, bool error,
                                                          const char *file, const char *fmt, ...)
{
    char text[800];
    int n = snprintf(text, sizeof(text), "%.400s: ", file);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    va_end(ap);
    add_problem(set, error, file, text);
}

/* NN-SOMETHING.json, in printable ASCII */
static bool is_manifest_name(const char *name)
{
    size_t length = strlen(name);

    for (const char *p = name; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            return false;
    }
    return length > strlen("00-.json") && strspn(name, "0123456789") == 2 && name[2] == '-' &&
           strcmp(name + length - strlen(".json"), ".json") == 0;
}

/* Of two files of one name the one of the later directory counts. */
static void add_candidate(struct pb_quirk_set *set, struct candidates *all, const char *dir,
                          const char *name, size_t rank)
{
    struct candidate c = { .rank = rank };

    if (asprintf(&c.path, "%s/%s", dir, name) < 0) {
        set->no_memory = true;
        return;
    }
    c.name = c.path + strlen(dir) + 1;
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->list[i].name, name) == 0) {
            free(all->list[i].path);
            all->list[i] = c;
            return;
        }
    }
    if (all->count == FILES_MAX) {
        problem(set, true, c.path, "there are more than %d manifests", FILES_MAX);
        free(c.path);
    } else if (!grow(set, &all->list, all->count, sizeof(c))) {
        free(c.path);
    } else {
        all->list[all->count++] = c;
    }
}

/* What looks like a manifest that somebody named wrongly. A source, a dump or a note beside them is
 * none. */
static bool is_misnamed(const char *name)
{
    return strstr(name, ".json") || (strspn(name, "0123456789") == 2 && name[2] == '-');
}

static void look_at(struct pb_quirk_set *set, struct candidates *all, const char *dir,
                    const char *name, size_t rank)
{
    if (name[0] == '.')
        return;
    if (is_manifest_name(name)) {
        add_candidate(set, all, dir, name, rank);
    } else if (is_misnamed(name)) {
        char path[500];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        problem(set, false, path, "is ignored: a manifest is named NN-NAME.json");
    }
}

/* Why the manifests of a directory cannot be used; NULL: they can, or there is no such directory.
 */
static const char *objection(const char *path, bool any_owner)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!any_owner && (st.st_uid != 0 || (st.st_mode & 022)))
        return "others than root may write to this directory: it is left out";
    return NULL;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list_dir(struct pb_quirk_set *set, struct candidates *all, const char *path,
                     size_t rank, const struct pb_quirk_sources *sources)
{
    const char *why = objection(path, sources->any_owner);
    struct dirent **names;
    int count;

    if (why) {
        problem(set, true, path, "%s", why);
        return;
    }
    count = scandir(path, &names, NULL, compare_names);
    if (count < 0) {
        if (errno == ENOMEM)
            set->no_memory = true;
        else if (errno != ENOENT)
            problem(set, true, path, "%s", strerror(errno));
        else if (sources->named)
            problem(set, false, path, "there is no such directory");
        return;
    }
    for (int i = 0; i < count; i++) {
        look_at(set, all, path, names[i]->d_name, rank);
        free(names[i]);
    }
    free(names);
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return strcmp(x->name, y->name);
}

struct lint_result {
    struct pb_quirk_set *set;
    const char *file;
    bool bad;
};

static void lint_problem(void *ctx, bool error, const char *text)
{
    struct lint_result *result = ctx;

    result->bad |= error;
    add_problem(result->set, error, result->file, text);
}

static const struct pb_quirk *find_id(const struct pb_quirk_set *set, const char *id)
{
    for (size_t i = 0; i < set->manifest_count; i++) {
        for (size_t n = 0; n < set->manifest[i]->count; n++) {
            if (strcmp(set->manifest[i]->quirk[n].id, id) == 0)
                return &set->manifest[i]->quirk[n];
        }
    }
    return NULL;
}

static bool ids_are_new(struct pb_quirk_set *set, const struct pb_manifest *m)
{
    bool good = true;

    for (size_t i = 0; i < m->count; i++) {
        const struct pb_quirk *other = find_id(set, m->quirk[i].id);

        if (!other)
            continue;
        good = false;
        problem(set, true, m->path,
                "/quirks/%zu/id: \"%s\" is a quirk of %s, too; a file of the same name in a later "
                "directory replaces it",
                i, other->id, other->manifest->path);
    }
    return good;
}

static void disable(struct pb_manifest *m, const struct pb_quirk_sources *sources)
{
    for (size_t i = 0; i < m->count; i++) {
        for (size_t n = 0; n < sources->disabled_count; n++) {
            if (strcmp(m->quirk[i].id, sources->disabled[n]) == 0)
                m->quirk[i].disabled = true;
        }
    }
}

static bool plugin_exists(const struct pb_quirk_sources *sources, const char *name)
{
    char path[500];

    for (size_t i = 0; i < sources->plugin_dir_count; i++) {
        int n = snprintf(path, sizeof(path), "%s/%s.so", sources->plugin_dirs[i], name);

        if (n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static bool open_plugins(struct pb_quirk_set *set, struct pb_manifest *m,
                         const struct pb_quirk_sources *sources)
{
    char why[300] = "";

    for (size_t i = 0; i < m->count; i++) {
        struct pb_quirk_plugin *p = &m->quirk[i].plugin;

        if (!p->name || m->quirk[i].disabled)
            continue;
        if (sources->no_plugins) {
            if (!plugin_exists(sources, p->name))
                problem(set, false, m->path,
                        "/quirks/%zu/plugin/name: no plugin directory has %s.so; others are named "
                        "with --plugin-dir",
                        i, p->name);
        } else if (pb_plugin_open(sources->plugin_dirs, sources->plugin_dir_count,
                                  sources->any_owner, p->name, &p->opened, why, sizeof(why)) < 0) {
            p->opened = NULL;
            problem(set, true, m->path, "/quirks/%zu/plugin/name: %s", i, why);
            return false;
        }
    }
    return true;
}

static bool accept(struct pb_quirk_set *set, struct pb_manifest *m,
                   const struct pb_quirk_sources *sources)
{
    struct lint_result lint = { .set = set, .file = m->path };

    pb_lint_manifest(m, lint_problem, &lint);
    if (lint.bad || !ids_are_new(set, m))
        return false;
    if (set->quirk_count + m->count > PB_QUIRKS_MAX) {
        problem(set, true, m->path, "/quirks: there are more than %d quirks", PB_QUIRKS_MAX);
        return false;
    }
    disable(m, sources);
    return open_plugins(set, m, sources);
}

/* Takes a manifest, which counts or is kept until the set is freed. */
static void add_manifest(struct pb_quirk_set *set, struct pb_manifest *m, size_t rank,
                         const struct pb_quirk_sources *sources)
{
    bool good;

    m->rank = rank;
    good = accept(set, m, sources);
    if (good ? grow(set, &set->manifest, set->manifest_count, sizeof(struct pb_manifest *))
             : grow(set, &set->refused, set->refused_count, sizeof(struct pb_manifest *))) {
        if (good) {
            set->manifest[set->manifest_count++] = m;
            set->quirk_count += m->count;
        } else {
            set->refused[set->refused_count++] = m;
        }
        return;
    }
    pb_manifest_free(m);
}

static void load_file(struct pb_quirk_set *set, const struct candidate *c,
                      const struct pb_quirk_sources *sources)
{
    struct pb_json_error error = { 0 };
    struct pb_manifest *m;

    if (!pb_manifest_load(c->path, sources->any_owner, &m, &error))
        add_problem(set, true, c->path, error.text);
    else if (m)
        add_manifest(set, m, c->rank, sources);
}

static int compare_quirks(const void *a, const void *b)
{
    const struct pb_quirk *x = *(const struct pb_quirk *const *)a;
    const struct pb_quirk *y = *(const struct pb_quirk *const *)b;
    int names;

    if (x->manifest->rank != y->manifest->rank)
        return x->manifest->rank < y->manifest->rank ? -1 : 1;
    if (x->specificity != y->specificity)
        return x->specificity < y->specificity ? -1 : 1;
    /* One directory, so the names decide. */
    names = strcmp(x->manifest->path, y->manifest->path);
    if (names != 0)
        return names;
    return x->index < y->index ? -1 : 1;
}

static void sort_quirks(struct pb_quirk_set *set)
{
    size_t count = 0;

    set->quirk = calloc(set->quirk_count ? set->quirk_count : 1, sizeof(struct pb_quirk *));
    if (!set->quirk) {
        set->no_memory = true;
        return;
    }
    for (size_t i = 0; i < set->manifest_count; i++) {
        for (size_t n = 0; n < set->manifest[i]->count; n++)
            set->quirk[count++] = &set->manifest[i]->quirk[n];
    }
    if (count)
        qsort(set->quirk, count, sizeof(struct pb_quirk *), compare_quirks);
}

static void check_disabled(struct pb_quirk_set *set, const struct pb_quirk_sources *sources)
{
    for (size_t i = 0; i < sources->disabled_count; i++) {
        if (!find_id(set, sources->disabled[i]))
            problem(set, false, "configuration", "/disable/%zu: no quirk has the id \"%s\"", i,
                    sources->disabled[i]);
    }
}

/* SET, which is complete but for its order; NULL if memory was short on the way. */
static struct pb_quirk_set *finish(struct pb_quirk_set *set, const struct pb_quirk_sources *sources)
{
    check_disabled(set, sources);
    sort_quirks(set);
    if (!set->no_memory)
        return set;
    pb_quirk_set_unref(set);
    return NULL;
}

struct pb_quirk_set *pb_quirk_set_load(const struct pb_quirk_sources *sources)
{
    struct pb_quirk_set *set = pb_quirk_set_empty();
    struct candidates all = { 0 };

    if (!set)
        return NULL;
    for (size_t i = 0; i < sources->dir_count; i++)
        list_dir(set, &all, sources->dirs[i], i, sources);
    if (all.count)
        qsort(all.list, all.count, sizeof(all.list[0]), compare_candidates);
    for (size_t i = 0; i < all.count; i++) {
        load_file(set, &all.list[i], sources);
        free(all.list[i].path);
    }
    free(all.list);
    return finish(set, sources);
}

struct pb_quirk_set *pb_quirk_set_parse(const char *text, size_t length, const char *name,
                                        const struct pb_quirk_sources *sources)
{
    struct pb_quirk_set *set = pb_quirk_set_empty();
    struct pb_json_error error = { 0 };
    struct pb_manifest *m;

    if (!set)
        return NULL;
    m = pb_manifest_parse(text, length, name, &error);
    if (m)
        add_manifest(set, m, 0, sources);
    else
        add_problem(set, true, name, error.text);
    return finish(set, sources);
}

struct pb_quirk_set *pb_quirk_set_empty(void)
{
    struct pb_quirk_set *set = calloc(1, sizeof(*set));

    if (set)
        set->refs = 1;
    return set;
}

struct pb_quirk_set *pb_quirk_set_ref(struct pb_quirk_set *set)
{
    set->refs++;
    return set;
}

void pb_quirk_set_unref(struct pb_quirk_set *set)
{
    if (!set || --set->refs)
        return;
    for (size_t i = 0; i < set->manifest_count; i++)
        pb_manifest_free(set->manifest[i]);
    for (size_t i = 0; i < set->refused_count; i++)
        pb_manifest_free(set->refused[i]);
    for (size_t i = 0; i < set->problem_count; i++) {
        free((char *)(uintptr_t)set->problem[i].file);
        free((char *)(uintptr_t)set->problem[i].text);
    }
    free(set->manifest);
    free(set->refused);
    free(set->quirk);
    free(set->problem);
    free(set);
}

size_t pb_quirk_set_problems(const struct pb_quirk_set *set, const struct pb_quirk_problem **ret)
{
    *ret = set->problem;
    return set->problem_count;
}

size_t pb_quirk_set_errors(const struct pb_quirk_set *set)
{
    return set->errors;
}

const struct pb_quirk *const *pb_quirk_set_quirks(const struct pb_quirk_set *set, size_t *ret_count)
{
    *ret_count = set->quirk_count;
    return set->quirk;
}

static struct pb_quirk_view view_of(const struct pb_quirk *quirk)
{
    struct pb_quirk_view view = {
        .id = quirk->id,
        .reason = quirk->reason,
        .source = quirk->source,
        .file = quirk->manifest->path,
        .specificity = quirk->specificity,
        .disabled = quirk->disabled,
        .unsafe = quirk->unsafe,
        .plugin = quirk->plugin.name,
        .fields = quirk->field_count,
        .cap_edits = quirk->edit_count,
    };

    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++)
        view.traits |= quirk->traits.set[i] ? 1U << i : 0;
    return view;
}

void pb_quirk_set_each(const struct pb_quirk_set *set,
                       void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx)
{
    uint64_t from = 0;

    (void)pb_quirk_set_some(set, &from, UINT_MAX, visit, ctx);
}

bool pb_quirk_set_some(const struct pb_quirk_set *set, uint64_t *from, unsigned max,
                       void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx)
{
    for (; *from < set->quirk_count; (*from)++) {
        struct pb_quirk_view view;

        if (max-- == 0)
            return true;
        view = view_of(set->quirk[*from]);
        visit(ctx, &view);
    }
    return false;
}

size_t pb_quirk_set_count(const struct pb_quirk_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < set->quirk_count; i++)
        count += !set->quirk[i]->disabled;
    return count;
}

size_t pb_quirk_set_files(const struct pb_quirk_set *set)
{
    return set->manifest_count;
}

void pb_quirk_set_query(const struct pb_quirk_set *set, const struct pb_quirk_ids *ids,
                        void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx)
{
    for (size_t i = 0; i < set->quirk_count; i++) {
        struct pb_quirk_view view;

        if (!pb_match_ids(&set->quirk[i]->match, ids))
            continue;
        view = view_of(set->quirk[i]);
        visit(ctx, &view);
    }
}
