/* SPDX-License-Identifier: MIT */
/* PCI functions: their registers with write masks, and what host and hypervisor know of them. */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/json.h"
#include "host/host.h"
#include "pci/facts.h"

struct sim_world;

/* Registers of the capabilities, as far as the model has effects for them. */
#define SIM_CAP_PM         0x01
#define SIM_CAP_VPD        0x03
#define SIM_CAP_MSI        0x05
#define SIM_CAP_EXP        0x10
#define SIM_CAP_MSIX       0x11
#define SIM_EXT_AER        0x0001

#define SIM_DEVICE_BUCKETS 16384u

struct sim_device {
    TAILQ_ENTRY(sim_device) link;
    struct sim_device *same; /* the next one in its bucket */
    struct pb_sbdf sbdf;
    char text[PB_SBDF_TEXT];
    struct pb_facts facts; /* what sysfs says; config[] is filled when it is asked for */
    struct pb_surroundings surroundings;
    uint8_t config[PB_CONFIG_SIZE_PCIE];
    uint8_t wmask[PB_CONFIG_SIZE_PCIE], w1c[PB_CONFIG_SIZE_PCIE];
    unsigned resets;

    /* the host's kernel */
    char driver[PB_DRIVER_NAME]; /* bound now, "" none */
    char native[PB_DRIVER_NAME]; /* what the kernel binds to it by itself, "" nothing */
    char override[PB_DRIVER_NAME];
    unsigned plugged; /* how often it was plugged in: a descriptor is of one of these times */
    bool resetting;
    bool abandoned; /* in a reset that never ends, begun for a daemon that is dead */
    unsigned open;  /* descriptors of its configuration space */

    /* the helper: what it remembers */
    bool claimed;
    uint16_t host_command;            /* COMMAND then */
    char host_driver[PB_DRIVER_NAME]; /* what it had before it was claimed */

    /* the hypervisor */
    uint32_t owner;
    bool quarantined; /* deassign gives it to DOMID_IO */
    uint32_t granted; /* the domain that got permissions since it was assigned to it, 0 none */
    bool assignable;  /* xl made it so: bound to pciback, in quarantine */
    bool prepared;
    bool maskall_stuck; /* MSI-X was touched without decode: no assignment before a reset */

    bool msi_lost; /* registers of mapped vectors were lost and not restored yet (H8) */

    /* faults */
    bool forgets;        /* a reset leaves nothing of the registers, as if the kernel saved none */
    bool leaves_maskall; /* restoring vectors leaves MASKALL set … */
    bool keeps_maskall;  /* … and no write clears it */
    bool gone;           /* not in the machine */
    bool dead;           /* in the machine, but reads all ones */
    bool dies_in_reset;
    unsigned reset_ms; /* how long a reset takes */
    struct sim_patch {
        uint16_t offset;
        uint8_t size;
        uint32_t value;
    } patch[8]; /* what its registers are after the next reset */
    unsigned patch_count;
    int cycle_error;  /* of every cycle */
    unsigned slow_ms; /* of every cycle */
};
TAILQ_HEAD(sim_device_list, sim_device);

/*
 * From the scenario's object { "bdf", "dump", "driver", "irq", "resources", "reset", "present",
 * "virtual_function", "patch", and what surrounds it (sim_scenario.h) }; dumps are looked for in
 * DIR. NULL with an error set at AT.
 */
struct sim_device *sim_device_new(const struct pb_json *at, const char *dir);
/* Into the world. */
void sim_device_add(struct sim_world *w, struct sim_device *dev);
struct sim_device *sim_device_find(const struct sim_world *w, struct pb_sbdf sbdf);

/* Another one in its place: identity, registers and resources, but not what Xen and the helper
 * know. */
void sim_device_replace(struct sim_device *dev, const struct sim_device *by);

/* Reads an lspci -x/-xxx/-xxxx text; the number of bytes, or a negative errno. */
int sim_dump_read(const char *path, uint8_t *config, size_t size);

uint8_t sim_device_cap(const struct sim_device *dev, uint8_t id);
uint16_t sim_device_ext_cap(const struct sim_device *dev, uint16_t id);
uint16_t sim_device_command(const struct sim_device *dev);
/* Sets and clears bits of a register behind its write mask (what hypervisor and kernel do). */
void sim_device_change(struct sim_device *dev, uint16_t offset, uint16_t clear, uint16_t set);

/* Registers as the bus sees them. */
uint32_t sim_device_read(const struct sim_device *dev, uint16_t offset, uint8_t size);
void sim_device_write(struct sim_device *dev, uint16_t offset, uint8_t size, uint32_t value);
/* The kernel's reset: saved registers come back (COMMAND too), MSI and MSI-X are off. */
void sim_device_reset(struct sim_device *dev);
/* Builds the write masks from the image and the resources. */
void sim_device_masks(struct sim_device *dev);
/* Writes the addresses of the resources into the BARs. */
void sim_device_place(struct sim_device *dev);

#endif
