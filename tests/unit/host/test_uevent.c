/* SPDX-License-Identifier: MIT */
/* What the kernel says of devices: parsed strictly, told in order, its losses noticed. */
#include <errno.h>
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/uevent.h"

#define NIC  "0000:03:00.0"
#define PATH "/devices/pci0000:00/0000:00:1c.0/" NIC

/* The library's part, played by an eventfd and a queue; the linker's --wrap puts it there. */
struct udev_monitor;
struct udev_device;
struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor);
const char *__wrap_udev_device_get_property_value(struct udev_device *device, const char *key);
struct udev_device *__wrap_udev_device_unref(struct udev_device *device);
int __wrap_udev_monitor_get_fd(struct udev_monitor *monitor);
__attribute__((format(printf, 2, 3))) void __wrap_pb_log(enum pb_log_level level, const char *fmt,
                                                         ...);

static struct queued {
    struct pb_uevent_text text;
    int error; /* instead of an event */
} queue[256];
static unsigned head, tail, unrefs, lines;
static char line[256];
static int fd;

struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor)
{
    (void)monitor;
    if (head == tail || queue[head].error) {
        errno = head == tail ? EAGAIN : queue[head].error;
        head += head != tail;
        return NULL;
    }
    return (void *)&queue[head++];
}

const char *__wrap_udev_device_get_property_value(struct udev_device *device, const char *key)
{
    const struct pb_uevent_text *text = &((struct queued *)(void *)device)->text;

    return strcmp(key, "ACTION") == 0          ? text->action
           : strcmp(key, "SUBSYSTEM") == 0     ? text->subsystem
           : strcmp(key, "DEVPATH") == 0       ? text->devpath
           : strcmp(key, "PCI_SLOT_NAME") == 0 ? text->slot_name
           : strcmp(key, "DRIVER") == 0        ? text->driver
           : strcmp(key, "SYNTH_UUID") == 0    ? text->synthetic
                                               : NULL;
}

struct udev_device *__wrap_udev_device_unref(struct udev_device *device)
{
    (void)device;
    unrefs++;
    return NULL;
}

int __wrap_udev_monitor_get_fd(struct udev_monitor *monitor)
{
    (void)monitor;
    return fd;
}

__attribute__((format(printf, 2, 3))) void __wrap_pb_log(enum pb_log_level level, const char *fmt,
                                                         ...)
{
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    lines++;
}

/* --- the world --- */

static struct ev_loop *loop;
static struct pb_host host;
static struct pb_uevents *uevents;
static struct {
    enum pb_uevent what;
    struct pb_sbdf sbdf;
    char driver[PB_DRIVER_NAME];
} told[256];
static unsigned told_count;

static void on_device(void *ctx, enum pb_uevent what, struct pb_sbdf sbdf, const char *driver)
{
    assert_ptr_equal(ctx, &host);
    assert_true(told_count < PB_ARRAY_SIZE(told));
    told[told_count].what = what;
    told[told_count].sbdf = sbdf;
    (void)snprintf(told[told_count++].driver, PB_DRIVER_NAME, "%s", driver);
}

static int setup(void **state)
{
    static const uint64_t one = 1;

    (void)state;
    head = tail = unrefs = lines = told_count = 0;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one)); /* always readable */
    loop = ev_loop_new(0);
    host.events = (struct pb_host_events){ .device = on_device, .ctx = &host };
    assert_int_equal(pb_uevents_open(loop, &host, &uevents), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pb_uevents_close(uevents);
    ev_loop_destroy(loop);
    return close(fd);
}

static void say(const char *action, const char *driver)
{
    queue[tail++] = (struct queued){ .text = { .action = action,
                                               .subsystem = "pci",
                                               .devpath = PATH,
                                               .slot_name = NIC,
                                               .driver = driver } };
}

static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

/* --- rules --- */

static void each_event_is_told_in_order(void **state)
{
    static const struct pb_sbdf nic = { .bus = 3 };
    static const enum pb_uevent wanted[] = { PB_UEVENT_ADD, PB_UEVENT_BIND, PB_UEVENT_UNBIND,
                                             PB_UEVENT_REMOVE };

    (void)state;
    say("add", NULL);
    say("bind", "e1000e");
    say("change", NULL);
    say("unbind", NULL);
    say("remove", NULL);
    turn();
    assert_int_equal(told_count, PB_ARRAY_SIZE(wanted));
    for (unsigned i = 0; i < told_count; i++) {
        assert_int_equal(told[i].what, wanted[i]);
        assert_true(pb_sbdf_equal(told[i].sbdf, nic));
        assert_string_equal(told[i].driver, wanted[i] == PB_UEVENT_BIND ? "e1000e" : "");
    }
    assert_int_equal(unrefs, 5);
    assert_int_equal(lines, 0);
}

