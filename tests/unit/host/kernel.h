/* SPDX-License-Identifier: MIT */
/*
 * A kernel for core/host: a sysfs of plain files in a temporary directory, and what the real one
 * does when a process writes to them, done inside of write(). The linker's --wrap puts it there, in
 * the test and in its helper, which is the same program. Switches and log are in memory that all of
 * them share.
 */
#ifndef PB_TESTS_HOST_KERNEL_H
#define PB_TESTS_HOST_KERNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "host/host.h"

#define KERNEL_LOG_MAX 1024

struct kernel {
    char refuse[64]; /* writes to paths that end so fail ... */
    int refuse_errno;
    char picky[PB_DRIVER_NAME];  /* a driver that takes nothing */
    bool late;                   /* a driver binds 100 ms after it was probed */
    char sleepy[PB_DRIVER_NAME]; /* one that sets power/control to auto when it binds */
    char thief[PB_DRIVER_NAME];  /* somebody gives what is probed to this one ... */
    unsigned thefts;             /* so many times */
    bool thieves_are_early;      /* they do so as soon as it is enabled without a driver */
    bool lets_go_first;          /* somebody else unbinds a moment earlier, once */
    char pulled_at[32];          /* the device goes when a path that ends so is written */
    bool dies_in_reset;
    bool check_owners;       /* of plugins */
    bool unkillable;         /* children of the helper, as if stuck in the kernel */
    atomic_bool hold;        /* accesses and resets in the helper wait */
    unsigned step_us;        /* an access in this process takes so long ... */
    unsigned helper_step_us; /* and one in the helper */
    unsigned tick_us;        /* the coarse clock's; read by pb_host_open */
    unsigned jump_ms;        /* the clock of this process is so far ahead */
    atomic_uint resetting, most_resetting;
    atomic_uint writes;
    char log[KERNEL_LOG_MAX][256]; /* "PATH=VALUE", PATH is relative to bus/pci */
};

#define KERNEL_UID     65534 /* of the daemon */
#define KERNEL_BOOT_ID "11111111-2222-3333-4444-555555555555"

extern struct kernel *kernel;
extern char kernel_dir[64]; /* everything is below it */
extern char kernel_sysfs[80], kernel_proc[80], kernel_lib[80], kernel_boot[80], kernel_config[80];
extern char kernel_run[80], kernel_store[80];
extern const struct pb_host_options kernel_options; /* all of them; no self */
extern const struct pb_sbdf kernel_nic;             /* 0000:03:00.0, an e1000e with its driver */

/* cmocka's setup and teardown of one test. */
int kernel_setup(void **state);
int kernel_teardown(void **state);
/* For main(): true when this process is a helper, which has then run; its exit status. */
bool kernel_is_helper(int argc, char **argv, int *ret_status);

/* A device without a driver, SIZE bytes of configuration space. */
void kernel_add_device(struct pb_sbdf sbdf, size_t size);
void kernel_remove_device(struct pb_sbdf sbdf);
/* Puts kernel_nic below port 0000:00:1c.0 with these PCI Express flags and slot capabilities. */
void kernel_add_port(uint16_t flags, uint32_t slot);
/* A file, a link, a directory at PATH below kernel_dir, with the directories on its way. */
void kernel_put(const char *path, const char *text);
void kernel_link(const char *path, const char *target); /* TARGET is below kernel_dir too */
void kernel_add_driver(const char *name);
void kernel_remove_driver(const char *name);
/* The driver that SBDF is for: it is enabled while bound. */
void kernel_bind(struct pb_sbdf sbdf, const char *driver);
/* PATH of an attribute, in one of a few static buffers. */
const char *kernel_path(struct pb_sbdf sbdf, const char *attribute);
void kernel_set(struct pb_sbdf sbdf, const char *attribute, const char *value);
void kernel_unset(struct pb_sbdf sbdf, const char *attribute);
void kernel_set_config(struct pb_sbdf sbdf, unsigned offset, unsigned size, uint32_t value);
const char *kernel_get(struct pb_sbdf sbdf, const char *attribute); /* first line; "" */
const char *kernel_driver(struct pb_sbdf sbdf);                     /* "" none */
bool kernel_remembers(struct pb_sbdf sbdf);
void kernel_forget_log(void);
/* The log has exactly these lines; the last argument is NULL. */
#define kernel_assert_log(...) kernel_assert_lines((const char *const[]){ __VA_ARGS__ })
void kernel_assert_lines(const char *const *lines);

#endif
