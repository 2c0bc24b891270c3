/* SPDX-License-Identifier: MIT */
/*
 * What the helper and its children may still do: few capabilities, and a filter of system calls
 * that children and what they exec inherit. The daemon's own end of privileges is
 * daemon/privilege.h.
 */
#ifndef PB_HOST_CONFINE_H
#define PB_HOST_CONFINE_H

#include <stddef.h>

/*
 * The calling thread keeps these capabilities at most, in its permitted and effective sets; COUNT
 * is 0 for none. Nothing can be inherited or be ambient. 0 or negative errno.
 */
int pb_confine_capabilities(const unsigned *keep, size_t count);
/* Also what a program that is exec'ed may ever get (the bounding set); needs CAP_SETPCAP. */
int pb_confine_bounds(const unsigned *keep, size_t count);

/* Adds an unconditional rule for each of NAMES to a libseccomp filter; an unknown name is left out.
 */
int pb_confine_allow(void *filter, const char *const *names, size_t count);
/* Reads, writes, waits, memory, time, threads: what any program needs. */
extern const char *const pb_confine_common[];
extern const size_t pb_confine_common_count;

/* The helper: everything that jobs, plugins and modprobe do. Before its first job. */
int pb_confine_helper(void);
/* A child that only passes bytes between descriptors that are open already. */
int pb_confine_relay(void);

#endif
