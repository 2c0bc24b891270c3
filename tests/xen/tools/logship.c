/* SPDX-License-Identifier: MIT */
/*
 * Sends the host's growing logs over the lab channel as they grow, so that they survive whatever
 * happens to the host. One line is "L FILE|text". Runs until SIGTERM, and then sends the rest.
 */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX    64
#define LINE_MAX_LEN 1024
#define CHANNEL      "/dev/ttyS1"

static const char *const sources[] = { "/var/log/xen/console/guest-*.log", "/var/log/*.log" };

struct follow {
    char path[256];
    off_t done;
};

static struct follow files[FILES_MAX];
static volatile sig_atomic_t stop;

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

static struct follow *find(const char *path)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].path[0] == '\0')
            snprintf(files[i].path, sizeof(files[i].path), "%s", path);
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}

static void send_line(int out, const char *path, const char *text, int len)
{
    const char *slash = strrchr(path, '/');
    char line[LINE_MAX_LEN + 300];
    int n = snprintf(line, sizeof(line), "L %s|%.*s\n", slash + 1, len, text);
    if (n > 0 && write(out, line, (size_t)n) < 0)
        stop = 1;
}

/* Sends whole lines only; at the end of the boot, what is left counts as a line. */
static void ship(int out, struct follow *file)
{
    char buffer[LINE_MAX_LEN];
    ssize_t got;
    int in = open(file->path, O_RDONLY);
    if (in < 0)
        return;
    off_t size = lseek(in, 0, SEEK_END);
    if (size < file->done)
        file->done = 0; /* truncated: a new file under the old name */
    while ((got = pread(in, buffer, sizeof(buffer), file->done)) > 0) {
        const char *newline = memchr(buffer, '\n', (size_t)got);
        if (!newline && got < (ssize_t)sizeof(buffer) && !stop)
            break;
        ssize_t len = newline ? newline - buffer : got;
        send_line(out, file->path, buffer, (int)len);
        file->done += len + (newline ? 1 : 0);
    }
    close(in);
}

static void ship_all(int out)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        glob_t found;
        if (glob(sources[i], 0, NULL, &found) == 0) {
            for (size_t j = 0; j < found.gl_pathc; j++) {
                struct follow *file = find(found.gl_pathv[j]);
                if (file)
                    ship(out, file);
            }
        }
        globfree(&found);
    }
}

int main(void)
{
    const struct timespec nap = { .tv_nsec = 300 * 1000 * 1000 };
    int out = open(CHANNEL, O_WRONLY | O_NOCTTY);
    if (out < 0)
        return 1;
    signal(SIGTERM, on_term);
    while (!stop) {
        ship_all(out);
        nanosleep(&nap, NULL);
    }
    ship_all(out);
    return 0;
}
