/* SPDX-License-Identifier: MIT */
/* A fuzz target: tries SIZE bytes at DATA and aborts when a rule is broken. */
#ifndef PB_TEST_FUZZ_H
#define PB_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
