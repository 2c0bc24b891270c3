/* SPDX-License-Identifier: MIT */
#include "daemon/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/confine.h"

#define NAME_PR_SET_VMA \
    0x53564d41 /* PR_SET_VMA, which older headers lack: malloc names its memory */

__attribute__((format(printf, 4, 5))) static int fail(char *why, size_t why_size, int rc,
                                                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    return rc;
}

/* --- who --- */

bool pb_privilege_user(struct pb_user *ret)
{
    const struct passwd *entry = getpwnam(PB_PRIVILEGE_USER);

    if (geteuid() != 0) {
        pb_err(
            "it must be started as root: it opens Xen's devices and starts a helper process, and "
            "gives root up then");
        return false;
    }
    if (entry && entry->pw_uid == 0) {
        pb_err("the user " PB_PRIVILEGE_USER " is root; make it one of its own");
        return false;
    }
    if (!entry) {
        entry = getpwnam("nobody");
        if (!entry || entry->pw_uid == 0) {
            pb_err("there is no user " PB_PRIVILEGE_USER
                   ", and no nobody; adduser --system --group "
                   "--no-create-home " PB_PRIVILEGE_USER);
            return false;
        }
        pb_warn("there is no user " PB_PRIVILEGE_USER
                ": running as nobody, whom other programs may "
                "be, too; adduser --system --group --no-create-home " PB_PRIVILEGE_USER);
    }
    *ret = (struct pb_user){ .uid = entry->pw_uid, .gid = entry->pw_gid };
    return true;
}

/* --- system calls --- */

/* wait4: libev's, when the helper ends. */
static const char *const plain_calls[] = { "accept", "accept4", "connect", "epoll_create1",
                                           "wait4" };

/* A refusal instead of the end: libraries try these and go other ways, or say what is wrong. */
static int add_refused(scmp_filter_ctx filter)
{
    static const unsigned writes[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC };
    int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    for (size_t i = 0; rc == 0 && i < PB_ARRAY_SIZE(writes); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, writes[i], writes[i]));
    /* The control socket's: its directory is root's. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(unlink), 0);
    /* A plugin that wants to write what it runs is not loaded. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    if (rc == 0)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mmap), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE));
    return rc;
}

/* Plugins of a reload are mapped from files, which nothing here can have written. */
static int add_memory(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                              SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc;
}

static int add_files(scmp_filter_ctx filter)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
        SCMP_A2(SCMP_CMP_MASKED_EQ, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, O_RDONLY));
}

/* Threads, and signals to our own: abort() and pthread_cancel(). */
static int add_threads(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, NAME_PR_SET_VMA, 0));
    if (rc == 0) /* to look only */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                              SCMP_A2(SCMP_CMP_EQ, 0, 0));
    return rc;
}

static int add_ioctls(scmp_filter_ctx filter, const unsigned long *more)
{
    static const unsigned long terminal[] = { TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, 0 };
    const unsigned long *const lists[] = { terminal, more };
    int rc = 0;

    for (size_t i = 0; i < PB_ARRAY_SIZE(lists); i++) {
        /* The kernel looks at 32 bits. */
        for (const unsigned long *at = lists[i]; rc == 0 && at && *at; at++)
            rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, *at));
    }
    return rc;
}

/* The kernel's log names the call that ended us (type=1326). */
static int load_filter(const unsigned long *ioctls)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? 0 : -ENOMEM;

    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* A binary search: an access of a guest's is a few calls, each of which pays for the list. */
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = pb_confine_allow(filter, pb_confine_common, pb_confine_common_count);
    if (rc == 0)
        rc = pb_confine_allow(filter, plain_calls, PB_ARRAY_SIZE(plain_calls));
    if (rc == 0)
        rc = add_refused(filter);
    if (rc == 0)
        rc = add_memory(filter);
    if (rc == 0)
        rc = add_files(filter);
    if (rc == 0)
        rc = add_threads(filter);
    if (rc == 0)
        rc = add_ioctls(filter, ioctls);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return rc;
}

/* --- what came of it --- */

