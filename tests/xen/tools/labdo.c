/* SPDX-License-Identifier: MIT */
/*
 * labdo DOMID SECONDS COMMAND: run a shell command in a guest through its labagent, print its
 * output, exit with its status. 124: no answer in time; 125: the guest is gone or has no agent.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

enum { NO_ANSWER = 124, NO_GUEST = 125 };

static struct xs_handle *store;
static char base[64];

static char *get(const char *name, unsigned int *len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", base, name);
    return xs_read(store, XBT_NULL, path, len);
}

/* True once the guest has answered this very command. */
static bool answered(const char *sequence, int *status, int *pieces)
{
    unsigned int len;
    char got[32];
    char *done = get("done", &len);
    bool yes =
        done && sscanf(done, "%31s %d %d", got, status, pieces) == 3 && strcmp(got, sequence) == 0;
    free(done);
    return yes;
}

static void print_output(int pieces)
{
    for (int i = 0; i < pieces; i++) {
        char name[32];
        unsigned int len;
        snprintf(name, sizeof(name), "reply/%d", i);
        char *piece = get(name, &len);
        if (piece)
            fwrite(piece, 1, len, stdout);
        free(piece);
    }
}

int main(int argc, char **argv)
{
    char path[128], text[4096], sequence[32];
    unsigned int len;
    struct timespec now;

    if (argc != 4)
        return 2;
    store = xs_open(0);
    if (!store)
        return NO_GUEST;
    snprintf(base, sizeof(base), "/local/domain/%s/data", argv[1]);
    char *ready = get("ready", &len);
    if (!ready)
        return NO_GUEST;
    free(ready);

    int seconds = atoi(argv[2]);
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(sequence, sizeof(sequence), "%ld.%09ld", (long)now.tv_sec, now.tv_nsec);
    int n = snprintf(text, sizeof(text), "%s %d %s", sequence, seconds, argv[3]);
    if (n >= (int)sizeof(text) - 128)
        return 2;
    snprintf(path, sizeof(path), "%s/done", base);
    if (!xs_watch(store, path, "done"))
        return NO_GUEST;
    snprintf(path, sizeof(path), "%s/cmd", base);
    if (!xs_write(store, XBT_NULL, path, text, (unsigned int)n))
        return NO_GUEST;

    time_t deadline =
        now.tv_sec + seconds + 5; /* the agent's own timer answers first, if the guest is alive */
    struct pollfd watch = { .fd = xs_fileno(store), .events = POLLIN };
    while (now.tv_sec < deadline) {
        int status, pieces;
        if (answered(sequence, &status, &pieces)) {
            print_output(pieces);
            return status;
        }
        char *alive = get("cmd", &len);
        if (!alive)
            return NO_GUEST;
        free(alive);
        if (poll(&watch, 1, 500) > 0) {
            unsigned int count;
            free(xs_read_watch(store, &count));
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    return NO_ANSWER;
}
