/* SPDX-License-Identifier: MIT */
#include "host/uevent.h"

#include <errno.h>
#include <ev.h>
#include <libudev.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/ratelimit.h"

#define AT_ONCE      64 /* then others have their turn */
#define BUFFER_BYTES (4 << 20)

struct pb_uevents {
    struct ev_loop *loop;
    struct pb_host *host;
    struct udev *udev;
    struct udev_monitor *monitor;
    ev_io io;
    struct pb_ratelimit lines;
};

static bool plain_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_-. +:");

    return length > 0 && length < PB_DRIVER_NAME && text[length] == '\0';
}

enum pb_uevent_is pb_uevent_parse(const struct pb_uevent_text *text, enum pb_uevent *ret_what,
                                  struct pb_sbdf *ret_sbdf, const char **ret_driver)
{
    static const struct {
        const char *action;
        enum pb_uevent what;
    } actions[] = {
        { "add", PB_UEVENT_ADD },
        { "remove", PB_UEVENT_REMOVE },
        { "bind", PB_UEVENT_BIND },
        { "unbind", PB_UEVENT_UNBIND },
    };
    const char *last;
    unsigned i = 0;

    if (!text->action || !text->subsystem || !text->devpath)
        return PB_UEVENT_IS_NONSENSE;
    while (i < PB_ARRAY_SIZE(actions) && strcmp(text->action, actions[i].action) != 0)
        i++;
    if (i == PB_ARRAY_SIZE(actions) || strcmp(text->subsystem, "pci") != 0)
        return PB_UEVENT_IS_OTHER; /* "change", or a PCI Express service of a port */
    /* `udevadm trigger` and whoever writes to `uevent`: nothing has happened. */
    if (text->synthetic)
        return PB_UEVENT_IS_OTHER;
    last = strrchr(text->devpath, '/');
    if (!last || !text->slot_name || strlen(text->slot_name) != PB_SBDF_TEXT - 1 ||
        strcmp(last + 1, text->slot_name) != 0 || !pb_sbdf_parse(text->slot_name, ret_sbdf))
        return PB_UEVENT_IS_NONSENSE;
    *ret_what = actions[i].what;
    *ret_driver = "";
    if (*ret_what != PB_UEVENT_BIND)
        return PB_UEVENT_IS_OURS;
    if (!text->driver || !plain_name(text->driver))
        return PB_UEVENT_IS_NONSENSE;
    *ret_driver = text->driver;
    return PB_UEVENT_IS_OURS;
}

static void tell(const struct pb_uevents *u, enum pb_uevent what, struct pb_sbdf sbdf,
                 const char *driver)
{
    const struct pb_host_events *events = &u->host->events;

    if (events->device)
        events->device(events->ctx, what, sbdf, driver);
}

static void say(struct pb_uevents *u, const char *what, const char *action)
{
    unsigned suppressed;

    if (pb_ratelimit_allow(&u->lines, pb_now_ms(), 3, 60000, &suppressed))
        pb_notice("%s%s%s", what, action, pb_ratelimit_note(suppressed));
}

static void take(struct pb_uevents *u, struct udev_device *device)
{
    const struct pb_uevent_text text = {
        .action = udev_device_get_property_value(device, "ACTION"),
        .subsystem = udev_device_get_property_value(device, "SUBSYSTEM"),
        .devpath = udev_device_get_property_value(device, "DEVPATH"),
        .slot_name = udev_device_get_property_value(device, "PCI_SLOT_NAME"),
        .driver = udev_device_get_property_value(device, "DRIVER"),
        .synthetic = udev_device_get_property_value(device, "SYNTH_UUID"),
    };
    enum pb_uevent what;
    struct pb_sbdf sbdf;
    const char *driver;

    switch (pb_uevent_parse(&text, &what, &sbdf, &driver)) {
    case PB_UEVENT_IS_OURS:
        tell(u, what, sbdf, driver);
        break;
    case PB_UEVENT_IS_OTHER:
        break;
    case PB_UEVENT_IS_NONSENSE:
        say(u, "a kernel event of a PCI device is not understood and dropped: ",
            text.action ? text.action : "no action");
        break;
    }
}

/* False: there is no more now. */
static bool take_next(struct pb_uevents *u)
{
    static const struct pb_sbdf none;
    struct udev_device *device;

    errno = 0;
    device = udev_monitor_receive_device(u->monitor);
    if (device) {
        take(u, device);
        (void)udev_device_unref(device);
        return true;
    }
    if (errno == ENOBUFS) {
        say(u, "events of PCI devices were lost; all devices are looked at again", "");
        tell(u, PB_UEVENT_LOST, none, "");
        return true;
    }
    if (errno != EAGAIN && errno != EINTR && errno != 0) {
        /* It would be ready, and fail, for ever. */
        pb_err("events of PCI devices cannot be received: %s; hotplug is not noticed any more; "
               "restart pcibackd",
               strerror(errno));
        ev_io_stop(u->loop, &u->io);
    }
    return false;
}

static void io_cb(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    for (int i = 0; i < AT_ONCE && take_next(io->data); i++)
        ;
}

int pb_uevents_open(struct ev_loop *loop, struct pb_host *host, struct pb_uevents **ret)
{
    struct pb_uevents *u = calloc(1, sizeof(*u));
    int rc = -ENOMEM;

    if (!u)
        return -ENOMEM;
    u->loop = loop;
    u->host = host;
    u->udev = udev_new();
    u->monitor = u->udev ? udev_monitor_new_from_netlink(u->udev, "kernel") : NULL;
    if (u->monitor) {
        rc = udev_monitor_filter_add_match_subsystem_devtype(u->monitor, "pci", NULL);
        /* Needs privileges; without them the default has to do. */
        (void)udev_monitor_set_receive_buffer_size(u->monitor, BUFFER_BYTES);
        if (rc == 0)
            rc = udev_monitor_enable_receiving(u->monitor);
    } else if (u->udev && errno) {
        rc = -errno;
    }
    ev_io_init(&u->io, io_cb, u->monitor ? udev_monitor_get_fd(u->monitor) : -1, EV_READ);
    u->io.data = u;
    if (rc < 0) {
        pb_uevents_close(u);
        return rc;
    }
    ev_io_start(loop, &u->io);
    *ret = u;
    return 0;
}

void pb_uevents_close(struct pb_uevents *u)
{
    if (!u)
        return;
    ev_io_stop(u->loop, &u->io);
    (void)udev_monitor_unref(u->monitor);
    (void)udev_unref(u->udev);
    free(u);
}
