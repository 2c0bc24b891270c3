/* SPDX-License-Identifier: MIT */
/*
 * pcibackd plugins: quirks of PCI devices that a manifest cannot say.
 *
 * A plugin is /usr/lib/pcibackd/plugins/NAME.so and exports one data symbol, `pcibackd_plugin`. It
 * is used for a device when a quirk manifest names it, and sees only the registers that the
 * manifest lists. It has no undefined symbols of the daemon's: what it needs comes in struct
 * pcibackd_host.
 *
 * ABI: a plugin is loaded when its major version is the daemon's and its minor version is not
 * newer. Nothing else of the structure is looked at before that. Later minor versions only append
 * members and give meaning to bits and values that are reserved now (and refused); `struct_size`
 * says how much a side knows: what is behind its end counts as NULL or 0.
 *
 * The file, and each directory above it, must be root's alone to write, and none of them a symbolic
 * link. Libraries are opened with all their symbols bound and none of them shared. A plugin has no
 * constructors, threads, signal or exit handlers: the library is closed after its last user.
 *
 * Where callbacks run. `load`, `unload`, `attach`, `detach`, `read`, `write` and `stats` run on the
 * daemon's event loop, for all guests: they never block, sleep, allocate without bound or touch the
 * device. A call of more than 1 ms is counted as slow; a thousand others make up for it, since the
 * clock also runs while something else has the processor. After 8 slow calls or faults (a verdict
 * that does not exist, bits changed outside of the mask, an error where none may be) the plugin is
 * switched off for that device until the next attach, and the log, `show` and `stats` say so; its
 * registers are then what the rules beneath it make of them.
 * `before_reset` and `after_reset` run in a process of their own that ends afterwards, and may wait
 * up to the reset's deadline: nothing that other callbacks stored is there, and `load` has been
 * called anew.
 *
 * Errors are negative errno values (-EINVAL); 0 is success. Strings and structures that are passed
 * in belong to the caller and are valid during the call, unless it is said otherwise. Offsets and
 * sizes are bytes, registers little endian as in PCI Local Bus 3.0, chapter 6.
 */
#ifndef PCIBACKD_PLUGIN_H
#define PCIBACKD_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PCIBACKD_PLUGIN_MAGIC 0x42494350u /* "PCIB" */
#define PCIBACKD_ABI_MAJOR    1
#define PCIBACKD_ABI_MINOR    0

/* One device while the plugin is used for it: the daemon's, only ever passed back. */
struct pcibackd_device;

/* What a device is. All of it was read before any guest had it. */
struct pcibackd_info {
    uint32_t struct_size;
    uint16_t segment;
    uint8_t bus, devfn;
    uint16_t vendor, device, subsystem_vendor, subsystem_device;
    uint32_t class_code; /* 24 bits */
    uint8_t revision;
    uint8_t virtual_function; /* 0 or 1 */
    uint16_t config_size;     /* 256 or 4096, or less by a quirk */
};

/* One access of a guest. Bits outside of MASK are not the plugin's: they read 0 in VALUE and RAW.
 */
struct pcibackd_access {
    uint32_t struct_size;
    uint16_t offset; /* of the access; not always that of a listed register: a guest may split it */
    uint8_t size;    /* 1, 2 or 4 */
    uint8_t write;   /* 0 or 1 */
    uint32_t mask;   /* bits of the access that the manifest lists for this plugin */
    uint32_t value;  /* in and out: what the guest writes, or is going to read */
    uint32_t raw;    /* of a read with PCIBACKD_WANT_RAW: what hardware said */
};

enum pcibackd_verdict {
    PCIBACKD_PASS = 0, /* go on; a VALUE that was changed within MASK counts */
    /* write: done, these bits go no further, nor to another plugin. read: the same as PASS */
    PCIBACKD_HANDLED = 1,
    PCIBACKD_DENY = 2, /* write: refused and counted as denied. read: these bits read 0 */
};

enum pcibackd_level { PCIBACKD_ERR = 3, PCIBACKD_WARN = 4, PCIBACKD_INFO = 6, PCIBACKD_DEBUG = 7 };

/*
 * What `before_reset` may answer beside 0 and a negative errno, which fails the reset: the plugin
 * has reset the device. Neither the kernel nor the plugins behind it are asked to; all of them get
 * `after_reset`. BARs, COMMAND and the control registers of PCI Express are restored from the image
 * at claim; what else the reset has undone is the plugin's to restore.
 */
#define PCIBACKD_RESET_DONE 1

