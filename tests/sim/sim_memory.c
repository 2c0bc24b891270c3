/* SPDX-License-Identifier: MIT */
#include "sim_memory.h"

#include <jansson.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_evtchn.h"

#define ARENA_BYTES  ((size_t)2 << 30) /* of addresses: what is not touched costs nothing */
#define CLASS_FIRST  5u                /* 32 bytes with the header */
#define CLASS_COUNT  26u
#define FRAMES_MAX   16384u
#define PAGE         ((size_t)SIM_PAGE_SIZE)
#define ROUND(n, to) (((n) + (to)-1) / (to) * (to))

/* Before every block: its class. As large as malloc's alignment. */
struct head {
    unsigned size_class;
    struct head *next; /* of the free ones */
};
#define HEAD ROUND(sizeof(struct head), (size_t)16)

/* Pages of guests, in a row. */
struct frames {
    char *at;
    int fd;
    off_t offset;
    bool used[FRAMES_MAX];
    unsigned free_from; /* those before it are used */
};

/* At the start of the shared memory; frames of guests behind it, then blocks. */
struct arena {
    size_t used;
    struct head *free[CLASS_COUNT];
    struct frames frames;
};

static struct arena *arena;
static int arena_fd = -1;

bool sim_in_world;
volatile bool sim_kill_waits;
struct sim_oom sim_oom;
bool sim_disk_full;

static size_t frames_at(void)
{
    return ROUND(sizeof(struct arena), PAGE);
}

void sim_memory_share(void)
{
    arena_fd = memfd_create("sim-world", MFD_CLOEXEC);
    if (arena_fd < 0 || ftruncate(arena_fd, (off_t)ARENA_BYTES) != 0)
        abort();
    arena =
        mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena_fd, 0);
    if (arena == MAP_FAILED)
        abort();
    arena->frames.at = (char *)arena + frames_at();
    arena->frames.offset = (off_t)frames_at();
    arena->frames.fd = arena_fd;
    arena->used = frames_at() + FRAMES_MAX * PAGE;
}

bool sim_memory_shared(void)
{
    return arena != NULL;
}

static bool in_arena(const void *p)
{
    return arena && (uintptr_t)p - (uintptr_t)arena < ARENA_BYTES;
}

static struct head *head_of(void *p)
{
    return (struct head *)(void *)((char *)p - HEAD);
}

static size_t room_of(const struct head *head)
{
    return ((size_t)1 << (head->size_class + CLASS_FIRST)) - HEAD;
}

static void *arena_alloc(size_t size)
{
    unsigned size_class = 0;
    struct head *head;

    while ((((size_t)1 << (size_class + CLASS_FIRST)) - HEAD) < size)
        size_class++;
    if (size_class >= CLASS_COUNT)
        abort();
    head = arena->free[size_class];
    if (head) {
        arena->free[size_class] = head->next;
    } else {
        if (arena->used + ((size_t)1 << (size_class + CLASS_FIRST)) > ARENA_BYTES) {
            (void)fprintf(stderr, "sim: the world's memory is full\n");
            abort();
        }
        head = (struct head *)(void *)((char *)arena + arena->used);
        arena->used += (size_t)1 << (size_class + CLASS_FIRST);
    }
    head->size_class = size_class;
    return (char *)head + HEAD;
}

static void arena_free(void *p)
{
    struct head *head = head_of(p);

    memset(p, 0xdd, room_of(head) < 256 ? room_of(head) : 256); /* a use after this is seen */
    head->next = arena->free[head->size_class];
    arena->free[head->size_class] = head;
}

void *sim_alloc(size_t size)
{
    void *p;
    SIM_AS_WORLD;

    if (!arena) {
        p = calloc(1, size);
        if (!p)
            abort();
        return p;
    }
    p = arena_alloc(size);
    memset(p, 0, size);
    return p;
}

void *sim_grow(void *old, size_t count, size_t size)
{
    void *p;
    SIM_AS_WORLD;

    if (!arena) {
        p = reallocarray(old, count, size);
        if (!p)
            abort();
        return p;
    }
    p = arena_alloc(count * size);
    if (old) {
        size_t had = room_of(head_of(old));

        memcpy(p, old, had < count * size ? had : count * size);
        arena_free(old);
    }
    return p;
}

char *sim_strndup(const char *text, size_t length)
{
    char *copy = sim_alloc(length + 1);

    memcpy(copy, text, length);
    return copy;
}

char *sim_strdup(const char *text)
{
    return sim_strndup(text, strlen(text));
}

void sim_free(void *p)
{
    SIM_AS_WORLD;

    if (in_arena(p))
        arena_free(p);
    else
        free(p);
}

/* The daemon's JSON is the daemon's memory, also when the world frees it. */
static void *json_alloc(size_t size)
{
    return sim_in_world && arena ? arena_alloc(size) : malloc(size);
}

static void json_free(void *p)
{
    if (in_arena(p))
        arena_free(p);
    else
        free(p);
}

void sim_memory_serve_json(void)
{
    json_object_seed(1); /* the same in every process that sees these objects */
    json_set_alloc_funcs(json_alloc, json_free);
}

/* Frames */

/* Unless the world is shared they have a file of their own, without an end. */
static struct frames *frames(void)
{
    static struct frames own;
    int fd;

    if (arena)
        return &arena->frames;
    if (own.at)
        return &own;
    fd = memfd_create("sim-grants", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)(FRAMES_MAX * PAGE)) != 0)
        abort();
    own.at = mmap(NULL, FRAMES_MAX * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (own.at == MAP_FAILED)
        abort();
    own.fd = fd;
    return &own;
}

struct sim_frame sim_frame_alloc(void)
{
    struct frames *f = frames();
    unsigned n = f->free_from;
    struct sim_frame frame = { .fd = f->fd };

    while (n < FRAMES_MAX && f->used[n])
        n++;
    if (n == FRAMES_MAX)
        abort();
    f->used[n] = true;
    f->free_from = n + 1;
    frame.address = f->at + n * PAGE;
    frame.offset = f->offset + (off_t)(n * PAGE);
    memset(frame.address, 0, PAGE);
    return frame;
}

void sim_frame_free(const struct sim_frame *frame)
{
    struct frames *f = frames();
    unsigned n = (unsigned)((size_t)(frame->offset - f->offset) / PAGE);

    f->used[n] = false;
    if (n < f->free_from)
        f->free_from = n;
}

/* Ends */

/* Only in builds that measure coverage: what a killed process ran counts, too. */
extern void __gcov_dump(void) __attribute__((weak));

void sim_kill_now(void)
{
    if (__gcov_dump)
        __gcov_dump();
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

bool sim_oom_hits(void)
{
    if (sim_in_world)
        return false;
    sim_oom.seen++;
    if (sim_oom.nth == 0 || --sim_oom.nth > 0)
        return false;
    sim_oom.failed++;
    sim_oom.nth = --sim_oom.count > 0 ? 1 : 0;
    return true;
}
