/* SPDX-License-Identifier: MIT */
/*
 * A reloader with its control socket and clients, over a backend without a machine; its files take
 * as long to read as a test likes.
 */
#ifndef RELOAD_FIXTURE_H
#define RELOAD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <jansson.h>
#include <semaphore.h>
#include <stdbool.h>

#include "daemon/reload.h"
#include "daemon/verbs.h"
#include "fake_backend.h"

#define CLIENTS 8

struct client {
    int fd;
    char text[1 << 16];
    size_t length;
    json_t *reply;
};

struct fixture {
    char dir[32], config[64], socket[64];
    struct ev_loop *loop;
    struct pb_verbs verbs;
    struct client client[CLIENTS];
};

/* Between the thread that reads and the test. */
extern sem_t read_done, go_on;
extern bool gated;
extern unsigned readings;

int reload_setup(void **state);
int reload_teardown(void **state);
__attribute__((format(printf, 3, 4))) void write_file(const struct fixture *f, const char *name,
                                                      const char *fmt, ...);
/* MORE are members of the configuration, each with a comma before it. */
void write_config(const struct fixture *f, const char *more);
void write_quirk(const struct fixture *f, const char *file, const char *id);
void connect_client(struct fixture *f, struct client *c);
void post(struct fixture *f, unsigned client, const char *method, const char *params);
bool answered(struct client *c);
/* The whole reply, which the client owns. */
const json_t *reply_to(struct fixture *f, unsigned client);
const json_t *result_to(struct fixture *f, unsigned client);
const json_t *ask(struct fixture *f, const char *method, const char *params);
long long number(const json_t *object, const char *key);
const char *text_of(const json_t *object, const char *key);
/* Does a string of ARRAY hold PART? */
bool tells(const json_t *array, const char *part);
/* The error's data of a refused reload; the old generation is in force. */
const json_t *refused(struct fixture *f, const char *params);
void needs_root(void);

#endif
