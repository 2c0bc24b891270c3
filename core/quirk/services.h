/* SPDX-License-Identifier: MIT */
/* What plugins get from us: struct pcibackd_host, and the device that they pass back. */
#ifndef PB_QUIRK_SERVICES_H
#define PB_QUIRK_SERVICES_H

#include "base/ratelimit.h"
#include "pci/facts.h"
#include "quirk/hooks.h"
#include "quirk/reset.h"

#define PB_PLUGIN_LINES    10 /* in a minute, of all plugins of a device */
#define PB_PLUGIN_LINES_MS 60000

struct pb_param {
    char *name, *value;
};

struct pb_trace {
    uint64_t count; /* ever recorded */
    struct pb_trace_entry entry[PB_TRACE_ENTRIES];
};

/* A device as one plugin sees it. Its address stays the same while the plugin is used for it. */
struct pcibackd_device {
    struct pcibackd_info info;
    const struct pb_facts *facts;
    const char *plugin; /* its name */
    struct pb_param *params;
    size_t param_count;
    struct pb_ratelimit own_lines, *lines; /* the device's, or its own */
    struct pb_trace *trace;                /* NULL: it does not record */
    struct pb_reset_hooks *resetting;      /* NULL: on the loop, where registers are out of reach */
};

extern const struct pcibackd_host pb_services;

/* PARAMS: JSON text of an object. 0, -EINVAL or -ENOMEM. CONFIG_SIZE 0: that of FACTS. */
int pb_device_init(struct pcibackd_device *dev, const char *plugin, const struct pb_facts *facts,
                   uint16_t config_size, const char *params);
/* FACTS of the same device, read at the same claim. */
void pb_device_facts(struct pcibackd_device *dev, const struct pb_facts *facts,
                     uint16_t config_size);
void pb_device_fini(struct pcibackd_device *dev);

/* Lines that name no device are this plugin's from now on; NULL: nobody's. */
void pb_services_for(const char *plugin);

/* reset.c: the registers of a device that is being reset. */
int pb_reset_config_read(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                         uint32_t *ret_value);
int pb_reset_config_write(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                          uint32_t value);
int pb_reset_bar_read(const struct pcibackd_device *dev, unsigned bar, uint64_t offset,
                      unsigned size, uint64_t *ret_value);
int pb_reset_bar_write(const struct pcibackd_device *dev, unsigned bar, uint64_t offset,
                       unsigned size, uint64_t value);
/* Does nothing on the loop. */
void pb_reset_sleep(unsigned ms);

#endif
