/* SPDX-License-Identifier: MIT */
/*
 * Does to the hypervisor, on purpose, what a faulty backend would leave behind: the lab's proof
 * that `compare` sees it. The two "hold" verbs keep what they took until they are killed, and say
 * "held" once they have it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static xc_interface *xch;

static int hold(bool got, const char *what)
{
    if (!got) {
        perror(what);
        return 1;
    }
    puts("held");
    fflush(stdout);
    for (;;)
        pause();
}

static int hold_grant(uint32_t domid, uint32_t ref)
{
    xengnttab_handle *table = xengnttab_open(NULL, 0);
    return hold(table && xengnttab_map_grant_ref(table, domid, ref, PROT_READ | PROT_WRITE),
                "map_grant_ref");
}

static int hold_evtchn(uint32_t domid, uint32_t port)
{
    xenevtchn_handle *channel = xenevtchn_open(NULL, 0);
    return hold(channel && xenevtchn_bind_interdomain(channel, domid, port) >= 0,
                "bind_interdomain");
}

/* The device must belong to the domain; entry -1 means plain MSI. */
static int map_msi(uint32_t domid, int bus, int devfn, int entry, uint64_t table)
{
    int pirq = -1;
    int rc = xc_physdev_map_pirq_msi(xch, (int)domid, -1, &pirq, devfn, bus, entry < 0 ? 0 : entry,
                                     entry < 0 ? 0 : table);
    if (rc == 0)
        printf("%d\n", pirq);
    return rc;
}

static int map_gsi(uint32_t domid, int gsi)
{
    int pirq = gsi;
    return xc_physdev_map_pirq(xch, (int)domid, gsi, &pirq);
}

static const struct verb {
    const char *name;
    int args;
    const char *usage;
} verbs[] = {
    { "iomem", 4, "DOMID FRAME COUNT 0|1" }, { "ioport", 4, "DOMID PORT COUNT 0|1" },
    { "irq", 3, "DOMID PIRQ 0|1" },          { "map-msi", 5, "DOMID BUS DEVFN ENTRY TABLE" },
    { "map-gsi", 2, "DOMID GSI" },           { "unmap", 2, "DOMID PIRQ" },
    { "hold-grant", 2, "DOMID REF" },        { "hold-evtchn", 2, "DOMID PORT" },
    { "assign", 2, "DOMID|io SBDF" },        { "deassign", 2, "DOMID|io SBDF" },
};

static int run(const char *name, const unsigned long long *a)
{
    uint32_t domid = (uint32_t)a[0];

    if (strcmp(name, "iomem") == 0)
        return xc_domain_iomem_permission(xch, domid, a[1], a[2], a[3] != 0);
    if (strcmp(name, "ioport") == 0)
        return xc_domain_ioport_permission(xch, domid, (uint32_t)a[1], (uint32_t)a[2], a[3] != 0);
    if (strcmp(name, "irq") == 0)
        return xc_domain_irq_permission(xch, domid, (uint32_t)a[1], a[2] != 0);
    if (strcmp(name, "map-msi") == 0)
        return map_msi(domid, (int)a[1], (int)a[2], (int)a[3], a[4]);
    if (strcmp(name, "map-gsi") == 0)
        return map_gsi(domid, (int)a[1]);
    if (strcmp(name, "unmap") == 0)
        return xc_physdev_unmap_pirq(xch, (int)domid, (int)a[1]);
    if (strcmp(name, "assign") == 0)
        return xc_assign_device(xch, domid, (uint32_t)a[1], XEN_DOMCTL_DEV_RDM_RELAXED);
    if (strcmp(name, "deassign") == 0)
        return xc_deassign_device(xch, domid, (uint32_t)a[1]);
    if (strcmp(name, "hold-grant") == 0)
        return hold_grant(domid, (uint32_t)a[1]);
    return hold_evtchn(domid, (uint32_t)a[1]);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (argc < 2 || strcmp(argv[1], verbs[i].name) != 0 || argc != verbs[i].args + 2)
            continue;
        unsigned long long args[5] = { 0 };
        for (int n = 0; n < verbs[i].args; n++)
            args[n] = strcmp(argv[n + 2], "io") == 0 ? DOMID_IO : strtoull(argv[n + 2], NULL, 0);
        xch = xc_interface_open(NULL, NULL, 0);
        if (!xch) {
            perror("xenpoke: xc_interface_open");
            return 1;
        }
        int rc = run(verbs[i].name, args);
        if (rc)
            perror("xenpoke");
        return rc ? 1 : 0;
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(stderr, "xenpoke %s %s\n", verbs[i].name, verbs[i].usage);
    return 2;
}
