/* SPDX-License-Identifier: MIT */
/*
 * Intel I219 (8086:550a, 8086:15bc): the capability list ends before the Advanced Features
 * capability at 0xe0, so the kernel finds no function level reset. It works nevertheless, and is
 * done here (Advanced Capabilities for Conventional PCI ECN, 2006; the kernel's own sequence is
 * drivers/pci/pci.c, pci_af_flr; the device: QubesOS/qubes-linux-kernel#980).
 */
#include <errno.h>
#include <stdint.h>

#include "pcibackd/plugin.h"

#define AF             0xe0 /* its place in this device */
#define AF_ID          0x13
#define AF_CAP         (AF + 3)
#define AF_CAP_PENDING 0x01u /* "transactions pending" is told */
#define AF_CAP_FLR     0x02u
#define AF_CTRL        (AF + 4)
#define AF_CTRL_FLR    0x01u
#define AF_STATUS      (AF + 5)
#define AF_STATUS_TP   0x01u

#define POLL_MS        10
#define PENDING_MS     1000
#define FLR_MS         100  /* within which it is done */
#define READY_MS       1000 /* more, for a device that is not */

static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

static int wait_for_transactions(const struct pcibackd_device *dev)
{
    uint32_t status;
    int rc;

    for (unsigned waited = 0;; waited += POLL_MS) {
        rc = host->config_read(dev, AF_STATUS, 1, &status);
        if (rc || !(status & AF_STATUS_TP))
            return rc;
        if (waited >= PENDING_MS)
            break;
        host->sleep_ms(POLL_MS);
    }
    host->log(dev, PCIBACKD_WARN, "transactions are still pending after 1 s: reset nevertheless");
    return 0;
}

static int wait_for_answer(const struct pcibackd_device *dev)
{
    uint32_t ids;

    for (unsigned waited = 0;; waited += POLL_MS) {
        int rc = host->config_read(dev, 0, 4, &ids);

        if (rc || ids != UINT32_MAX)
            return rc;
        if (waited >= READY_MS)
            return -ENODEV;
        host->sleep_ms(POLL_MS);
    }
}

static int before_reset(const struct pcibackd_device *dev)
{
    uint32_t caps;
    int rc;

    /* What was there at claim; a guest may have changed the device since. */
    if (host->image(dev, AF, 1) != AF_ID)
        return 0;
    caps = host->image(dev, AF_CAP, 1);
    if (!(caps & AF_CAP_FLR))
        return 0;
    rc = caps & AF_CAP_PENDING ? wait_for_transactions(dev) : 0;
    if (rc == 0)
        rc = host->config_write(dev, AF_CTRL, 1, AF_CTRL_FLR);
    if (rc)
        return rc;
    host->sleep_ms(FLR_MS);
    rc = wait_for_answer(dev);
    return rc ? rc : PCIBACKD_RESET_DONE;
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD,
    .name = "i219-flr",
    .load = load,
    .before_reset = before_reset,
};
