/* SPDX-License-Identifier: MIT */
/*
 * xenstored: a tree of nodes with owners and readers, requests that are carried out in the order of
 * their submission but always later, and level-triggered watches.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/store.h"

#define SIM_READERS_MAX   4
#define SIM_STORE_BUCKETS 16384u /* thousands of guests have a hundred thousand nodes */

struct sim_world;

TAILQ_HEAD(sim_node_list, sim_node);

struct sim_node {
    TAILQ_ENTRY(sim_node) link;
    struct sim_node *parent, *same; /* same: the next one in its bucket */
    struct sim_node_list children;
    char *name, *value;
    size_t length;
    uint16_t owner;
    uint16_t reader[SIM_READERS_MAX];
    unsigned reader_count;
};

/* What a transaction has changed: what was at a path before, NULL: nothing. */
struct sim_undo {
    struct sim_undo *next;
    char *path;
    struct sim_node *was;
};

/* A watch of the daemon's, by its path. */
struct sim_watching {
    struct sim_watching *next;
    struct pb_watch *watch;
};

struct sim_store {
    struct sim_node *root;
    struct sim_node *bucket[SIM_STORE_BUCKETS]; /* by parent and name */
    /* What changed inside of a transaction: told to the watches when it is committed. */
    json_t *held; /* [["path", removed], ...]; NULL outside of a transaction */
    struct pb_watch_list watches;
    struct sim_watching *watching[SIM_STORE_BUCKETS];
    struct pb_watch *cursor; /* the next one that may fire */
    unsigned dirty;          /* watches that have something to say */
    struct pb_store_queue queue;
    struct sim_undo *undo; /* the last change of the transaction that is under way */
    unsigned long round;   /* of watches */
    bool running;          /* a request is being carried out … */
    bool dies;             /* … after which the daemon dies, without its answer */
    bool dead, hold;
    bool tell; /* store_connected is to be called */
    bool told; /* what it said last */
};

void sim_store_init(struct sim_store *store);
void sim_store_finish(struct sim_store *store);

/* Direct access, as domain DOMID (0: everything is allowed). 0 or negative errno. */
const struct sim_node *sim_store_find(const struct sim_store *store, const char *path);
/* The value, NULL when absent or when DOMID may not read it. */
const char *sim_store_read(struct sim_world *w, uint16_t domid, const char *path);
int sim_store_write(struct sim_world *w, uint16_t domid, const char *path, const char *value,
                    size_t length);
int sim_store_mkdir(struct sim_world *w, uint16_t domid, const char *path);
int sim_store_remove(struct sim_world *w, uint16_t domid, const char *path);
/* OWNER of the node, and READER who may read it (when it is another one). */
int sim_store_perms(struct sim_world *w, uint16_t domid, const char *path, uint16_t owner,
                    uint16_t reader);
/* Every node that DOMID owns, with all below it. */
void sim_store_remove_owned(struct sim_world *w, uint16_t domid);
/* "@releaseDomain", "@introduceDomain" */
void sim_store_special(struct sim_world *w, const char *path);

/* An empty tree in place of none. */
void sim_store_reset_root(struct sim_store *store);
void sim_store_free_root(struct sim_store *store);
/* Inside of a transaction: what is at PATH is about to change. */
void sim_store_note(struct sim_store *store, const char *path);
/* The transaction is over. */
void sim_store_undo(struct sim_store *store);
void sim_store_keep(struct sim_store *store);

/* Requests and watches (the daemon's side), in sim_request.c */
void sim_store_submit(struct sim_world *w, struct pb_store_req *req);
void sim_store_watch_add(struct sim_world *w, struct pb_watch *watch);
void sim_store_watch_remove(struct sim_world *w, struct pb_watch *watch);
void sim_store_changed(struct sim_world *w, const char *path, bool removed);
/* Carries out what was submitted until now. */
void sim_store_run(struct sim_world *w);
void sim_store_fire(struct sim_world *w);
bool sim_store_waiting(const struct sim_world *w);
/* The daemon closed its connection: what is pending is dropped without a word. */
void sim_store_disconnect(struct sim_world *w);
/* The daemon died: a transaction that was not committed, its watches and requests are gone. */
void sim_store_forget(struct sim_world *w);
/* Carries out what is queued; nobody gets an answer. */
void sim_store_flush(struct sim_world *w);
/* xenstored dies, and returns with the same tree or with an empty one. */
void sim_store_kill(struct sim_world *w);
void sim_store_return(struct sim_world *w, bool keep);

#endif
