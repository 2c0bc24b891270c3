/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller is disabled before its function is reset. Some (Samsung SM961/PM961,
 * 144d:a804) that are reset while they are enabled read all ones from then on; none is harmed by
 * it.
 *
 * Registers: NVM Express Base Specification 2.0, 3.1.3. Linux does the same for the device above
 * (drivers/pci/quirks.c, nvme_disable_and_flr).
 */
#include <errno.h>
#include <stdio.h>

#include "pcibackd/plugin.h"

#define CLASS_NVME  0x010802u

#define CAP         0x00
#define CAP_TO(cap) ((unsigned)((cap) >> 24) & 0xffu) /* in units of 500 ms */
#define CC          0x14
#define CC_EN       0x00000001u
#define CC_SHN      0x0000c000u /* a shutdown that was asked for, too */
#define CSTS        0x1c
#define CSTS_RDY    0x00000001u

#define POLL_MS     10

static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

/* Reads all ones when the device does not answer. */
static int read_register(const struct pcibackd_device *dev, unsigned at, uint32_t *ret)
{
    uint64_t value;
    int rc = host->bar_read(dev, 0, at, 4, &value);

    if (rc == 0)
        *ret = (uint32_t)value;
    return rc;
}

static int wait_until_disabled(const struct pcibackd_device *dev, unsigned ms)
{
    char line[96];
    uint32_t csts;
    int rc;

    for (unsigned waited = 0;; waited += POLL_MS) {
        rc = read_register(dev, CSTS, &csts);
        if (rc || csts == UINT32_MAX || !(csts & CSTS_RDY))
            return rc;
        if (waited >= ms)
            break;
        host->sleep_ms(POLL_MS);
    }
    /* The reset is the better way out than a device that nobody can have. */
    (void)snprintf(line, sizeof(line), "it is still ready %u ms after it was disabled: reset so",
                   ms);
    host->log(dev, PCIBACKD_WARN, line);
    return 0;
}

static int before_reset(const struct pcibackd_device *dev)
{
    uint32_t cap, cc;
    int rc;

    if (host->info(dev)->class_code != CLASS_NVME)
        return 0;
    rc = read_register(dev, CAP, &cap);
    if (rc == 0)
        rc = read_register(dev, CC, &cc);
    if (rc == -ENXIO) {
        host->log(dev, PCIBACKD_INFO, "its registers are out of reach: reset without disabling it");
        return 0;
    }
    if (rc)
        return rc;
    if (cc == UINT32_MAX)
        return 0; /* it is beyond that */
    if (cc & CC_EN)
        rc = host->bar_write(dev, 0, CC, 4, cc & ~(CC_EN | CC_SHN));
    return rc ? rc : wait_until_disabled(dev, (CAP_TO(cap) + 1) * 500);
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD,
    .name = "nvme-quiesce",
    .load = load,
    .before_reset = before_reset,
};
