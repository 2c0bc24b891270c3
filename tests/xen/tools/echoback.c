/* SPDX-License-Identifier: MIT */
/*
 * echoback DOMID IMAGE CONFIG: the least that a PCI backend can be, as a floor to compare with.
 *
 * It offers the guest one device at 00:00.0 under a kind of backend of its own, and answers at
 * once: the port is never unmasked, a processor looks at the shared page all the time, reads come
 * out of a file of 4096 bytes, writes are dropped. No hardware, no checks of what is allowed. It
 * says "connected" when the frontend is, and removes its nodes at SIGTERM. SIGSTOP gives it a rest.
 *
 * SIGUSR1 raises the floor, or lowers it again: then an operation costs one cycle of CONFIG, a
 * device's in sysfs, unless it is about what a device's header says once and for all.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/pciif.h>
#include <xen/io/xenbus.h>

#define SPACE 4096

static struct xs_handle *store;
static char front[64], back[64];
static uint32_t domid;
static uint8_t image[SPACE];
static int config = -1;
static volatile sig_atomic_t stop, cycles;

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

static void on_usr1(int number)
{
    (void)number;
    cycles = !cycles;
}

static void put(const char *dir, const char *name, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (!xs_write(store, XBT_NULL, path, value, (unsigned int)strlen(value)))
        perror(path);
}

static void put_number(const char *dir, const char *name, unsigned value)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    put(dir, name, text);
}

/* UINT32_MAX when there is no such number. */
static uint32_t number(const char *dir, const char *name)
{
    char path[128];
    unsigned int len;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    char *text = xs_read(store, XBT_NULL, path, &len);
    uint32_t value = text ? (uint32_t)strtoul(text, NULL, 10) : UINT32_MAX;
    free(text);
    return value;
}

/* A directory of OWNER's that PEER may read; nodes made in it are so, too. */
static bool directory(const char *path, uint32_t owner, uint32_t peer)
{
    struct xs_permissions perms[] = { { .id = owner, .perms = XS_PERM_NONE },
                                      { .id = peer, .perms = XS_PERM_READ } };

    return xs_mkdir(store, XBT_NULL, path) && xs_set_permissions(store, XBT_NULL, path, perms, 2);
}

/* The backend first: the guest looks as soon as its own directory is there. */
static bool offer(void)
{
    snprintf(front, sizeof(front), "/local/domain/%u/device/pci/0", domid);
    snprintf(back, sizeof(back), "/local/domain/0/backend/echo/%u/0", domid);
    if (!directory(back, 0, domid))
        return false;
    put(back, "frontend", front);
    put_number(back, "frontend-id", domid);
    put(back, "online", "1");
    put(back, "num_devs", "1");
    put(back, "dev-0", "0000:00:00.0");
    put(back, "vdev-0", "0000:00:00.0");
    put_number(back, "state-0", XenbusStateInitialised);
    put(back, "root_num", "1");
    put(back, "root-0", "0000:00");
    put_number(back, "state", XenbusStateInitialised);
    if (!directory(front, domid, 0))
        return false;
    put(front, "backend", back);
    put(front, "backend-id", "0");
    put_number(front, "state", XenbusStateInitialising);
    return true;
}

static void withdraw(void)
{
    char parent[64];

    xs_rm(store, XBT_NULL, front);
    snprintf(parent, sizeof(parent), "/local/domain/0/backend/echo/%u", domid);
    xs_rm(store, XBT_NULL, parent);
    xs_rm(store, XBT_NULL, "/local/domain/0/backend/echo");
}

static bool wait_for_frontend(void)
{
    const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };

    while (!stop && number(front, "state") != XenbusStateInitialised)
        nanosleep(&nap, NULL);
    return !stop;
}

/* COMMAND and STATUS, cache line and timers, and what is behind the header. */
static bool is_live(const struct xen_pci_op *op)
{
    return op->offset == 4 || op->offset == 6 || (op->offset >= 0xc && op->offset < 0xe) ||
           op->offset >= 0x40;
}

/* What is written is what was read: the device is another's. */
static bool cycle(const struct xen_pci_op *op)
{
    size_t size = (size_t)op->size;
    uint32_t value = 0;

    if (op->cmd == XEN_PCI_OP_conf_read)
        return pread(config, &value, size, op->offset) == op->size;
    memcpy(&value, image + op->offset, size);
    return pwrite(config, &value, size, op->offset) == op->size;
}

static void answer(struct xen_pci_op *op)
{
    uint32_t value = 0;

    if (op->domain || op->bus || op->devfn) {
        op->err = XEN_PCI_ERR_dev_not_found;
        return;
    }
    if (op->cmd != XEN_PCI_OP_conf_read && op->cmd != XEN_PCI_OP_conf_write) {
        op->err = XEN_PCI_ERR_not_implemented;
        return;
    }
    if (op->size < 1 || op->size > 4 || op->offset < 0 || op->offset > SPACE - op->size) {
        op->err = XEN_PCI_ERR_invalid_offset;
        return;
    }
    if (cycles && is_live(op) && !cycle(op)) {
        op->err = XEN_PCI_ERR_op_failed;
        return;
    }
    if (op->cmd == XEN_PCI_OP_conf_read) {
        memcpy(&value, image + op->offset, (size_t)op->size);
        op->value = value;
    }
    op->err = XEN_PCI_ERR_success;
}

static void serve(struct xen_pci_sharedinfo *page, xenevtchn_handle *channel, evtchn_port_t port)
{
    while (!stop) {
        if (!(__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & XEN_PCIF_active))
            continue;
        answer(&page->op);
        __atomic_fetch_and(&page->flags, ~(uint32_t)XEN_PCIF_active, __ATOMIC_RELEASE);
        xenevtchn_notify(channel, port);
    }
}

static int run(void)
{
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    xenevtchn_handle *channel = xenevtchn_open(NULL, 0);

    if (!grants || !channel || !offer() || !wait_for_frontend())
        return 1;
    struct xen_pci_sharedinfo *page =
        xengnttab_map_grant_ref(grants, domid, number(front, "pci-op-ref"), PROT_READ | PROT_WRITE);
    int port = xenevtchn_bind_interdomain(channel, domid, number(front, "event-channel"));
    if (!page || port < 0) {
        perror("echoback: the frontend's page or port");
        return 1;
    }
    put_number(back, "state", XenbusStateConnected);
    puts("connected");
    fflush(stdout);
    serve(page, channel, (evtchn_port_t)port);
    xengnttab_unmap(grants, page, 1);
    xenevtchn_close(channel);
    return 0;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 4 ? fopen(argv[2], "rb") : NULL;

    config = file ? open(argv[3], O_RDWR | O_CLOEXEC) : -1;
    if (config < 0 || fread(image, 1, SPACE, file) != SPACE) {
        fprintf(stderr, "usage: echoback DOMID IMAGE CONFIG, both files of %d bytes\n", SPACE);
        return 2;
    }
    fclose(file);
    domid = (uint32_t)strtoul(argv[1], NULL, 10);
    store = xs_open(0);
    if (!store) {
        perror("echoback: xenstore");
        return 1;
    }
    signal(SIGTERM, on_term);
    signal(SIGUSR1, on_usr1);
    int status = run();
    withdraw();
    return status;
}
