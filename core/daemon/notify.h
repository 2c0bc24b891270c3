/* SPDX-License-Identifier: MIT */
/* The service manager's readiness protocol (sd_notify): one datagram, no library. */
#ifndef PB_DAEMON_NOTIFY_H
#define PB_DAEMON_NOTIFY_H

/*
 * Sends STATE ("READY=1", "STOPPING=1") to $NOTIFY_SOCKET. Returns 1 when it was sent, 0 when
 * nobody asked for it, a negative errno when it failed.
 */
int pb_notify_send(const char *state);
/* What follows logs a failure, once. A reload begins; ends with STATUS, one sentence. */
void pb_notify_reloading(void);
void pb_notify_ready(const char *status);
void pb_notify_stopping(void);

#endif
