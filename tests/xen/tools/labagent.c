/* SPDX-License-Identifier: MIT */
/*
 * The guest's end of guest_do: runs what dom0 writes to data/cmd and answers in data/reply.
 *
 * A command is "SEQUENCE SECONDS text". The output goes back in pieces, because an unprivileged
 * domain's node holds 2048 bytes at most, and data/done = "SEQUENCE STATUS PIECES" is written last.
 * Console output is for the log only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#define PIECE      1900
#define PIECES_MAX 64 /* about 120 KiB; the rest of a longer output is cut */
#define OUTPUT     "/tmp/labagent.out"
#define TIMED_OUT  124

static struct xs_handle *store;

static void put(const char *path, const void *data, unsigned int len)
{
    if (!xs_write(store, XBT_NULL, path, data, len))
        printf("labagent: cannot write %s: %s\n", path, strerror(errno));
}

/* A stuck child must not take the agent with it: after the deadline it is left behind. */
static int run(const char *command, int seconds)
{
    pid_t child = fork();
    if (child < 0)
        return 126;
    if (child == 0) {
        setpgid(0, 0);
        int out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(out, 1);
        dup2(out, 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
    for (long turn = 0; turn < seconds * 50L; turn++) {
        int status;
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        nanosleep(&nap, NULL);
    }
    kill(-child, SIGKILL);
    return TIMED_OUT;
}

static int send_output(void)
{
    char piece[PIECE];
    int count = 0;
    int in = open(OUTPUT, O_RDONLY);
    ssize_t got;
    while (in >= 0 && count < PIECES_MAX && (got = read(in, piece, sizeof(piece))) > 0) {
        char path[32];
        snprintf(path, sizeof(path), "data/reply/%d", count++);
        put(path, piece, (unsigned int)got);
        fwrite(piece, 1, (size_t)got, stdout);
    }
    if (in >= 0)
        close(in);
    return count;
}

static void serve(char *last, size_t size)
{
    unsigned int len;
    char *text = xs_read(store, XBT_NULL, "data/cmd", &len);
    char sequence[32];
    int seconds, at;

    if (text && sscanf(text, "%31s %d %n", sequence, &seconds, &at) == 2 &&
        strcmp(sequence, last) != 0) {
        snprintf(last, size, "%s", sequence);
        printf("LAB command: %s\n", text + at);
        char command[4200], done[64];
        snprintf(command, sizeof(command), ". /lab/guest.sh; %s", text + at);
        int status = run(command, seconds);
        int pieces = send_output();
        int n = snprintf(done, sizeof(done), "%s %d %d", sequence, status, pieces);
        put("data/done", done, (unsigned int)n);
        printf("LAB command ended: %d\n", status);
        fflush(stdout);
    }
    free(text);
}

int main(void)
{
    char last[32] = "";
    store = xs_open(0);
    if (!store || !xs_watch(store, "data/cmd", "cmd")) {
        perror("labagent: xenstore");
        return 1;
    }
    put("data/ready", "1", 1);
    for (;;) {
        unsigned int count;
        char **event = xs_read_watch(store, &count);
        if (!event)
            return 1;
        free(event);
        serve(last, sizeof(last));
    }
}
