/* SPDX-License-Identifier: MIT */
/*
 * T20: the daemon's end of privileges with a real helper and the real libxenstore. What is allowed
 * must go on working: jobs, accesses, xenstored's return by way of the relay, threads and plugins.
 * Each test drops in a child of its own, whose end tells; as root only.
 */
#include <dlfcn.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/privilege.h"
#include "world.h"
#include "xen/real_store.h"

#define PATIENCE_MS 20000u

static const struct pb_user nobody = { .uid = KERNEL_UID, .gid = KERNEL_UID };

/* --- a xenstored of one answer --- */

struct message {
    uint32_t type, request, transaction, length;
};
enum { GET_DOMAIN_PATH = 10, WATCH = 4, READ = 2, WATCH_EVENT = 15 };

static bool read_all(int fd, void *to, size_t size)
{
    return size == 0 || recv(fd, to, size, MSG_WAITALL) == (ssize_t)size;
}

static void tell(int fd, struct message m, const char *body, size_t length)
{
    m.length = (uint32_t)length;
    (void)!send(fd, &m, sizeof(m), MSG_NOSIGNAL);
    (void)!send(fd, body, length, MSG_NOSIGNAL);
}

static void serve_one(int fd, const char *value)
{
    struct message m;
    char body[4096];

    while (read_all(fd, &m, sizeof(m)) && m.length <= sizeof(body) &&
           read_all(fd, body, m.length)) {
        if (m.type == GET_DOMAIN_PATH)
            tell(fd, m, "/local/domain/0", sizeof("/local/domain/0"));
        else if (m.type == READ)
            tell(fd, m, value, strlen(value));
        else
            tell(fd, m, "OK", sizeof("OK"));
        if (m.type == WATCH)
            tell(fd, (struct message){ .type = WATCH_EVENT }, body, m.length);
    }
}

/* Its socket is root's alone, as the real one's. */
static pid_t start_store(const char *value)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", kernel_store);
    (void)unlink(kernel_store);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chmod(kernel_store, 0600), 0);
    assert_int_equal(listen(fd, 8), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        (void)close(fd);
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int client = accept(fd, NULL, NULL);

        if (client >= 0 && fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_one(client, value);
            _exit(0);
        }
        (void)close(client);
    }
}

/* --- the store, as the daemon uses it --- */

static const struct pb_real_store_times quick = { .liveness_ms = 20,
                                                  .backoff_min_ms = 20,
                                                  .backoff_max_ms = 100,
                                                  .request_ms = PATIENCE_MS,
                                                  .close_ms = 2000 };
static bool back, lost, answered;
static char answer[64];

static void on_connected(void *ctx, bool connected)
{
    (void)ctx;
    *(connected ? &back : &lost) = true;
}

static void on_read(struct pb_store_req *req, void *ctx)
{
    const char *value = pb_store_value(req, 0);

    (void)ctx;
    answered = true;
    (void)snprintf(answer, sizeof(answer), "%s", value ? value : "");
}

static bool reads(struct pb_real_store *store, const char *value)
{
    struct pb_store_req *req = pb_store_req_new(false, on_read, NULL);

    answered = false;
    (void)pb_store_read(req, "/any");
    pb_real_store_submit(store, req);
    return world_wait(&answered, PATIENCE_MS) && strcmp(answer, value) == 0;
}

static void on_fired(struct pb_watch *watch)
{
    (void)watch;
}

/* --- in the child --- */

