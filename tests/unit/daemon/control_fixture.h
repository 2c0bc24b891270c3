/* SPDX-License-Identifier: MIT */
/* A control socket with the verbs over a fake backend, and clients of it. */
#ifndef CONTROL_FIXTURE_H
#define CONTROL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ev.h>
#include <stdbool.h>

#include "daemon/control.h"
#include "daemon/verbs.h"
#include "fake_backend.h"

#define MESSAGE_MAX 4096
#define CLIENTS_MAX 4
#define REPLY_MAX   ((size_t)4 * 1024 * 1024)
#define PATIENCE_MS 5000

struct fixture {
    char dir[32], path[64];
    struct ev_loop *loop;
    struct pb_backend *backend;
    struct pb_verbs verbs;
    struct pb_control *control;
    char *reply;
};

int control_setup(void **state);
/* Who does not read is dropped after half a second. */
int control_setup_impatient(void **state);
int control_teardown(void **state);

/* -1: refused. */
int connect_to(const char *path);
void turn(struct fixture *f);
/* Some turns of the loop: whatever can happen without anybody's doing has happened then. */
void settle(struct fixture *f);
int new_client(struct fixture *f);
void send_bytes(int fd, const char *text, size_t length);
void send_text(int fd, const char *text);
/* The next line, which stays in f->reply; NULL: the connection was closed. */
const char *receive(struct fixture *f, int fd);
bool nothing_arrives(struct fixture *f, int fd);
void assert_has(const char *text, const char *part);
const char *ask(struct fixture *f, int fd, const char *method, const char *params);
void needs_root(void);

#endif
