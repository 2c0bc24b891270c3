/* SPDX-License-Identifier: MIT */
/*
 * What the daemon may ask its helper, once somebody else speaks for the daemon: the helper is root.
 * It lives and answers. This host has one device, which lets itself be claimed.
 *
 * The first byte is the kind of a good request, the second how many bytes of it are not sent. Then
 * changes: two bytes that say where, one that stands there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "bytes_in.h"
#include "fuzz.h"
#include "host/job.h"

#define DEVICE "0000:03:00.0"

static char root[] = "/tmp/pcibackd-fuzz-XXXXXX";
static char sysfs[64], proc[64], lib_dir[64], boot_dir[64], config_dir[64];

/* Waiting takes no time, and nobody is started (modprobe). */
int nanosleep(const struct timespec *request, struct timespec *left)
{
    (void)request;
    (void)left;
    return 0;
}

pid_t fork(void)
{
    errno = EAGAIN;
    return -1;
}

static void make_directory(const char *path)
{
    PB_ASSERT(mkdir(path, 0700) == 0 || errno == EEXIST);
}

static void make_file(const char *name, const char *text, size_t length)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/bus/pci/devices/" DEVICE "/%s", sysfs, name);
    file = fopen(path, "we");
    PB_ASSERT(file && fwrite(text, 1, length, file) == length);
    (void)fclose(file);
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char below[512];

    while (dir && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            remove_all(below);
        else
            (void)unlink(below);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

static void remove_root(void)
{
    remove_all(root);
}

static void make_device(void)
{
    static const char *const dirs[] = { "",
                                        "/bus",
                                        "/bus/pci",
                                        "/bus/pci/devices",
                                        "/bus/pci/devices/" DEVICE,
                                        "/bus/pci/devices/" DEVICE "/power",
                                        "/bus/pci/drivers",
                                        "/bus/pci/drivers/pci-stub" };
    char config[PB_CONFIG_SIZE_PCI] = "\x86\x80\xd3\x10\x07\x00\x10\x00", path[160];

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", sysfs, dirs[i]);
        make_directory(path);
    }
    make_file("config", config, sizeof(config));
    make_file("vendor", "0x8086\n", 7);
    make_file("device", "0x10d3\n", 7);
    make_file("subsystem_vendor", "0x8086\n", 7);
    make_file("subsystem_device", "0x0000\n", 7);
    make_file("class", "0x020000\n", 9);
    make_file("revision", "0x00\n", 5);
    make_file("irq", "16\n", 3);
    make_file("enable", "0\n", 2);
    make_file("driver_override", "(null)\n", 7);
    make_file("reset_method", "flr bus\n", 8);
    make_file("reset", "", 0);
    make_file("power/control", "auto\n", 5);
    make_file("resource", "0x0 0x0 0x0\n", 12);
}

static void setup(void)
{
    if (sysfs[0])
        return;
    PB_ASSERT(mkdtemp(root));
    (void)atexit(remove_root);
    (void)snprintf(sysfs, sizeof(sysfs), "%s/sys", root);
    (void)snprintf(proc, sizeof(proc), "%s/proc", root);
    (void)snprintf(lib_dir, sizeof(lib_dir), "%s/lib", root);
    (void)snprintf(boot_dir, sizeof(boot_dir), "%s/boot", root);
    (void)snprintf(config_dir, sizeof(config_dir), "%s/config", root);
    make_directory(proc);
    make_directory(config_dir);
    make_device();
}

/* A text has an end. */
static void check_text(const char *text, size_t size)
{
    PB_ASSERT(memchr(text, '\0', size) != NULL);
}

static void good_request(struct pb_wire_request *r, uint32_t kind)
{
    memset(r, 0, sizeof(*r));
    r->id = 5;
    r->kind = kind;
    r->deadline_ms = 1000;
    r->sbdf = (struct pb_sbdf){ .bus = 3 };
    (void)snprintf(r->driver, sizeof(r->driver), "pci-stub");
    r->size = 4;
    if (kind == PB_JOB_RESET) {
        (void)snprintf(r->method, sizeof(r->method), "flr bus");
        r->image_size = PB_CONFIG_SIZE_PCI;
    } else if (kind == PB_JOB_LIST || kind == PB_JOB_SAVE_SLOTS) {
        r->slot_count = 1;
        r->slot[0] = (struct pb_slot){ .bus = 3, .function = -1 };
    }
}

static size_t take_request(struct bytes_in *in, struct pb_wire_request *r)
{
    unsigned missing;
    size_t size;

    good_request(r, bytes_take(in, 1) % (PB_WIRE_ACCESS + 2));
    missing = bytes_take(in, 1);
    while (in->left > 0) {
        unsigned at = bytes_take(in, 2);

        /* through an object's bytes: they are whatever the sender likes */
        ((uint8_t *)r)[at % sizeof(*r)] = (uint8_t)bytes_take(in, 1);
    }
    size = pb_wire_request_size(r);
    return size - missing % size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pb_host_options options = { .sysfs = sysfs,
                                             .proc = proc,
                                             .lib_dir = lib_dir,
                                             .boot_dir = boot_dir,
                                             .config_dir = config_dir,
                                             .self = "" };
    static struct pb_wire_request sent, request;
    static struct pb_wire_reply reply;
    struct bytes_in in = { data, size };
    static int sockets[2];
    size_t length;
    int fd, rc;

    setup();
    if (sockets[1] == 0)
        PB_ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
    length = take_request(&in, &sent);
    PB_ASSERT(send(sockets[0], &sent, length, 0) == (ssize_t)length);
    rc = pb_wire_receive_request(sockets[1], &request);
    PB_ASSERT(rc == 1 || rc == -EPIPE);
    if (rc != 1)
        return 0;
    pb_job_run(&request, &options, &reply, &fd);
    PB_ASSERT(reply.id == request.id && reply.rc <= 0 && (fd < 0 || reply.rc == 0));
    PB_ASSERT(reply.listed_count <= PB_LISTED_MAX);
    check_text(reply.reason, sizeof(reply.reason));
    check_text(reply.next, sizeof(reply.next));
    check_text(reply.driver_before, sizeof(reply.driver_before));
    check_text(reply.driver_now, sizeof(reply.driver_now));
    check_text(reply.surroundings.path, sizeof(reply.surroundings.path));
    if (fd >= 0)
        (void)close(fd);
    return 0;
}
