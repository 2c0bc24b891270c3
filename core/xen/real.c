/* SPDX-License-Identifier: MIT */
/*
 * Opens everything. Each library opens its devices close-on-exec by itself (Xen 4.17: read and
 * traced); /dev/xen/evtchn in a child would keep a successor from binding the ports (H5).
 */
#include "xen/real.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <xentoollog.h>

#include "base/bytes.h"
#include "base/log.h"

__attribute__((format(printf, 5, 0))) static void log_message(struct xentoollog_logger *logger,
                                                              xentoollog_level level, int error,
                                                              const char *context,
                                                              const char *format, va_list ap)
{
    char text[256];

    (void)logger;
    (void)level;
    (void)error;
    (void)vsnprintf(text, sizeof(text), format, ap);
    pb_debug("%s: %s", context ? context : "xen", text);
}

static void log_destroy(struct xentoollog_logger *logger)
{
    (void)logger;
}

struct xentoollog_logger pb_real_logger = { .vmessage = log_message, .destroy = log_destroy };

static void store_submit(struct pb_xen *x, struct pb_store_req *req)
{
    pb_real_store_submit(pb_real(x)->store, req);
}

static void watch_add(struct pb_xen *x, struct pb_watch *watch)
{
    pb_real_store_watch_add(pb_real(x)->store, watch);
}

static void watch_remove(struct pb_xen *x, struct pb_watch *watch)
{
    pb_real_store_watch_remove(pb_real(x)->store, watch);
}

static void real_close(struct pb_xen *x)
{
    struct pb_real *r = pb_real(x);

    if (r->store)
        pb_real_store_close(r->store);
    pb_real_call_close(r);
    pb_real_ctrl_close(r);
    pb_real_gnttab_close(r);
    pb_real_evtchn_close(r);
    free(r);
}

static int store_open(struct pb_real *r)
{
    r->ops.store_submit = store_submit;
    r->ops.watch_add = watch_add;
    r->ops.watch_remove = watch_remove;
    return pb_real_store_open(r->loop, &pb_real_xs_lib, &pb_real_store_times_default,
                              &r->xen.events, &r->store);
}

/* Xenstore last: its thread should not start for a failure that the others can see. */
static const struct {
    int (*open)(struct pb_real *r);
    const char *what;
} parts[] = {
    { pb_real_evtchn_open, "/dev/xen/evtchn" },
    { pb_real_gnttab_open, "/dev/xen/gntdev" },
    { pb_real_ctrl_open, "/dev/xen/privcmd (libxenctrl)" },
    { pb_real_call_open, "/dev/xen/privcmd (libxencall)" },
    { store_open, "xenstored (libxenstore)" },
};

int pb_xen_open(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what)
{
    struct pb_real *r = calloc(1, sizeof(*r));

    *ret_what = "memory";
    if (!r)
        return -ENOMEM;
    r->loop = loop;
    r->ops.close = real_close;
    r->xen.ops = &r->ops;
    for (size_t i = 0; i < PB_ARRAY_SIZE(parts); i++) {
        int rc = parts[i].open(r);

        if (rc) {
            *ret_what = parts[i].what;
            real_close(&r->xen);
            return rc;
        }
    }
    *ret = &r->xen;
    return 0;
}
