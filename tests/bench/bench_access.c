/* SPDX-License-Identifier: MIT */
/*
 * What one access costs from event to answer, without hypervisor and hardware. Exact, by counting:
 *     valgrind --tool=callgrind --toggle-collect=pb_serve_ports bench_access KIND [without]
 * tells the instructions of TURNS accesses. KIND: read, shadow (a write that changes a shadow),
 * same (one that does not), write (of hardware), msix (enable and disable of one vector). WITHOUT:
 * as if there were no journal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/serve.h"
#include "base/log.h"
#include "hostile_world.h"
#include "sim_front.h"

#define TURNS 1000u

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

static struct pb_op op_of(const char *kind, unsigned i)
{
    struct pb_op op = { .cmd = PB_CMD_CONF_WRITE, .offset = 0x0d, .size = 1 };

    if (strcmp(kind, "read") == 0)
        return (struct pb_op){ .cmd = PB_CMD_CONF_READ, .offset = 8, .size = 4 };
    if (strcmp(kind, "shadow") == 0)
        op.value = i & 0xff;
    if (strcmp(kind, "write") == 0)
        op = (struct pb_op){ .cmd = PB_CMD_CONF_WRITE, .offset = 4, .size = 2, .value = 3 };
    if (strcmp(kind, "msix") == 0)
        op = (struct pb_op){ .cmd = i % 2 ? PB_CMD_DISABLE_MSIX : PB_CMD_ENABLE_MSIX, .value = 1 };
    return op;
}

int main(int argc, char **argv)
{
    void *state = NULL;
    struct hostile *h;
    struct pb_xen_ops xen;
    struct pb_host_ops host;
    uint32_t port;
    uint64_t began;

    if (argc < 2 || hostile_setup(&state) != 0)
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
        struct pb_op op = op_of(argv[1], i);

        hostile_post(h, h->dom, &op);
        pb_serve_ports(h->b, &port, 1);
        if (hostile_waits(h->dom))
            return 1;
    }
    (void)printf("%s: %.1f ns\n", argv[1], (double)(pb_now_ns() - began) / TURNS);
    return 0;
}
