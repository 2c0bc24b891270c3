/* SPDX-License-Identifier: MIT */
/* One request over the control socket, and the wait for its answer. */
#ifndef PB_CTL_CLIENT_H
#define PB_CTL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#define PB_CTL_REPLY_MAX ((size_t)16 * 1024 * 1024)

/*
 * Sends METHOD with PARAMS (borrowed) and returns the whole reply, a JSON object that is a JSON-RPC
 * answer; NULL with one sentence in WHY and what to do in NEXT, each of SIZE bytes.
 */
json_t *pb_ctl_ask(const char *socket, unsigned timeout_s, const char *method, json_t *params,
                   char *why, char *next, size_t size);

#endif
