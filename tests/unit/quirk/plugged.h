/* SPDX-License-Identifier: MIT */
/* A device with plugins that do as a test says, on a clock that the test moves. */
#ifndef PB_TEST_PLUGGED_H
#define PB_TEST_PLUGGED_H

#include <stdint.h>

#include "plugins/fake.h"
#include "quirk/hooks.h"

extern uint64_t now_ns; /* the only clock there is */
extern struct pb_profile *profile;
extern struct pb_hooks *hooks;
extern struct fake *f, *f2, *raw, *tracer;
extern char why[400];
extern uint32_t add;             /* of answering(): what it sets in a value */
extern int verdict;              /* of answering() */
extern uint32_t handled, denied; /* of write_it() */

struct pb_profile *new_profile(void);
void free_profile(struct pb_profile *p);
struct pb_binding *plug(struct pb_profile *p, const char *name, const char *params);
void own(struct pb_binding *b, unsigned offset, unsigned size, uint32_t mask);
int setup(void **state);
int teardown(void **state);
void start(void);
void assert_why(const char *part);
uint32_t write_it(unsigned offset, unsigned size, uint32_t value);
uint32_t read_it(unsigned offset, unsigned size, uint32_t hardware, uint32_t value);
int answering(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
int slow(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
int just_fast(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
struct pb_hook_view view_of(unsigned number);

#endif
