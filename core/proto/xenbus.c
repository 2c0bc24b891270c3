/* SPDX-License-Identifier: MIT */
#include "proto/xenbus.h"

#include "base/bytes.h"

static const char *const names[] = {
#define X(id, name) [PB_XENBUS_##id] = (name),
    PB_XENBUS_STATES(X)
#undef X
};

const char *pb_xenbus_name(unsigned state)
{
    return state < PB_XENBUS_COUNT ? names[state] : names[PB_XENBUS_UNKNOWN];
}

/*
 * Rows: the state that we wrote last. Columns: the frontend's state as it was read again when its
 * watch fired (a level, not an edge: a state may come twice or be missed), our own nodes.
 *
 * Choices that differ from the kernel's backend: a frontend that starts over (1 or 3 after a close,
 * or 1 and 2 out of the blue, as after kexec) gets fresh devices instead of silence; a frontend
 * that says Connected on its own is ignored instead of believed; one that answers Reconfiguring
 * after we gave up waiting is led back to Connected.
 */
#define NONE_  PB_ACT_NONE
#define IGNORE PB_ACT_IGNORE
#define SETUP_ PB_ACT_SETUP
#define RESCAN PB_ACT_RESCAN
#define CONNEC PB_ACT_CONNECT
#define RECONF PB_ACT_RECONFIGURE
#define SETTLE PB_ACT_SETTLE
#define CLOSE_ PB_ACT_CLOSE
#define CLOSIN PB_ACT_CLOSING
#define REOPEN PB_ACT_REOPEN
#define RELEAS PB_ACT_RELEASE
/* clang-format off */
static const unsigned char table[PB_XENBUS_COUNT][PB_EVENT_COUNT] = {
    /* frontend:      unknown initing initwait inited connec closing closed reconf reconfd nodes */
    [PB_XENBUS_UNKNOWN]       = {
                      RELEAS, NONE_,  NONE_,  NONE_,  IGNORE, NONE_,  NONE_,  IGNORE, IGNORE, NONE_ },
    [PB_XENBUS_INITIALISING]  = {
                      RELEAS, SETUP_, SETUP_, SETUP_, IGNORE, CLOSIN, CLOSE_, IGNORE, IGNORE, SETUP_ },
    [PB_XENBUS_INIT_WAIT]     = {
                      RELEAS, SETUP_, SETUP_, SETUP_, IGNORE, CLOSIN, NONE_,  IGNORE, IGNORE, SETUP_ },
    [PB_XENBUS_INITIALISED]   = {
                      RELEAS, NONE_,  NONE_,  CONNEC, IGNORE, CLOSIN, CLOSE_, IGNORE, IGNORE, RESCAN },
    [PB_XENBUS_CONNECTED]     = {
                      RELEAS, REOPEN, REOPEN, NONE_,  NONE_,  CLOSIN, CLOSE_, RECONF, IGNORE, NONE_ },
    [PB_XENBUS_CLOSING]       = {
                      RELEAS, REOPEN, REOPEN, NONE_,  NONE_,  NONE_,  CLOSE_, IGNORE, IGNORE, NONE_ },
    [PB_XENBUS_CLOSED]        = {
                      RELEAS, REOPEN, REOPEN, REOPEN, IGNORE, NONE_,  NONE_,  IGNORE, IGNORE, NONE_ },
    [PB_XENBUS_RECONFIGURING] = {
                      RELEAS, REOPEN, REOPEN, NONE_,  NONE_,  CLOSIN, CLOSE_, RECONF, IGNORE, NONE_ },
    [PB_XENBUS_RECONFIGURED]  = {
                      RELEAS, REOPEN, REOPEN, IGNORE, SETTLE, CLOSIN, CLOSE_, NONE_,  NONE_,  NONE_ },
};
/* clang-format on */

enum pb_xenbus_action pb_xenbus_next(unsigned backend_state, unsigned event)
{
    if (backend_state >= PB_XENBUS_COUNT || event >= PB_EVENT_COUNT)
        return PB_ACT_IGNORE;
    return (enum pb_xenbus_action)table[backend_state][event];
}
