/* SPDX-License-Identifier: MIT */
/*
 * Where the world lives. Normally that is the heap; supervised (sim_life.h) it is memory that
 * outlives the daemon's process, and whatever the world keeps must be in it: objects by sim_alloc,
 * JSON by jansson's allocator, pages of guests.
 *
 * One process is two: the daemon, and the world that it stands on. Which one runs now decides whose
 * memory jansson takes, whether an allocation may be made to fail, and whether the process may be
 * killed at this moment: never in the middle of a change of the world.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Before anything of the world exists: it is kept in shared memory from now on. */
void sim_memory_share(void);
bool sim_memory_shared(void);
/* jansson asks us from now on. */
void sim_memory_serve_json(void);

/* Zeroed. None returns NULL. */
void *sim_alloc(size_t size);
/* COUNT elements of SIZE bytes, those of OLD kept; what is new is not zeroed. */
void *sim_grow(void *old, size_t count, size_t size);
char *sim_strdup(const char *text);
char *sim_strndup(const char *text, size_t length);
void sim_free(void *p);

/* A page of a guest's, zeroed, that can be mapped once more elsewhere. */
struct sim_frame {
    void *address;
    int fd;
    off_t offset;
};
struct sim_frame sim_frame_alloc(void);
void sim_frame_free(const struct sim_frame *frame);

/* Who runs: until the end of the block, or SIM_AS_DAEMON inside of it. */
extern bool sim_in_world;
extern volatile bool sim_kill_waits;
__attribute__((noreturn)) void sim_kill_now(void);

static inline bool sim_side_enter(bool world)
{
    bool was = sim_in_world;

    sim_in_world = world;
    if (!world && sim_kill_waits)
        sim_kill_now();
    return was;
}

static inline void sim_side_leave(const bool *was)
{
    sim_in_world = *was;
    if (!*was && sim_kill_waits)
        sim_kill_now();
}

#define SIM_SIDE(world) \
    __attribute__((cleanup(sim_side_leave), unused)) const bool sim_side = sim_side_enter(world)
#define SIM_AS_WORLD  SIM_SIDE(true)
#define SIM_AS_DAEMON SIM_SIDE(false)

/* The daemon's allocations (sim_oom.c): the NTH from now fails, and COUNT - 1 after it. */
struct sim_oom {
    unsigned long nth, count, seen, failed;
};
extern struct sim_oom sim_oom;
extern bool sim_disk_full;
bool sim_oom_hits(void);

#endif
