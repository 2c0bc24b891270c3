/* SPDX-License-Identifier: MIT */
#include "sim_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_@"

static size_t place_of(const struct sim_node *parent, const char *name, size_t length)
{
    uint64_t hash = (uintptr_t)parent;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return (hash ^ hash >> 32) % SIM_STORE_BUCKETS;
}

static struct sim_node *child_of(const struct sim_store *store, const struct sim_node *parent,
                                 const char *name, size_t length)
{
    struct sim_node *node = store->bucket[place_of(parent, name, length)];

    while (node && (node->parent != parent || strlen(node->name) != length ||
                    memcmp(node->name, name, length) != 0))
        node = node->same;
    return node;
}

static struct sim_node *node_new(struct sim_store *store, struct sim_node *parent, const char *name,
                                 size_t length)
{
    struct sim_node *node = sim_alloc(sizeof(*node)), **bucket;

    TAILQ_INIT(&node->children);
    node->parent = parent;
    node->name = sim_strndup(name, length);
    node->value = sim_strdup("");
    if (parent) {
        node->owner = parent->owner;
        node->reader_count = parent->reader_count;
        memcpy(node->reader, parent->reader, sizeof(node->reader));
        TAILQ_INSERT_TAIL(&parent->children, node, link);
        bucket = &store->bucket[place_of(parent, name, length)];
        node->same = *bucket;
        *bucket = node;
    }
    return node;
}

static void node_free(struct sim_store *store, struct sim_node *node)
{
    while (!TAILQ_EMPTY(&node->children))
        node_free(store, TAILQ_FIRST(&node->children));
    if (node->parent) {
        struct sim_node **at =
            &store->bucket[place_of(node->parent, node->name, strlen(node->name))];

        while (*at != node)
            at = &(*at)->same;
        *at = node->same;
        TAILQ_REMOVE(&node->parent->children, node, link);
    }
    sim_free(node->name);
    sim_free(node->value);
    sim_free(node);
}

static struct sim_node *node_clone(struct sim_store *store, const struct sim_node *node,
                                   struct sim_node *parent)
{
    struct sim_node *copy = node_new(store, parent, node->name, strlen(node->name));
    const struct sim_node *child;

    copy->owner = node->owner;
    copy->reader_count = node->reader_count;
    memcpy(copy->reader, node->reader, sizeof(copy->reader));
    copy->length = node->length;
    sim_free(copy->value);
    copy->value = sim_alloc(node->length + 1);
    memcpy(copy->value, node->value, node->length + 1);
    TAILQ_FOREACH (child, &node->children, link) {
        (void)node_clone(store, child, copy);
    }
    return copy;
}

void sim_store_reset_root(struct sim_store *store)
{
    store->root = node_new(store, NULL, "", 0);
}

void sim_store_free_root(struct sim_store *store)
{
    node_free(store, store->root);
    store->root = NULL;
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
    sim_store_free_root(store);
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

        child = child_of(store, node, path + 1, n);
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

        node = node_new(&w->store, node, rest + 1, n);
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
    node_free(&w->store, node);
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
            node_free(&w->store, child);
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

/* --- transactions --- */

void sim_store_note(struct sim_store *store, const char *path)
{
    struct sim_undo *undo = sim_alloc(sizeof(*undo));
    const char *rest;
    const struct sim_node *node = walk(store, path, &rest);
    size_t length = (size_t)(rest - path); /* of what is missing, only the top has to go */

    if (*rest)
        length += 1 + strcspn(rest + 1, "/");
    else
        undo->was = node_clone(store, node, NULL);
    undo->path = sim_strndup(path, length);
    undo->next = store->undo;
    store->undo = undo;
}

static void undo_free(struct sim_store *store)
{
    struct sim_undo *undo = store->undo;

    store->undo = undo->next;
    if (undo->was)
        node_free(store, undo->was);
    sim_free(undo->path);
    sim_free(undo);
}

void sim_store_undo(struct sim_store *store)
{
    for (; store->undo; undo_free(store)) {
        const struct sim_undo *undo = store->undo;
        struct sim_node *node = find(store, undo->path), *parent;
        const char *rest;

        if (node)
            node_free(store, node);
        parent = walk(store, undo->path, &rest);
        if (undo->was)
            (void)node_clone(store, undo->was, parent);
    }
}

void sim_store_keep(struct sim_store *store)
{
    while (store->undo)
        undo_free(store);
}

void sim_store_special(struct sim_world *w, const char *path)
{
    sim_store_changed(w, path, false);
}
