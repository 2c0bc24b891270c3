/* SPDX-License-Identifier: MIT */
/* A directory for a test's journals, and their bytes. */
#ifndef PB_TEST_JOURNAL_DIR_H
#define PB_TEST_JOURNAL_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "backend/journal.h"

#define TEST_BOOT "11111111-2222-3333-4444-555555555555"

/* A fresh directory in memory, removed with all that is in it. */
const char *test_dir_make(void);
void test_dir_remove(void);
const char *test_dir_file(const char *name); /* its path, until the next call */

/* All bytes of a file, to be freed. */
uint8_t *test_file_read(const char *name, size_t *ret_size);
void test_file_write(const char *name, const uint8_t *data, size_t size);

/* Room for two guests and two devices. */
struct pb_journal_options test_options(void);
struct pb_journal *test_open(enum pb_journal_found expected);

/* Valid, and different for each N. */
void test_device_fill(struct pb_journal_device *device, unsigned n);
void test_guest_fill(struct pb_journal_guest *guest, unsigned n);
void test_facts_fill(struct pb_facts *facts, unsigned n);
void test_surroundings_fill(struct pb_surroundings *surroundings, unsigned n);

#endif
