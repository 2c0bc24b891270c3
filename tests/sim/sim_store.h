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

#define SIM_READERS_MAX 4

struct sim_world;

TAILQ_HEAD(sim_node_list, sim_node);

struct sim_node {
    TAILQ_ENTRY(sim_node) link;
    struct sim_node *parent;
    struct sim_node_list children;
    char *name, *value;
    size_t length;
    uint16_t owner;
    uint16_t reader[SIM_READERS_MAX];
    unsigned reader_count;
};

struct sim_store {
    struct sim_node *root;
    /* What changed inside of a transaction: told to the watches when it is committed. */
    json_t *held; /* [["path", removed], ...]; NULL outside of a transaction */
    struct pb_watch_list watches;
    struct pb_store_queue queue;
    struct sim_node *saved; /* the tree before the transaction that is under way */
    unsigned long round;    /* of watches */
    bool running;           /* a request is being carried out … */
    bool dies;              /* … after which the daemon dies, without its answer */
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
struct sim_node *sim_node_clone(const struct sim_node *node, struct sim_node *parent);
void sim_node_free(struct sim_node *node);

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
