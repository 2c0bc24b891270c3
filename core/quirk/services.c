/* SPDX-License-Identifier: MIT */
#include "quirk/services.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"

#define LINE_LENGTH 300

static const char *current = "?"; /* of load and unload, which are about no device */
static struct pb_ratelimit current_lines;

void pb_services_for(const char *plugin)
{
    current = plugin ? plugin : "?";
}

/* --- the device --- */

void pb_device_facts(struct pcibackd_device *dev, const struct pb_facts *facts,
                     uint16_t config_size)
{
    dev->facts = facts;
    dev->info = (struct pcibackd_info){
        .struct_size = sizeof(dev->info),
        .segment = facts->sbdf.segment,
        .bus = facts->sbdf.bus,
        .devfn = facts->sbdf.devfn,
        .vendor = facts->vendor,
        .device = facts->device,
        .subsystem_vendor = facts->subsystem_vendor,
        .subsystem_device = facts->subsystem_device,
        .class_code = facts->class_code,
        .revision = facts->revision,
        .virtual_function = facts->virtual_function,
        .config_size =
            config_size && config_size < facts->config_size ? config_size : facts->config_size,
    };
}

static int read_params(struct pcibackd_device *dev, json_t *object)
{
    const char *key;
    json_t *value;

    dev->params = calloc(json_object_size(object) + 1, sizeof(*dev->params));
    if (!dev->params)
        return -ENOMEM;
    json_object_foreach (object, key, value) {
        struct pb_param *p = &dev->params[dev->param_count++];

        p->name = strdup(key);
        p->value = json_is_string(value) ? strdup(json_string_value(value))
                                         : pb_json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!p->name || !p->value)
            return -ENOMEM;
    }
    return 0;
}

int pb_device_init(struct pcibackd_device *dev, const char *plugin, const struct pb_facts *facts,
                   uint16_t config_size, const char *params)
{
    json_t *object = json_loads(params, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(object) ? 0 : -EINVAL;

    memset(dev, 0, sizeof(*dev));
    dev->plugin = plugin;
    dev->lines = &dev->own_lines;
    pb_device_facts(dev, facts, config_size);
    if (rc == 0)
        rc = read_params(dev, object);
    json_decref(object);
    if (rc)
        pb_device_fini(dev);
    return rc;
}

void pb_device_fini(struct pcibackd_device *dev)
{
    for (size_t i = 0; i < dev->param_count; i++) {
        free(dev->params[i].name);
        free(dev->params[i].value);
    }
    free(dev->params);
    dev->params = NULL;
    dev->param_count = 0;
}

/* --- struct pcibackd_host --- */

static enum pb_log_level level_of(enum pcibackd_level level)
{
    switch (level) {
    case PCIBACKD_ERR:
        return PB_LOG_ERR;
    case PCIBACKD_WARN:
        return PB_LOG_WARN;
    case PCIBACKD_DEBUG:
        return PB_LOG_DEBUG;
    case PCIBACKD_INFO:
    default: /* another module's number */
        return PB_LOG_INFO;
    }
}

static void log_line(const struct pcibackd_device *dev, enum pcibackd_level level, const char *text)
{
    struct pb_ratelimit *lines = dev ? dev->lines : &current_lines;
    char address[PB_SBDF_TEXT] = "";
    unsigned suppressed;

    if (!text ||
        !pb_ratelimit_allow(lines, pb_now_ms(), PB_PLUGIN_LINES, PB_PLUGIN_LINES_MS, &suppressed))
        return;
    if (dev)
        (void)pb_sbdf_format(dev->facts->sbdf, address);
    pb_log(level_of(level), "%s%splugin %s: %.*s%s", address, dev ? ": " : "",
           dev ? dev->plugin : current, LINE_LENGTH, text, pb_ratelimit_note(suppressed));
}

static const struct pcibackd_info *info_of(const struct pcibackd_device *dev)
{
    return &dev->info;
}

static const char *param_of(const struct pcibackd_device *dev, const char *name)
{
    for (size_t i = 0; i < dev->param_count; i++) {
        if (strcmp(dev->params[i].name, name) == 0)
            return dev->params[i].value;
    }
    return NULL;
}

static uint32_t image_of(const struct pcibackd_device *dev, uint16_t offset, uint8_t size)
{
    if (size != 1 && size != 2 && size != 4)
        return UINT32_MAX;
    if ((unsigned)offset + size > dev->facts->config_size)
        return pb_ones(size);
    return pb_le_get(dev->facts->config + offset, size);
}

static void trace_access(const struct pcibackd_device *dev, const struct pcibackd_access *access)
{
    struct pb_trace *t = dev->trace;
    struct pb_trace_entry *e;

    if (!t)
        return;
    e = &t->entry[t->count++ % PB_TRACE_ENTRIES];
    *e = (struct pb_trace_entry){ .number = t->count,
                                  .at_ns = pb_now_ns(),
                                  .offset = access->offset,
                                  .size = access->size,
                                  .write = access->write,
                                  .mask = access->mask,
                                  .value = access->value };
}

const struct pcibackd_host pb_services = {
    .struct_size = sizeof(struct pcibackd_host),
    .abi_major = PCIBACKD_ABI_MAJOR,
    .abi_minor = PCIBACKD_ABI_MINOR,
    .log = log_line,
    .info = info_of,
    .param = param_of,
    .image = image_of,
    .trace = trace_access,
    .config_read = pb_reset_config_read,
    .config_write = pb_reset_config_write,
    .bar_read = pb_reset_bar_read,
    .bar_write = pb_reset_bar_write,
    .sleep_ms = pb_reset_sleep,
};