/* A line of /proc/self/task/N/status, and what it must be; %s is hexadecimal zeros. */
static bool line_is_right(const char *line, const struct pb_user *user)
{
    static const char *const zero[] = { "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:" };
    static const char *const ids[] = { "Uid:", "Gid:" };
    unsigned long id[4];

    for (size_t i = 0; i < PB_ARRAY_SIZE(zero); i++) {
        size_t n = strlen(zero[i]);

        if (strncmp(line, zero[i], n) == 0)
            return line[n + strspn(line + n, "\t 0")] == '\n';
    }
    for (size_t i = 0; i < PB_ARRAY_SIZE(ids); i++) {
        const unsigned long wanted = i == 0 ? user->uid : user->gid;

        if (strncmp(line, ids[i], strlen(ids[i])) == 0)
            return sscanf(line + strlen(ids[i]), "%lu %lu %lu %lu", &id[0], &id[1], &id[2],
                          &id[3]) == 4 &&
                   id[0] == wanted && id[1] == wanted && id[2] == wanted && id[3] == wanted;
    }
    if (strncmp(line, "Groups:", 7) == 0)
        return line[7 + strspn(line + 7, "\t ")] == '\n';
    if (strncmp(line, "NoNewPrivs:", 11) == 0)
        return strcmp(line + 11, "\t1\n") == 0;
    if (strncmp(line, "Seccomp:", 8) == 0)
        return strcmp(line + 8, "\t2\n") == 0;
    return true;
}

static int check_thread(const char *thread, const struct pb_user *user, char *why, size_t why_size)
{
    char path[300], line[256];
    FILE *f;
    int rc = 0;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
    f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? 0 : fail(why, why_size, -errno, "%s: %s", path, strerror(errno));
    while (rc == 0 && fgets(line, sizeof(line), f)) {
        if (!line_is_right(line, user))
            rc = fail(why, why_size, -EPERM, "thread %s still has %.*s", thread,
                      (int)strcspn(line, "\n"), line);
    }
    (void)fclose(f);
    return rc;
}

static int check_threads(const struct pb_user *user, char *why, size_t why_size)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    int rc = 0;

    if (!dir)
        return fail(why, why_size, -errno, "/proc/self/task: %s", strerror(errno));
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            rc = check_thread(entry->d_name, user, why, why_size);
    }
    (void)closedir(dir);
    return rc;
}

/* --- the end of root --- */

int pb_privilege_bound(void)
{
    return pb_confine_bounds(NULL, 0);
}

int pb_privilege_drop(const struct pb_user *user, const unsigned long *ioctls, char *why,
                      size_t why_size)
{
    int rc;

    /* The library does these in all threads; each loses its capabilities with its last uid 0. */
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return fail(why, why_size, -errno, "cannot become uid %u: %s", user->uid, strerror(errno));
    rc = pb_confine_capabilities(NULL, 0);
    if (rc)
        return fail(why, why_size, rc, "cannot give capabilities up: %s", strerror(-rc));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(why, why_size, -errno, "PR_SET_DUMPABLE: %s", strerror(errno));
    rc = load_filter(ioctls);
    if (rc)
        return fail(why, why_size, rc, "the filter of system calls is refused: %s", strerror(-rc));
    return check_threads(user, why, why_size);
}

/* --- files --- */

static void check_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0)
        (void)close(fd);
    else if (errno == EACCES || errno == EPERM)
        pb_warn(
            "%s: this process cannot read it any more, so the next reload fails; chmod o+r (and "
            "o+x the directories above)",
            path);
}

static void check_directory(const char *path, const char *suffix)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    char file[PATH_MAX];

    if (!dir) {
        check_file(path);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name), tail = strlen(suffix);

        if (entry->d_name[0] == '.' || n < tail || strcmp(entry->d_name + n - tail, suffix) != 0)
            continue;
        if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < sizeof(file))
            check_file(file);
    }
    (void)closedir(dir);
}

/* The relay's socket is in there. */
static void check_state(const char *dir)
{
    if (access(dir, X_OK) != 0)
        pb_warn("%s: this process cannot reach what is in it any more, so when xenstored comes "
                "back pcibackd must be restarted; chmod o+x (it and the directories above)",
                dir);
}

void pb_privilege_check_files(const char *config_path, const struct pb_config *config)
{
    char *fragments = pb_config_dir(config_path);

    check_state(config->state_dir);
    check_file(config_path);
    if (fragments)
        check_directory(fragments, ".json");
    free(fragments);
    for (size_t i = 0; i < config->quirk_dirs.count; i++)
        check_directory(config->quirk_dirs.word[i], ".json");
    for (size_t i = 0; i < config->plugin_dirs.count; i++)
        check_directory(config->plugin_dirs.word[i], ".so");
}
