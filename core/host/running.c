/* SPDX-License-Identifier: MIT */
#include "host/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"
#include "host/job.h"
#include "host/remember.h"

#define FOLDER       "jobs"
#define LOCK_FILE    "helper"
#define LOCK_TRIES   200
#define LOCK_STEP_MS 10
/* The fields of /proc/PID/stat are counted behind the name, which may hold anything. */
#define STARTED_FIELD 20

static bool folder(const struct pb_host_options *o, char path[PATH_MAX])
{
    return o->run_dir && o->run_dir[0] &&
           (size_t)snprintf(path, PATH_MAX, "%s/" FOLDER, o->run_dir) < PATH_MAX;
}

/* 0: there is no such process. */
static uint64_t started_at(pid_t pid)
{
    char path[40], text[1024], *at;

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (pb_file_read(path, text, sizeof(text)) != 0)
        return 0;
    at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z')
        return 0; /* one that has ended waits for its parent */
    for (int i = 0; at && i < STARTED_FIELD; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

int pb_running_begin(const struct pb_host_options *options, struct pb_sbdf sbdf)
{
    char dir[PATH_MAX], text[120], temporary[PB_SBDF_TEXT + 8], boot[PB_BOOT_ID_TEXT];
    char address[PB_SBDF_TEXT];

    if (!folder(options, dir))
        return 0;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return -errno;
    pb_remember_boot(options->proc, boot);
    (void)pb_sbdf_format(sbdf, address);
    (void)snprintf(temporary, sizeof(temporary), ".%s", address);
    (void)snprintf(text, sizeof(text), "%ld %llu %s\n", (long)getpid(),
                   (unsigned long long)started_at(getpid()), boot);
    return pb_file_replace(dir, address, temporary, text, 0600);
}

void pb_running_end(const struct pb_host_options *options, struct pb_sbdf sbdf)
{
    char dir[PATH_MAX], address[PB_SBDF_TEXT];

    if (folder(options, dir))
        (void)pb_file_remove(dir, pb_sbdf_format(sbdf, address));
}

static bool read_one(const char *dir, const char *name, const char *boot, struct pb_running *ret)
{
    char path[PATH_MAX + NAME_MAX + 1], text[120], its_boot[PB_BOOT_ID_TEXT] = "";
    unsigned long long started;
    long pid;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (pb_file_read(path, text, sizeof(text)) != 0)
        return false;
    if (sscanf(text, "%ld %llu %36s", &pid, &started, its_boot) < 2 || pid <= 1 || pid > INT_MAX ||
        started == 0 || strcmp(boot, its_boot) != 0)
        return false;
    ret->pid = (pid_t)pid;
    ret->started = started;
    return pb_running_alive(ret);
}

unsigned pb_running_find(const struct pb_host_options *options, unsigned max,
                         struct pb_running *ret)
{
    char path[PATH_MAX], boot[PB_BOOT_ID_TEXT];
    const struct dirent *entry;
    unsigned count = 0;
    DIR *dir;

    if (!folder(options, path) || !(dir = opendir(path)))
        return 0;
    pb_remember_boot(options->proc, boot);
    while ((entry = readdir(dir)) != NULL && count < max) {
        if (!pb_sbdf_parse(entry->d_name, &ret[count].sbdf))
            continue;
        if (read_one(path, entry->d_name, boot, &ret[count]))
            count++;
        else
            (void)pb_file_remove(path, entry->d_name);
    }
    (void)closedir(dir);
    return count;
}

bool pb_running_alive(const struct pb_running *running)
{
    return started_at(running->pid) == running->started;
}

int pb_running_lock(const struct pb_host_options *options)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char path[PATH_MAX];
    int fd, rc = 0;

    if (!options->run_dir || !options->run_dir[0] ||
        (size_t)snprintf(path, sizeof(path), "%s/" LOCK_FILE, options->run_dir) >= sizeof(path))
        return 0;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        rc = fcntl(fd, F_SETLK, &lock) == 0 ? 0 : -errno;
        if (rc != -EAGAIN && rc != -EACCES)
            return rc; /* the descriptor stays: closing it would end the lock */
        pb_job_pause(LOCK_STEP_MS);
    }
    (void)close(fd);
    return -EAGAIN;
}
