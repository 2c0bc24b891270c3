/* SPDX-License-Identifier: MIT */
/*
 * What happened, in order, and what shall fail. Every call of the daemon into a table passes here
 * twice: sim_log_enter before it has an effect, sim_log_leave after.
 */
#ifndef SIM_LOG_H
#define SIM_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct sim_world;

/* The (skip+1)-th to (skip+count)-th call whose name matches PATTERN fails, or runs an action. */
struct sim_fault {
    TAILQ_ENTRY(sim_fault) link;
    char pattern[48]; /* fnmatch: "device_assign", "store_*", "*" */
    unsigned skip, count;
    int error;      /* negative errno; 0: the call goes on */
    json_t *action; /* a command of the simulator's socket that runs first, or NULL */
};

TAILQ_HEAD(sim_fault_list, sim_fault);

/* At the (skip+1)-th call whose name matches PATTERN the daemon dies, and at COUNT - 1 later ones.
 */
struct sim_death {
    TAILQ_ENTRY(sim_death) link;
    char pattern[48];
    unsigned skip, count;
    bool after; /* the call has had its effect */
    bool done;  /* requests to the store that were submitted are carried out, else they are lost */
};
TAILQ_HEAD(sim_death_list, sim_death);

struct sim_log {
    json_t *entries;    /* [{"n", "call", "rc", ...}] */
    json_t *violations; /* [{"n", "text"}]: what no correct daemon does */
    uint64_t serial;
    struct sim_fault_list faults;
    struct sim_death_list deaths;
    uint64_t entered; /* calls of the daemon's, so far */
    char dying[48];   /* the call after which it dies, "" none */
    bool dying_done;
    json_t *actions; /* of faults that were hit: they wait while a transaction is under way */
    void (*act)(struct sim_world *w, json_t *action);
};

void sim_log_init(struct sim_log *log);
void sim_log_finish(struct sim_log *log);

/* Runs the actions that wait for CALL; returns the errno that a fault gives it, 0 without one. */
__attribute__((warn_unused_result)) int sim_log_enter(struct sim_world *w, const char *call);
/* Runs the actions that wait, unless a transaction is under way. */
void sim_log_act(struct sim_world *w);
/* Records CALL with ARGS (an object, taken over, or NULL); returns RC. */
int sim_log_leave(struct sim_world *w, const char *call, json_t *args, int rc);
/* Only records; and the part that may end the daemon after the effect of CALL. */
int sim_log_record(struct sim_world *w, const char *call, json_t *args, int rc);
void sim_log_after(struct sim_world *w, const char *call);
/* A step without a result, at which the daemon may die: it had its effect. */
void sim_log_point(struct sim_world *w, const char *call);
void sim_log_die(struct sim_log *log, const char *pattern, unsigned nth, unsigned count, bool after,
                 bool done);
/* Something that no correct daemon does. */
__attribute__((format(printf, 2, 3))) void sim_log_violation(struct sim_world *w, const char *fmt,
                                                             ...);
void sim_log_clear(struct sim_log *log);

/* ERROR as "EIO" or NULL; false when there is no such name. ACTION: a new reference, or NULL. */
bool sim_log_fault(struct sim_log *log, const char *pattern, unsigned nth, unsigned count,
                   const char *error, json_t *action);
void sim_log_fault_clear(struct sim_log *log);
/* -EIO for "EIO", 0 when it is no name of an error. */
int sim_log_errno(const char *name);

#endif