/* The daemon's services. Valid as long as the plugin is loaded. */
struct pcibackd_host {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    /* One line without newline; limited to 10 a minute for each device. DEV may be NULL. */
    void (*log)(const struct pcibackd_device *dev, enum pcibackd_level level, const char *text);
    const struct pcibackd_info *(*info)(const struct pcibackd_device *dev);
    /*
     * A member of the manifest's "params": a string as it is, anything else as JSON text; NULL:
     * absent. Valid until the device's `detach`, or the end of `before_reset` and `after_reset`.
     */
    const char *(*param)(const struct pcibackd_device *dev, const char *name);
    /* SIZE (1, 2, 4) bytes of configuration space as they were at claim; all ones outside of it. */
    uint32_t (*image)(const struct pcibackd_device *dev, uint16_t offset, uint8_t size);
    /*
     * Appends an access to the device's trace, which `pcibackctl trace` prints. Cheap: no system
     * call. Only for plugins with PCIBACKD_WANT_TRACE.
     */
    void (*trace)(const struct pcibackd_device *dev, const struct pcibackd_access *access);
    /*
     * Only in before_reset and after_reset, elsewhere -EPERM. A BAR is read and written with one
     * access of SIZE 1, 2, 4 or 8 bytes; memory decode is turned on for it if it was off, and back
     * when the callback returns. -ENXIO: the BAR has no memory, is smaller, is not where the kernel
     * put it (after a reset of the plugin's own), or the device does not answer (CVE-2020-12888);
     * -EINVAL: misaligned, no such size or BAR; -EIO, -EACCES …: the kernel refuses it.
     */
    int (*config_read)(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                       uint32_t *ret_value);
    int (*config_write)(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                        uint32_t value);
    int (*bar_read)(const struct pcibackd_device *dev, unsigned bar, uint64_t offset, unsigned size,
                    uint64_t *ret_value);
    int (*bar_write)(const struct pcibackd_device *dev, unsigned bar, uint64_t offset,
                     unsigned size, uint64_t value);
    void (*sleep_ms)(unsigned ms); /* elsewhere it returns at once */
};

/* flags */
#define PCIBACKD_WANT_RAW   0x1u /* reads of its registers go to hardware first: `raw` is valid */
#define PCIBACKD_WANT_TRACE 0x2u /* uses host->trace */

typedef void (*pcibackd_stat_fn)(void *ctx, const char *name, uint64_t value);

/* Every callback may be NULL. */
struct pcibackd_plugin {
    uint32_t magic;
    uint16_t abi_major, abi_minor; /* that it was built with */
    uint32_t struct_size;          /* sizeof(struct pcibackd_plugin) when it was built */
    uint32_t flags;
    const char *name; /* the same as the file's, without ".so" */
    /* Once, before anything else; an error refuses the plugin. HOST stays valid until unload. */
    int (*load)(const struct pcibackd_host *host);
    void (*unload)(void);
    /* A guest gets the device; *ret_state is the plugin's own. An error refuses the attach. */
    int (*attach)(const struct pcibackd_device *dev, void **ret_state);
    /* The guest has it no more, or a reload changed the plugin's registers or parameters. */
    void (*detach)(const struct pcibackd_device *dev, void *state);
    /* After the daemon's own rules for a read, before them for a write. enum pcibackd_verdict. */
    int (*read)(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
    int (*write)(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access);
    /* An error fails the reset: nothing is reset, and the operator's policy says what follows. */
    int (*before_reset)(const struct pcibackd_device *dev);
    /*
     * After the time that the device needs to settle. RC: how the reset went, 0 or a negative
     * errno, also that of another plugin's before_reset (then nothing was reset).
     */
    int (*after_reset)(const struct pcibackd_device *dev, int rc);
    /* Calls STAT for each of its numbers, with CTX. */
    void (*stats)(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx);
};

#if defined(__GNUC__)
#define PCIBACKD_EXPORT __attribute__((visibility("default")))
#else
#define PCIBACKD_EXPORT
#endif

/*
 * The one symbol that is looked up: PCIBACKD_PLUGIN = { PCIBACKD_PLUGIN_HEAD, .name = "…", … };
 * Its declaration below makes it visible, and C's also in C++.
 */
#define PCIBACKD_PLUGIN const struct pcibackd_plugin pcibackd_plugin
#define PCIBACKD_PLUGIN_HEAD \
    PCIBACKD_PLUGIN_MAGIC, PCIBACKD_ABI_MAJOR, PCIBACKD_ABI_MINOR, sizeof(struct pcibackd_plugin)

extern const struct pcibackd_plugin pcibackd_plugin PCIBACKD_EXPORT;

#ifdef __cplusplus
}
#endif

#endif
