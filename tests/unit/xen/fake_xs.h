/* SPDX-License-Identifier: MIT */
/* A xenstored in memory that can die, come back, refuse, hang and report conflicts. Thread-safe. */
#ifndef PB_TESTS_FAKE_XS_H
#define PB_TESTS_FAKE_XS_H

#include <stdbool.h>
#include <stddef.h>

#include "xen/real_store.h"

struct fake_xs;

struct fake_xs *fake_xs_new(struct pb_real_xs *ret_calls);
void fake_xs_free(struct fake_xs *f);

/* Somebody else's change. */
void fake_xs_set(struct fake_xs *f, const char *path, const void *value, size_t length);
/* As COUNT changes below every watch. */
void fake_xs_storm(struct fake_xs *f, unsigned count);
unsigned fake_xs_storm_left(struct fake_xs *f);
/* NULL when absent; to be freed. */
char *fake_xs_get(struct fake_xs *f, const char *path);

void fake_xs_die(struct fake_xs *f);
void fake_xs_return(struct fake_xs *f);
/* From the next connection on, there is a descriptor that hangs up when it dies, or by itself. */
void fake_xs_tell_end(struct fake_xs *f);
void fake_xs_hang_up(struct fake_xs *f);
void fake_xs_hang(struct fake_xs *f, bool on);              /* calls wait until it is over */
void fake_xs_conflict(struct fake_xs *f, unsigned commits); /* the next ones */
/* The connection breaks at the N'th write from now; with the errno that libxenstore gives. */
void fake_xs_break_at_write(struct fake_xs *f, unsigned n, int error);
void fake_xs_refuse_watches(struct fake_xs *f, bool on);

unsigned fake_xs_watches(struct fake_xs *f); /* registered now */
unsigned fake_xs_opens(struct fake_xs *f);
unsigned fake_xs_looks(struct fake_xs *f);   /* for events */
unsigned fake_xs_commits(struct fake_xs *f); /* attempts */

#endif
