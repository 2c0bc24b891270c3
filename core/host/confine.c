/* SPDX-License-Identifier: MIT */
#include "host/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/bytes.h"

/* --- capabilities --- */

/* CAP_SYS_ADMIN: configuration space beyond byte 64, and `enable`. CAP_SYS_MODULE: modprobe. */
static const unsigned helper_keeps[] = { CAP_SYS_ADMIN, CAP_SYS_MODULE };

static int add(capng_type_t sets, const unsigned *keep, size_t count)
{
    int rc = 0;

    for (size_t i = 0; i < count; i++)
        rc |= capng_update(CAPNG_ADD, sets, keep[i]);
    return rc ? -EINVAL : 0;
}

static int result(int rc)
{
    return rc == 0 ? 0 : errno > 0 ? -errno : -EPERM;
}

int pb_confine_bounds(const unsigned *keep, size_t count)
{
    int rc;

    capng_clear(CAPNG_SELECT_BOUNDS);
    rc = add(CAPNG_BOUNDING_SET, keep, count);
    errno = 0;
    return rc ? rc : result(capng_apply(CAPNG_SELECT_BOUNDS));
}

int pb_confine_capabilities(const unsigned *keep, size_t count)
{
    int rc;

    capng_clear(CAPNG_SELECT_CAPS);
    rc = add((capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), keep, count);
    errno = 0;
    if (rc == 0)
        rc = result(capng_apply(CAPNG_SELECT_CAPS));
    /* Older kernels than 4.3 have no ambient set. */
    if (rc == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        rc = -errno;
    return rc;
}

/* --- system calls --- */

const char *const pb_confine_common[] = {
    /* the loop, waiting, time */
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll", "select", "pselect6",
    "eventfd2", "timerfd_create", "timerfd_settime", "nanosleep", "clock_nanosleep",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "restart_syscall", "times",
    /* descriptors that are open */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "lseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "fsync",
    "fdatasync", "ftruncate", "fallocate", "flock", "fadvise64", "getdents", "getdents64", "pipe2",
    /* looking at files */
    "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd",
    /* memory */
    "munmap", "mremap", "madvise", "brk", "msync", "mlock", "mlock2", "munlock", "mincore",
    /* threads and signals */
    "futex", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "membarrier", "exit",
    "exit_group", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending",
    "sigaltstack", "gettid", "getpid", "getppid", "getpgrp", "getpgid", "getsid",
    /* who and where we are */
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget",
    "uname", "sysinfo", "getrlimit", "getrusage", "getrandom", "getcpu",
    /* sockets that are open */
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown", "getsockopt",
    "setsockopt", "getsockname", "getpeername"
};
const size_t pb_confine_common_count = PB_ARRAY_SIZE(pb_confine_common);

int pb_confine_allow(void *filter, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]), rc;

        if (number == __NR_SCMP_ERROR)
            continue; /* newer than this libseccomp, which is no danger: it is refused */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (rc)
            return rc;
    }
    return 0;
}

/* Everything that changes the machine in a way that no job does ends the child. */
static const char *const deadly[] = { "ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "kexec_load",
                                      "kexec_file_load",
                                      "reboot",
                                      "bpf",
                                      "perf_event_open",
                                      "mount",
                                      "umount2",
                                      "pivot_root",
                                      "chroot",
                                      "setns",
                                      "unshare",
                                      "swapon",
                                      "swapoff",
                                      "iopl",
                                      "ioperm",
                                      "userfaultfd",
                                      "keyctl",
                                      "add_key",
                                      "request_key",
                                      "open_by_handle_at",
                                      "acct",
                                      "quotactl",
                                      "settimeofday",
                                      "clock_settime",
                                      "sethostname",
                                      "setdomainname",
                                      "open_tree",
                                      "move_mount",
                                      "fsopen",
                                      "fsmount",
                                      "mount_setattr",
                                      "io_uring_setup",
                                      "pidfd_getfd",
                                      "setuid",
                                      "setgid",
                                      "setreuid",
                                      "setregid",
                                      "setresuid",
                                      "setresgid",
                                      "setgroups",
                                      "setfsuid",
                                      "setfsgid" };

/* What jobs, plugins around resets, and modprobe with what it runs need besides. */
static const char *const of_helper[] = { "open",
                                         "openat",
                                         "openat2",
                                         "creat",
                                         "mkdir",
                                         "mkdirat",
                                         "rmdir",
                                         "rename",
                                         "renameat",
                                         "renameat2",
                                         "unlink",
                                         "unlinkat",
                                         "link",
                                         "linkat",
                                         "symlink",
                                         "symlinkat",
                                         "chmod",
                                         "fchmod",
                                         "fchmodat",
                                         "truncate",
                                         "umask",
                                         "chdir",
                                         "fchdir",
                                         "utimensat",
                                         "ioctl",
                                         "mmap",
                                         "mprotect",
                                         "fork",
                                         "vfork",
                                         "clone",
                                         "clone3",
                                         "execve",
                                         "execveat",
                                         "wait4",
                                         "waitid",
                                         "kill",
                                         "tgkill",
                                         "tkill",
                                         "pidfd_open",
                                         "pidfd_send_signal",
                                         "signalfd4",
                                         "prctl",
                                         "arch_prctl",
                                         "prlimit64",
                                         "setrlimit",
                                         "setpgid",
                                         "setsid",
                                         "sched_setaffinity",
                                         "capset",
                                         "init_module",
                                         "finit_module",
                                         "delete_module",
                                         "socketpair",
                                         "bind",
                                         "listen",
                                         "accept",
                                         "accept4",
                                         "connect",
                                         "pipe",
                                         "epoll_create1",
                                         "seccomp",
                                         "sendfile",
                                         "copy_file_range",
                                         "getxattr",
                                         "lgetxattr",
                                         "fgetxattr",
                                         "setitimer",
                                         "alarm",
                                         "pause",
                                         "sync",
                                         "vhangup" };

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks at the end of a process takes a ptrace, which ends it instead. */
int __lsan_is_turned_off(void);
static int confined;
int __lsan_is_turned_off(void)
{
    return confined;
}
#endif

/* Of an unknown call it is said that the kernel has none: libraries go other ways then. */
int pb_confine_helper(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = filter ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < PB_ARRAY_SIZE(deadly); i++) {
        int number = seccomp_syscall_resolve_name(deadly[i]);

        if (number != __NR_SCMP_ERROR)
            rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, number, 0);
    }
    if (rc == 0)
        rc = pb_confine_allow(filter, pb_confine_common, pb_confine_common_count);
    if (rc == 0)
        rc = pb_confine_allow(filter, of_helper, PB_ARRAY_SIZE(of_helper));
    /* The kernel's messages are heard by the daemon; nothing here talks to a network. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (rc == 0)
        rc = pb_confine_bounds(helper_keeps, PB_ARRAY_SIZE(helper_keeps));
    if (rc == 0)
        rc = pb_confine_capabilities(helper_keeps, PB_ARRAY_SIZE(helper_keeps));
    if (rc == 0)
        rc = seccomp_load(filter); /* sets no_new_privs, which root's own modprobe does not need */
#ifdef __SANITIZE_ADDRESS__
    confined = 1;
#endif
    if (filter)
        seccomp_release(filter);
    return rc;
}

int pb_confine_relay(void)
{
    static const char *const calls[] = { "recvfrom", "sendto",     "poll",
                                         "close",    "exit_group", "restart_syscall" };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? pb_confine_allow(filter, calls, PB_ARRAY_SIZE(calls)) : -ENOMEM;

    if (rc == 0)
        rc = pb_confine_capabilities(NULL, 0);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return rc;
}
