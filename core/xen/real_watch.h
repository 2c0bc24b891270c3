/* SPDX-License-Identifier: MIT */
/*
 * What is watched, shared by the loop and the store thread; every call needs the store's lock.
 *
 * The thread never touches a struct pb_watch, which is its caller's and may vanish at any time: an
 * entry is ours and lives until the thread has unregistered it. Events set a mark on the entry, so
 * that a flood of them costs no memory (XSA-349).
 */
#ifndef PB_XEN_REAL_WATCH_H
#define PB_XEN_REAL_WATCH_H

#include <stdbool.h>
#include <sys/queue.h>

#include "xen/store.h"

struct pb_real_watch {
    TAILQ_ENTRY(pb_real_watch) bucket;
    TAILQ_ENTRY(pb_real_watch) dirty;
    TAILQ_ENTRY(pb_real_watch) todo;
    struct pb_real_watch_list *dirty_on; /* the list whose member it is by DIRTY */
    struct pb_watch *watch; /* for the loop only; NULL: removed, and no callback comes any more */
    unsigned long serial;   /* also its token in xenstore */
    bool registered;        /* xenstored knows it */
    bool busy;              /* the thread is registering or unregistering it right now */
    bool on_todo;
    char path[PB_STORE_PATH_MAX];
};
TAILQ_HEAD(pb_real_watch_list, pb_real_watch);

#define PB_REAL_WATCH_BUCKETS 256u

struct pb_real_watches {
    struct pb_real_watch_list bucket[PB_REAL_WATCH_BUCKETS]; /* all, by serial */
    struct pb_real_watch_list dirty;   /* something changed; to be delivered in the next turn */
    struct pb_real_watch_list current; /* being delivered in this turn */
    struct pb_real_watch_list todo;    /* the thread must register or unregister these */
    unsigned long last_serial;
    unsigned count;
};

void pb_real_watch_init(struct pb_real_watches *set);
void pb_real_watch_free_all(struct pb_real_watches *set);

/* For the loop. */
int pb_real_watch_add(struct pb_real_watches *set, struct pb_watch *watch);
void pb_real_watch_remove(struct pb_real_watches *set, const struct pb_watch *watch);
/* Everything dirty becomes due; what gets dirty from now on waits for the next turn. */
void pb_real_watch_start_turn(struct pb_real_watches *set);
struct pb_watch *pb_real_watch_next(struct pb_real_watches *set); /* NULL: the turn is over */

/* For the thread. True: the loop must be told. */
bool pb_real_watch_mark(struct pb_real_watches *set, unsigned long serial);
bool pb_real_watch_mark_all(struct pb_real_watches *set);
/* The connection is new: nothing is registered. */
void pb_real_watch_forget_connection(struct pb_real_watches *set);
/*
 * The next one to register (watch set) or unregister (not set), busy until _finish, which is told
 * whether xenstored knows it now. It and its path stay valid without the lock meanwhile.
 */
struct pb_real_watch *pb_real_watch_begin(struct pb_real_watches *set);
void pb_real_watch_finish(struct pb_real_watches *set, struct pb_real_watch *w, bool registered);

#endif
