/* SPDX-License-Identifier: MIT */
#include "sim_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_@"

static struct sim_node *node_new(struct sim_node *parent, const char *name, size_t length)
{
    struct sim_node *node = sim_alloc(sizeof(*node));

    TAILQ_INIT(&node->children);
    node->parent = parent;
    node->name = sim_strndup(name, length);
    node->value = sim_strdup("");
    if (parent) {
        node->owner = parent->owner;
        node->reader_count = parent->reader_count;
        memcpy(node->reader, parent->reader, sizeof(node->reader));
        TAILQ_INSERT_TAIL(&parent->children, node, link);
    }
    return node;
}

void sim_node_free(struct sim_node *node)
{
    while (!TAILQ_EMPTY(&node->children))
        sim_node_free(TAILQ_FIRST(&node->children));
    if (node->parent)
        TAILQ_REMOVE(&node->parent->children, node, link);
    sim_free(node->name);
    sim_free(node->value);
    sim_free(node);
}

struct sim_node *sim_node_clone(const struct sim_node *node, struct sim_node *parent)
{
    struct sim_node *copy = node_new(parent, node->name, strlen(node->name));
    const struct sim_node *child;

    copy->owner = node->owner;
    copy->reader_count = node->reader_count;
    memcpy(copy->reader, node->reader, sizeof(copy->reader));
    copy->length = node->length;
    sim_free(copy->value);
    copy->value = sim_alloc(node->length + 1);
    memcpy(copy->value, node->value, node->length + 1);
    TAILQ_FOREACH (child, &node->children, link) {
        (void)sim_node_clone(child, copy);
    }
    return copy;
}

void sim_store_reset_root(struct sim_store *store)
{
    store->root = node_new(NULL, "", 0);
}

void sim_store_init(struct sim_store *store)
{
    sim_store_reset_root(store);
    store->told = true;
    TAILQ_INIT(&store->watches);
    TAILQ_INIT(&store->queue);
}

void sim_store_finish(struct sim_store *store)
{
    sim_node_free(store->root);
    json_decref(store->held);
}

static bool valid(const char *path)
{
    const char *p = path;

    if (*p != '/' || strlen(path) >= 3072)
        return false;
    while (*p == '/') {
        size_t n = strspn(++p, NAME_CHARS);

        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
}

/* The node, or the deepest one that exists; *ret_rest is what is missing ("" when nothing is). */
static struct sim_node *walk(const struct sim_store *store, const char *path, const char **ret_rest)
{
    struct sim_node *node = store->root, *child;

    while (*path == '/') {
        size_t n = strcspn(path + 1, "/");

        TAILQ_FOREACH (child, &node->children, link) {
            if (strlen(child->name) == n && strncmp(child->name, path + 1, n) == 0)
                break;
        }
        if (!child)
            break;
        node = child;
        path += 1 + n;
    }
    *ret_rest = path;
    return node;
}

static struct sim_node *find(const struct sim_store *store, const char *path)
{
    const char *rest;
    struct sim_node *node = walk(store, path, &rest);

    return *rest ? NULL : node;
}

const struct sim_node *sim_store_find(const struct sim_store *store, const char *path)
{
    return find(store, path);
}

static bool may_write(const struct sim_node *node, uint16_t domid)
{
    return domid == 0 || node->owner == domid;
}

static bool may_read(const struct sim_node *node, uint16_t domid)
{
    if (may_write(node, domid))
        return true;
    for (unsigned i = 0; i < node->reader_count; i++) {
        if (node->reader[i] == domid)
            return true;
    }
    return false;
}

const char *sim_store_read(struct sim_world *w, uint16_t domid, const char *path)
{
    const struct sim_node *node = find(&w->store, path);

    return node && may_read(node, domid) ? node->value : NULL;
}

/* The node with its parents, made as DOMID makes them; NULL with -errno in *ret_rc. */
static struct sim_node *make(struct sim_world *w, uint16_t domid, const char *path, int *ret_rc)
{
    const char *rest;
    struct sim_node *node;

    *ret_rc = -EINVAL;
    if (!valid(path))
        return NULL;
    node = walk(&w->store, path, &rest);
    *ret_rc = -EACCES;
    if (!may_write(node, domid))
        return NULL;
    while (*rest == '/') {
        size_t n = strcspn(rest + 1, "/");

        node = node_new(node, rest + 1, n);
        if (domid != 0)
            node->owner = domid;
        rest += 1 + n;
    }
    *ret_rc = 0;
    return node;
}

int sim_store_write(struct sim_world *w, uint16_t domid, const char *path, const char *value,
                    size_t length)
{
    int rc;
    struct sim_node *node = make(w, domid, path, &rc);
    char *copy;

    if (!node)
        return rc;
    copy = sim_alloc(length + 1);
    memcpy(copy, value, length);
    copy[length] = '\0';
    sim_free(node->value);
    node->value = copy;
    node->length = length;
    sim_store_changed(w, path, false);
    return 0;
}

int sim_store_mkdir(struct sim_world *w, uint16_t domid, const char *path)
{
    int rc = 0;

    if (find(&w->store, path))
        return 0;
    if (make(w, domid, path, &rc))
        sim_store_changed(w, path, false);
    return rc;
}

int sim_store_remove(struct sim_world *w, uint16_t domid, const char *path)
{
    struct sim_node *node;

    if (!valid(path))
        return -EINVAL;
    node = find(&w->store, path);
    if (!node)
        return 0;
    if (!may_write(node, domid))
        return -EACCES;
    sim_node_free(node);
    sim_store_changed(w, path, true);
    return 0;
}

int sim_store_perms(struct sim_world *w, uint16_t domid, const char *path, uint16_t owner,
                    uint16_t reader)
{
    struct sim_node *node = find(&w->store, path);

    if (!node)
        return -ENOENT;
    if (!may_write(node, domid))
        return -EACCES;
    node->owner = owner;
    node->reader_count = reader != owner ? 1 : 0;
    node->reader[0] = reader;
    sim_store_changed(w, path, false);
    return 0;
}

static void remove_owned(struct sim_world *w, struct sim_node *node, uint16_t domid,
                         const char *path)
{
    struct sim_node *child = TAILQ_FIRST(&node->children), *next;
    char below[PB_STORE_PATH_MAX];

    for (; child; child = next) {
        int n = snprintf(below, sizeof(below), "%s/%s", path, child->name);

        next = TAILQ_NEXT(child, link);
        if (n < 0 || (size_t)n >= sizeof(below))
            continue;
        if (child->owner == domid) {
            sim_node_free(child);
            sim_store_changed(w, below, true);
        } else {
            remove_owned(w, child, domid, below);
        }
    }
}

void sim_store_remove_owned(struct sim_world *w, uint16_t domid)
{
    remove_owned(w, w->store.root, domid, "");
}

void sim_store_special(struct sim_world *w, const char *path)
{
    sim_store_changed(w, path, false);
}
