/* SPDX-License-Identifier: MIT */
/* Commands for devices: what their hardware does, and what they are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_command.h"
#include "sim_world.h"

#define KEYS(...) ((const char *const[]){ "do", "device", __VA_ARGS__, NULL })
#define NO_KEYS   ((const char *const[]){ "do", "device", NULL })

static struct sim_device *device_at(struct sim_world *w, const struct pb_json *at)
{
    struct pb_json member = pb_json_member(at, "device");
    struct sim_device *dev = NULL;
    struct pb_sbdf sbdf;

    if (pb_sbdf_parse(pb_json_text(&member, 16, ""), &sbdf))
        dev = sim_device_find(w, sbdf);
    if (!dev)
        pb_json_fail(&member, "no such device");
    return dev;
}

static json_t *device(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_device *dev = device_at(w, at);
    json_t *report;

    (void)client;
    if (!dev)
        return sim_error(" ");
    report = sim_report_device(w, dev);
    (void)json_object_set_new(report, "ok", json_true());
    return report;
}

static json_t *device_read(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_device *dev = device_at(w, at);
    uint8_t size = (uint8_t)sim_number(at, "size", 1, 4, 4);
    uint16_t offset = (uint16_t)sim_number(at, "offset", 0, PB_CONFIG_SIZE_PCIE - 4u, 0);

    (void)client;
    if (!dev)
        return sim_error(" ");
    return json_pack("{s:b, s:I}", "ok", 1, "value",
                     (json_int_t)sim_device_read(dev, offset, size));
}

/* "raw": behind the write masks, as a device changes its own registers. */
static json_t *device_write(struct sim_world *w, const struct pb_json *at,
                            struct sim_client *client)
{
    struct sim_device *dev = device_at(w, at);
    uint8_t size = (uint8_t)sim_number(at, "size", 1, 4, 4);
    uint16_t offset = (uint16_t)sim_number(at, "offset", 0, PB_CONFIG_SIZE_PCIE - 4u, 0);
    uint32_t value = (uint32_t)sim_number(at, "value", 0, UINT32_MAX, 0);

    (void)client;
    if (!dev)
        return sim_error(" ");
    if (sim_bool(at, "raw", true))
        pb_le_put(&dev->config[offset], size, value);
    else
        sim_device_write(dev, offset, size, value);
    return sim_ok();
}

static json_t *device_set(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = device_at(w, at);
    const char *error = sim_text(at, "error", NULL), *methods = sim_text(at, "reset", NULL);

    (void)client;
    if (!dev)
        return sim_error(" ");
    dev->gone = sim_bool(at, "gone", dev->gone);
    dev->slow_ms = (unsigned)sim_number(at, "slow_ms", 0, 600000, dev->slow_ms);
    dev->resetting = sim_bool(at, "resetting", dev->resetting);
    dev->forgets = sim_bool(at, "forgets", dev->forgets);
    dev->leaves_maskall = sim_bool(at, "leaves_maskall", dev->leaves_maskall);
    dev->keeps_maskall = sim_bool(at, "keeps_maskall", dev->keeps_maskall);
    if (error)
        dev->cycle_error = sim_log_errno(error); /* "" is none */
    if (methods)
        (void)snprintf(dev->facts.reset_methods, sizeof(dev->facts.reset_methods), "%s", methods);
    return sim_ok();
}

const struct sim_command sim_commands_device[] = {
    { "device", NO_KEYS, device },
    { "device-read", KEYS("offset", "size"), device_read },
    { "device-write", KEYS("offset", "size", "value", "raw"), device_write },
    { "device-set",
      KEYS("gone", "slow_ms", "error", "reset", "resetting", "forgets", "leaves_maskall",
           "keeps_maskall"),
      device_set },
    { NULL, NULL, NULL },
};
