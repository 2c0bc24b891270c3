/* SPDX-License-Identifier: MIT */
/*
 * What one access costs from event to answer, without hypervisor and hardware. Exact, by counting:
 *     valgrind --tool=callgrind --toggle-collect=pb_serve_ports bench_access KIND [without]
 * tells the instructions of TURNS accesses. KIND: read (of hardware), known (of what cannot
 * change), scan (the first 256 bytes, in words), miss (of a device that is not there), shadow (a
 * write that changes a shadow), same (one that does not), write (of hardware), denied (of a
 * register that is not the guest's), msix (enable and disable of one vector). WITHOUT: as if there
 * were no journal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/serve.h"
#include "base/log.h"
#include "hostile_world.h"
#include "sim_front.h"

#define TURNS 1024u /* whole scans */

static uint32_t config[64];

static int nothing(struct pb_xen *x, uint32_t port)
{
    (void)x;
    (void)port;
    return 0;
}

static enum pb_hw_when cycle(struct pb_host *h, struct pb_hw_cycle *c)
{
    (void)h;
    c->rc = 0;
    if (c->write)
        config[c->offset / 4 % 64] = c->value;
    else
        c->value = config[c->offset / 4 % 64];
    return PB_HW_NOW;
}

static const struct kind {
    const char *name;
    struct pb_op op;
} kinds[] = {
    { "read", { .cmd = PB_CMD_CONF_READ, .offset = PCI_COMMAND, .size = 4 } },
    { "known", { .cmd = PB_CMD_CONF_READ, .offset = PCI_INTERRUPT_LINE, .size = 4 } },
    { "scan", { .cmd = PB_CMD_CONF_READ, .size = 4 } },
    { "miss", { .cmd = PB_CMD_CONF_READ, .devfn = PB_DEVFN(31, 0), .size = 4 } },
    { "shadow", { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_LATENCY_TIMER, .size = 1 } },
    { "same", { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_LATENCY_TIMER, .size = 1 } },
    { "write", { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_COMMAND, .size = 2, .value = 3 } },
    { "denied", { .cmd = PB_CMD_CONF_WRITE, .offset = 0x50, .size = 4, .value = 0x5a5a5a5a } },
    { "msix", { .cmd = PB_CMD_ENABLE_MSIX, .value = 1 } },
};

static const struct kind *find(const char *name)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static struct pb_op op_of(const struct kind *kind, unsigned i)
{
    struct pb_op op = kind->op;

    if (strcmp(kind->name, "scan") == 0)
        op.offset = (int32_t)(i % 64 * 4);
    else if (strcmp(kind->name, "shadow") == 0)
        op.value = i & 0xff;
    else if (op.cmd == PB_CMD_ENABLE_MSIX && i % 2)
        op.cmd = PB_CMD_DISABLE_MSIX;
    return op;
}

int main(int argc, char **argv)
{
    void *state = NULL;
    const struct kind *kind = argc < 2 ? NULL : find(argv[1]);
    struct hostile *h;
    struct pb_xen_ops xen;
    struct pb_host_ops host;
    uint32_t port;
    uint64_t began;

    if (!kind || hostile_setup(&state) != 0)
        return 2;
    h = state;
    if (argc > 2) /* as without a journal */
        h->dev->record = h->dev->guest->record = NULL;
    xen = *h->xen->ops;
    host = *h->host->ops;
    xen.port_notify = xen.port_unmask = nothing;
    host.cycle_submit = cycle;
    h->xen->ops = &xen;
    h->host->ops = &host;
    port = h->dev->guest->port;
    began = pb_now_ns();
    for (unsigned i = 0; i < TURNS; i++) {
        struct pb_op op = op_of(kind, i);

        hostile_post(h, h->dom, &op);
        pb_serve_ports(h->b, &port, 1);
        if (hostile_waits(h->dom))
            return 1;
    }
    (void)printf("%s: %.1f ns\n", kind->name, (double)(pb_now_ns() - began) / TURNS);
    return 0;
}
