/* SPDX-License-Identifier: MIT */
/*
 * The xenbus handshake as a complete table: for each of our states and each event, what to do.
 * Pure: core/backend carries the actions out and says which state it wrote.
 */
#ifndef PB_PROTO_XENBUS_H
#define PB_PROTO_XENBUS_H

/* xen/include/public/io/xenbus.h */
#define PB_XENBUS_STATES(X)           \
    X(UNKNOWN, "Unknown")             \
    X(INITIALISING, "Initialising")   \
    X(INIT_WAIT, "InitWait")          \
    X(INITIALISED, "Initialised")     \
    X(CONNECTED, "Connected")         \
    X(CLOSING, "Closing")             \
    X(CLOSED, "Closed")               \
    X(RECONFIGURING, "Reconfiguring") \
    X(RECONFIGURED, "Reconfigured")

enum pb_xenbus {
#define X(id, name) PB_XENBUS_##id,
    PB_XENBUS_STATES(X)
#undef X
        PB_XENBUS_COUNT
};

/* "Connected"; "Unknown" for a number that is none. */
const char *pb_xenbus_name(unsigned state);

/* What can happen. The first nine are the frontend's states, in the order of enum pb_xenbus. */
enum pb_xenbus_event {
    PB_EVENT_FRONTEND = 0,            /* + enum pb_xenbus */
    PB_EVENT_NODES = PB_XENBUS_COUNT, /* our own directory changed */
    PB_EVENT_COUNT
};

enum pb_xenbus_action {
    PB_ACT_NONE,        /* legal, nothing to do */
    PB_ACT_IGNORE,      /* not legal here: counted, otherwise nothing */
    PB_ACT_SETUP,       /* publish all devices and roots, then Initialised */
    PB_ACT_RESCAN,      /* publish devices that were added before the frontend connected */
    PB_ACT_CONNECT,     /* map the page, bind the port, then Connected */
    PB_ACT_RECONFIGURE, /* publish and drop devices, then Reconfigured */
    PB_ACT_SETTLE,      /* the frontend has rescanned: Connected again */
    PB_ACT_CLOSE,       /* let page and port go, then Closed (from Closing too) */
    PB_ACT_CLOSING,     /* let page and port go, then Closing */
    PB_ACT_REOPEN,      /* the frontend begins anew: fresh devices, then InitWait */
    PB_ACT_RELEASE,     /* take every device back and remove our nodes */
    PB_ACT_COUNT
};

/* Arguments outside of their enums give PB_ACT_IGNORE. */
enum pb_xenbus_action pb_xenbus_next(unsigned backend_state, unsigned event);

#endif