#define MUST(condition)                                                           \
    do {                                                                          \
        if (!(condition)) {                                                       \
            print_message("%s:%d: not so: %s\n", __func__, __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

static void drop(void)
{
    char why[300] = "";

    if (pb_privilege_drop(&nobody, NULL, why, sizeof(why)) != 0) {
        print_message("the drop: %s\n", why);
        _exit(1);
    }
}

static void open_host(void)
{
    char path[256];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    struct pb_host_options options = kernel_options;

    MUST(n > 0);
    path[n] = '\0';
    options.self = path;
    world_loop = ev_loop_new(0);
    MUST(pb_host_open(world_loop, &options, &world_host) == 0);
    MUST(pb_privilege_bound() == 0);
}

static void jobs_and_accesses(void)
{
    struct world_cycle c;
    struct world_job j;
    struct pb_hw *hw;

    open_host();
    drop();
    MUST(world_do(&j, PB_JOB_CLAIM, kernel_nic) == 0);
    hw = j.job.hw;
    MUST(world_read(&c, hw, 0, 4) == PB_HW_NOW && c.cycle.value == 0x10d38086);
    MUST(world_write(&c, hw, 0x3c, 1, 0x5a) == PB_HW_NOW && c.cycle.rc == 0);
    kernel->step_us = 20000;
    MUST(world_read(&c, hw, 0, 4) == PB_HW_NOW); /* and served aside from now on */
    kernel->step_us = 0;
    MUST(world_read(&c, hw, 0x3c, 1) == PB_HW_LATER);
    MUST(world_wait(&c.done, PATIENCE_MS) && c.cycle.value == 0x5a);
    MUST(world_do(&j, PB_JOB_RESET, kernel_nic) == 0);
    world_prepare(&j, PB_JOB_SAVE_SLOTS, kernel_nic, PATIENCE_MS);
    j.job.slots = &(struct pb_slot){ .bus = 3 };
    j.job.slot_count = 1;
    world_host->ops->job_submit(world_host, &j.job);
    MUST(world_wait(&j.done, PATIENCE_MS) && j.job.rc == 0);
    world_host->ops->hw_close(world_host, hw);
    MUST(world_do(&j, PB_JOB_RELEASE, kernel_nic) == 0);
}

static void xenstored_comes_back(void)
{
    const struct pb_xen_events events = { .store_connected = on_connected };
    struct pb_watch watch = { .path = "/watched", .fired = on_fired };
    char relay[128];
    struct pb_real_store *store;
    pid_t first = start_store("first"), second;
    int go[2];

    /* Who starts the second one is not the daemon. */
    MUST(pipe(go) == 0);
    second = fork();
    if (second == 0) {
        char byte;

        (void)close(go[1]);
        (void)!read(go[0], &byte, 1);
        (void)kill(first, SIGKILL);
        if (read(go[0], &byte, 1) == 1)
            second = start_store("second");
        (void)!read(go[0], &byte, 1); /* the test's end: it may not send root's processes signals */
        if (second > 0)
            (void)kill(second, SIGKILL);
        _exit(0);
    }
    (void)chmod(kernel_dir, 0755);
    (void)chmod(kernel_run, 0755);
    (void)setenv("XENSTORED_PATH", kernel_store, 1);
    (void)snprintf(relay, sizeof(relay), "%s/" PB_HOST_RELAY, kernel_run);
    pb_xen_use_relay(relay);
    open_host();
    MUST(pb_real_store_open(world_loop, &pb_real_xs_lib, &quick, &events, &store) == 0);
    pb_real_store_watch_add(store, &watch);
    MUST(reads(store, "first")); /* the connection's reader is a thread by now */
    drop();
    MUST(reads(store, "first"));
    MUST(write(go[1], "x", 1) == 1);
    MUST(world_wait(&lost, PATIENCE_MS));
    world_run(300); /* attempts that find nobody */
    MUST(!back);
    MUST(write(go[1], "x", 1) == 1);
    MUST(world_wait(&back, PATIENCE_MS));
    MUST(reads(store, "second"));
    pb_real_store_watch_remove(store, &watch);
    pb_real_store_close(store);
}

static void *in_a_thread(void *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        print_message("%s\n", dlerror());
    return library ? dlsym(library, "pcibackd_plugin") : NULL;
}

/* As the loader of a reload does. */
static void a_thread_loads_a_plugin(void)
{
    char path[128];
    pthread_t thread;
    void *symbol = NULL;

    (void)chmod(kernel_dir, 0755);
    (void)snprintf(path, sizeof(path), "%s/fake.so", kernel_dir);
    MUST(pb_privilege_bound() == 0);
    drop();
    for (int i = 0; i < 3; i++) {
        MUST(pthread_create(&thread, NULL, in_a_thread, path) == 0);
        MUST(pthread_join(thread, &symbol) == 0);
        MUST(symbol);
    }
}

/* libev's default loop, which the daemon has, looks for children that ended. */
static void a_child_ends(void)
{
    bool never = false;
    pid_t pid;
    int go[2];

    MUST(pipe2(go, O_CLOEXEC) == 0);
    world_loop = ev_default_loop(0);
    pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        char byte;

        (void)close(go[1]);
        (void)!read(go[0], &byte, 1);
        _exit(0);
    }
    MUST(pb_privilege_bound() == 0);
    drop();
    (void)close(go[1]);
    MUST(!world_wait(&never, 300));
}

static void an_abort(void)
{
    MUST(pb_privilege_bound() == 0);
    drop();
    abort();
}

/* Its bounding set is as it was: whatever the reason, the daemon must not run so. */
static void half_a_drop(void)
{
    char why[300] = "";

    MUST(pb_privilege_drop(&nobody, NULL, why, sizeof(why)) == -EPERM);
    MUST(strstr(why, "CapBnd"));
}

/* --- the tests --- */

static int end_of(void (*what)(void))
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        what();
        (void)fflush(stdout);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        print_message("ended by signal %d\n", WTERMSIG(status));
    return status;
}

static void T20_jobs_and_accesses_work_without_privileges(void **state)
{
    (void)state;
    assert_int_equal(end_of(jobs_and_accesses), 0);
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
}

static void T20_xenstored_comes_back_by_way_of_the_relay(void **state)
{
    (void)state;
    assert_int_equal(end_of(xenstored_comes_back), 0);
}

static void T20_a_thread_loads_plugins_without_privileges(void **state)
{
    char command[512];

    (void)state;
    (void)snprintf(command, sizeof(command), "cp %s/fake.so %s/fake.so", PB_FIXTURE_DIR,
                   kernel_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(end_of(a_thread_loads_a_plugin), 0);
}

/* Else the helper's end would be the filter's, and not status 3. */
static void T20_the_end_of_a_child_is_no_forbidden_call(void **state)
{
    (void)state;
    assert_int_equal(end_of(a_child_ends), 0);
}

/* An assertion's end is its own, not the filter's. */
static void T20_an_abort_is_an_abort(void **state)
{
    (void)state;
    assert_int_equal(WTERMSIG(end_of(an_abort)), SIGABRT);
}

static void T20_what_is_left_of_privileges_is_found(void **state)
{
    (void)state;
    assert_int_equal(end_of(half_a_drop), 0);
}

static void T20_the_user_is_pcibackd_or_nobody(void **state)
{
    struct pb_user user;

    (void)state;
    assert_int_equal(geteuid(), 0);
    assert_true(pb_privilege_user(&user));
    assert_int_not_equal(user.uid, 0);
}

static int setup(void **state)
{
    (void)signal(SIGPIPE, SIG_IGN);
    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return kernel_setup(state);
}

int main(int argc, char **argv)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, kernel_teardown)
    const struct CMUnitTest tests[] = {
        RULE(T20_the_user_is_pcibackd_or_nobody),
        RULE(T20_jobs_and_accesses_work_without_privileges),
        RULE(T20_xenstored_comes_back_by_way_of_the_relay),
        RULE(T20_a_thread_loads_plugins_without_privileges),
        RULE(T20_the_end_of_a_child_is_no_forbidden_call),
        RULE(T20_an_abort_is_an_abort),
        RULE(T20_what_is_left_of_privileges_is_found),
    };
    int status;

    if (kernel_is_helper(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