static void a_driver_is_told_of_a_bind_only(void **state)
{
    (void)state;
    say("remove", "e1000e"); /* the kernel says it of each event while one is bound */
    turn();
    assert_int_equal(told_count, 1);
    assert_string_equal(told[0].driver, "");
}

static void other_subsystems_and_actions_are_not_ours(void **state)
{
    (void)state;
    say("add", NULL);
    queue[tail - 1].text.subsystem = "pci_express";
    say("online", NULL);
    turn();
    assert_int_equal(told_count, 0);
    assert_int_equal(lines, 0);
}

static void what_udevadm_trigger_says_did_not_happen(void **state)
{
    (void)state;
    say("remove", "e1000e");
    queue[tail - 1].text.synthetic = "0";
    say("add", NULL);
    queue[tail - 1].text.synthetic = "fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed";
    turn();
    assert_int_equal(told_count, 0);
    assert_int_equal(lines, 0);
}

static void nonsense_is_dropped_and_its_lines_are_limited(void **state)
{
    static const struct pb_uevent_text bad[] = {
        { NULL, "pci", PATH, NIC, NULL, NULL },
        { "add", NULL, PATH, NIC, NULL, NULL },
        { "add", "pci", NULL, NIC, NULL, NULL },
        { "add", "pci", PATH, NULL, NULL, NULL },
        { "add", "pci", PATH, "03:00.0", NULL, NULL },
        { "add", "pci", PATH, "0000:03:00.1", NULL, NULL },
        { "add", "pci", "/devices/pci0000:00/0000:03:20.0", "0000:03:20.0", NULL, NULL },
        { "add", "pci", PATH "x", NIC "x", NULL, NULL },
        { "add", "pci", NIC, NIC, NULL, NULL },
        { "bind", "pci", PATH, NIC, NULL, NULL },
        { "bind", "pci", PATH, NIC, "", NULL },
        { "bind", "pci", PATH, NIC, "a/b", NULL },
        { "bind", "pci", PATH, NIC, "a-name-that-no-module-of-the-kernel-has", NULL },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(bad); i++)
        queue[tail++] = (struct queued){ .text = bad[i] };
    say("add", NULL);
    turn();
    assert_int_equal(unrefs, PB_ARRAY_SIZE(bad) + 1);
    assert_int_equal(told_count, 1);
    assert_int_equal(lines, 3);
}

static void lost_events_are_told_and_the_next_ones_too(void **state)
{
    (void)state;
    say("add", NULL);
    queue[tail++].error = ENOBUFS;
    say("remove", NULL);
    turn();
    queue[1].error = 0;
    assert_int_equal(told_count, 3);
    assert_int_equal(told[1].what, PB_UEVENT_LOST);
    assert_int_equal(told[2].what, PB_UEVENT_REMOVE);
}

static void a_storm_leaves_others_their_turn(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        say("add", NULL);
    turn();
    assert_true(told_count > 0 && told_count < 200);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(told_count, 200);
}

static void nothing_is_told_before_events_are_set(void **state)
{
    (void)state;
    host.events.device = NULL;
    say("add", NULL);
    turn();
    assert_int_equal(head, tail);
    host.events.device = on_device;
    say("remove", NULL);
    turn();
    assert_int_equal(told_count, 1);
    assert_int_equal(told[0].what, PB_UEVENT_REMOVE);
}

static void a_dead_socket_is_said_once(void **state)
{
    (void)state;
    queue[tail++].error = EBADF;
    turn();
    assert_int_equal(lines, 1);
    assert_non_null(strstr(line, "hotplug is not noticed any more"));
    queue[tail - 1].error = 0;
    say("add", NULL);
    turn();
    assert_int_equal(told_count, 0);
    assert_int_equal(lines, 1);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(each_event_is_told_in_order),
        RULE(a_driver_is_told_of_a_bind_only),
        RULE(other_subsystems_and_actions_are_not_ours),
        RULE(what_udevadm_trigger_says_did_not_happen),
        RULE(nonsense_is_dropped_and_its_lines_are_limited),
        RULE(lost_events_are_told_and_the_next_ones_too),
        RULE(a_storm_leaves_others_their_turn),
        RULE(nothing_is_told_before_events_are_set),
        RULE(a_dead_socket_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
