/* SPDX-License-Identifier: MIT */
/* Event channels: all guests' on one descriptor of /dev/xen/evtchn. */
#include "xen/real.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xenevtchn.h>

#include <xen/sys/evtchn.h>

#include "base/log.h"
#include "base/ratelimit.h"

static int remember(struct pb_real *r)
{
    size_t room = r->port_room ? 2 * r->port_room : PB_REAL_PORTS;
    uint32_t *grown;

    if (r->port_count < r->port_room)
        return 0;
    grown = reallocarray(r->ports, room, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    r->ports = grown;
    grown = reallocarray(r->ports_copy, room, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    r->ports_copy = grown;
    r->port_room = room;
    return 0;
}

static int port_bind(struct pb_xen *x, uint32_t domid, uint32_t remote_port, uint32_t *ret_port)
{
    struct pb_real *r = pb_real(x);
    int port, rc = remember(r); /* first: a bound port must not be forgotten */

    if (rc)
        return rc;
    port = xenevtchn_bind_interdomain(r->evtchn, domid, remote_port);
    if (port < 0)
        return pb_real_result(port);
    r->ports[r->port_count++] = (uint32_t)port;
    *ret_port = (uint32_t)port;
    return 0;
}

static int port_unbind(struct pb_xen *x, uint32_t port)
{
    struct pb_real *r = pb_real(x);

    for (size_t i = 0; i < r->port_count; i++) {
        if (r->ports[i] == port) {
            r->ports[i] = r->ports[--r->port_count];
            break;
        }
    }
    for (size_t i = 0; i < r->unmask_count; i++) {
        if (r->unmask[i] == port)
            r->unmask[i--] = r->unmask[--r->unmask_count];
    }
    return pb_real_result(xenevtchn_unbind(r->evtchn, port));
}

static int port_notify(struct pb_xen *x, uint32_t port)
{
    return pb_real_result(xenevtchn_notify(pb_real(x)->evtchn, port));
}

/* What could not be unmasked is tried again in the next round. */
static int unmask_all(struct pb_real *r)
{
    if (r->unmask_count == 0)
        return 0;
    if (write(xenevtchn_fd(r->evtchn), r->unmask, r->unmask_count * sizeof(r->unmask[0])) < 0)
        return pb_real_result(-1);
    r->unmask_count = 0;
    return 0;
}

/*
 * Nobody can be told of another event before the loop has come round: until then the ports of all
 * guests that were served meanwhile are collected, since one call unmasks many.
 */
static int port_unmask(struct pb_xen *x, uint32_t port)
{
    struct pb_real *r = pb_real(x);
    int rc = r->unmask_count == PB_REAL_PORTS ? unmask_all(r) : 0;

    if (rc == 0)
        r->unmask[r->unmask_count++] = port;
    return rc;
}

static void before_sleep(struct ev_loop *loop, ev_prepare *round, int revents)
{
    struct pb_real *r = round->data;
    unsigned suppressed;
    int rc = unmask_all(r);

    (void)loop;
    (void)revents;
    if (rc && pb_ratelimit_allow(&r->unmask_lines, pb_now_ms(), 3, 60000, &suppressed))
        pb_err("/dev/xen/evtchn: unmasking %zu ports: %s%s", r->unmask_count, strerror(-rc),
               pb_ratelimit_note(suppressed));
}

static void report(struct pb_real *r, const uint32_t *ports, size_t count)
{
    if (count && r->xen.events.ports_pending)
        r->xen.events.ports_pending(r->xen.events.ctx, ports, count);
}

/*
 * The kernel's ring was full and dropped events; which, nobody knows (H15). The error stays until
 * the reset. A port whose event was dropped stays masked, as after any event, and whoever is told
 * of a port unmasks it when he has looked: so telling all of them repairs all of them.
 */
static void recover(struct pb_real *r)
{
    size_t count = r->port_count;

    if (ioctl(xenevtchn_fd(r->evtchn), IOCTL_EVTCHN_RESET) < 0) {
        /* It would come back at once and for ever. */
        pb_err("/dev/xen/evtchn: reset after an overflow: %s", strerror(errno));
        ev_io_stop(r->loop, &r->evtchn_io);
        return;
    }
    pb_warn("/dev/xen/evtchn: events were lost, looking at all %zu ports", count);
    if (count == 0)
        return;
    /* A copy, because callbacks bind and unbind. */
    memcpy(r->ports_copy, r->ports, count * sizeof(*r->ports));
    for (size_t i = 0; i < count; i += PB_REAL_PORTS) {
        uint32_t batch[PB_REAL_PORTS];
        size_t n = count - i < PB_REAL_PORTS ? count - i : PB_REAL_PORTS;

        memcpy(batch, r->ports_copy + i, n * sizeof(batch[0]));
        report(r, batch, n);
    }
}

/* One read a turn: a guest that sends without a pause does not keep the loop from the others. */
static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct pb_real *r = io->data;
    uint32_t ports[PB_REAL_PORTS];
    ssize_t n = read(io->fd, ports, sizeof(ports));

    (void)loop;
    (void)revents;
    if (n >= 0)
        report(r, ports, (size_t)n / sizeof(ports[0]));
    else if (errno != EAGAIN && errno != EINTR)
        recover(r); /* EFBIG, and whatever a later kernel may say instead */
}

int pb_real_evtchn_open(struct pb_real *r)
{
    int fd, flags;

    r->ops.port_bind = port_bind;
    r->ops.port_unbind = port_unbind;
    r->ops.port_notify = port_notify;
    r->ops.port_unmask = port_unmask;

    r->evtchn = xenevtchn_open(&pb_real_logger, 0); /* close-on-exec unless told otherwise (H5) */
    if (!r->evtchn)
        return pb_real_result(-1);
    fd = xenevtchn_fd(r->evtchn);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return pb_real_result(-1);
    ev_io_init(&r->evtchn_io, on_readable, fd, EV_READ);
    r->evtchn_io.data = r;
    ev_io_start(r->loop, &r->evtchn_io);
    ev_prepare_init(&r->unmask_round, before_sleep);
    ev_set_priority(&r->unmask_round, EV_MINPRI);
    r->unmask_round.data = r;
    ev_prepare_start(r->loop, &r->unmask_round);
    return 0;
}

void pb_real_evtchn_close(struct pb_real *r)
{
    if (r->evtchn) {
        ev_io_stop(r->loop, &r->evtchn_io);
        ev_prepare_stop(r->loop, &r->unmask_round);
        (void)xenevtchn_close(r->evtchn);
    }
    r->evtchn = NULL;
    free(r->ports);
    free(r->ports_copy);
    r->ports = r->ports_copy = NULL;
    r->port_count = r->port_room = 0;
}
