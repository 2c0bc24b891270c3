/* SPDX-License-Identifier: MIT */
/*
 * One directory of the toolstack's, /local/domain/0/backend/pci/DOMID/0, for the files of xl mode
 * only. It is dom0's, but it may hold anything: what is read here is parsed strictly, and an entry
 * that is wrong never stops the others.
 */
#ifndef PB_BACKEND_XL_DIR_H
#define PB_BACKEND_XL_DIR_H

#include "backend/xl.h"

#define PB_XL_DEVICES_MAX 32
#define PB_XL_NO_STATE    PB_XENBUS_COUNT /* state-N is not a state */
#define PB_XL_TEXT        24

/* Device N as it was read last. */
struct pb_xl_entry {
    char text[PB_XL_TEXT]; /* dev-N, "" absent or longer than any address */
    bool good;             /* it is an address */
    bool absent;
    struct pb_sbdf sbdf;
    unsigned state; /* state-N */
    bool permissive;
    int wanted; /* vdevfn-N or PB_VDEVFN_ANY */
};

/* A device that is being prepared for the directory's guest, or that could not be. */
struct pb_xl_errand {
    TAILQ_ENTRY(pb_xl_errand) link;
    struct pb_xl_dir *dir;
    struct pb_sbdf sbdf;
    bool permissive;
    int wanted;
    uint64_t begun_ms;
    bool failed; /* kept until its entry says so */
    char reason[512];
};
TAILQ_HEAD(pb_xl_errand_list, pb_xl_errand);

struct pb_xl_dir {
    TAILQ_ENTRY(pb_xl_dir) link;
    struct pb_backend *b;
    uint32_t domid;
    char path[80], fe_path[80];
    bool listed;               /* it is in the store, as far as we know */
    bool checked;              /* the kernel's backend does not have it */
    bool left;                 /* not ours to serve; the reason was told */
    bool kernels;              /* not ours to touch either: the kernel's backend has it */
    bool hvm;                  /* prepared, never connected */
    bool errors;               /* error nodes were written */
    bool reading, again;       /* a request or job that decides about it is under way */
    bool writing;              /* a request that answers the toolstack is under way */
    bool unread;               /* adopted: what xl wrote while no daemon ran is not known yet */
    bool failed;               /* the last look at it failed: to be repeated */
    struct pb_guest *g;        /* NULL: not served (yet) */
    unsigned returning;        /* devices on their way back */
    struct pb_ratelimit looks; /* its guest can make us look by writing its own state */
    ev_timer deadline;         /* for the guest to let go of what xl takes */
    struct pb_watch watch;
    struct pb_job job;
    struct pb_xl_errand_list errands;
    unsigned count;
    struct pb_xl_entry entry[PB_XL_DEVICES_MAX];
};
TAILQ_HEAD(pb_xl_dir_list, pb_xl_dir);

struct pb_xl {
    struct pb_backend *b;
    struct pb_watch watch; /* of all directories */
    bool watching;
    bool listing, again, failed, full;
    ev_timer retry;
    struct pb_xl_dir_list dirs;
    struct pb_job job;
    pb_verb_fn started;
    void *started_ctx;
};

/* xl.c */
/* Reads the directory and acts on it, once for any number of calls meanwhile. */
void pb_xl_look(struct pb_xl_dir *dir);
/* A look failed: all that failed are repeated soon. */
void pb_xl_retry(struct pb_xl_dir *dir);
/* The nodes of G are gone, or another guest's: its devices come back, and its record goes. */
void pb_xl_end_guest(struct pb_guest *g, const char *why);
/* Frees DIR when it is gone from the store and nothing points at it. */
void pb_xl_dir_check_end(struct pb_xl_dir *dir);

/* xl_scan.c */
/* Reads the devices of a directory that is served, NUM_DEVS as it was read. */
void pb_xl_scan(struct pb_xl_dir *dir, const char *num_devs);
/* Nothing is being prepared or taken back: tells the frontend of what is new. */
void pb_xl_settle(struct pb_xl_dir *dir);

/* xl_device.c */
/* Prepares the device of E for the guest, then looks at the directory again. */
void pb_xl_prepare(struct pb_xl_dir *dir, const struct pb_xl_entry *e);
/* NULL: it neither is nor was prepared. */
struct pb_xl_errand *pb_xl_errand_of(const struct pb_xl_dir *dir, struct pb_sbdf sbdf);
/* The toolstack has read that an errand failed, or does not want the device any more. */
void pb_xl_errand_forget(struct pb_xl_errand *errand);
/* Takes DEV back, if that has not begun. */
void pb_xl_return(struct pb_device *dev);
/* Are devices prepared or taken back now? */
bool pb_xl_busy(const struct pb_xl_dir *dir);

/* xl_nodes.c */
/* Entry N is of no use: state-N Closed, with an error node; REASON is told. */
void pb_xl_mark_bad(struct pb_xl_dir *dir, unsigned n, const char *reason);
/* A frontend that was connected before a device was ready is asked to look again. */
void pb_xl_reconfigure(struct pb_xl_dir *dir);
/* The guest runs no more: every wait of the toolstack's is over at once. */
void pb_xl_rest(struct pb_xl_dir *dir);
/* Removes a directory whose domain is gone, which nobody serves. */
void pb_xl_collect(struct pb_xl_dir *dir);
/* Nobody removes error nodes of a directory that the toolstack has removed. */
void pb_xl_forget_errors(struct pb_xl_dir *dir);
/* A directory for a guest that has devices by our own kind: refused, and what it broke repaired. */
void pb_xl_refuse(struct pb_xl_dir *dir, struct pb_guest *ours);

#endif
