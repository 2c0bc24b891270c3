/* SPDX-License-Identifier: MIT */
#include "journal_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* behind what it needs */
#include <cmocka.h>

#include "tree.h"

static char dir[64], path[128];

const char *test_dir_make(void)
{
    struct stat st;

    (void)snprintf(dir, sizeof(dir), "%s/pb-journal-XXXXXX",
                   stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

void test_dir_remove(void)
{
    pb_tree_remove(dir);
}

const char *test_dir_file(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

uint8_t *test_file_read(const char *name, size_t *ret_size)
{
    FILE *file = fopen(test_dir_file(name), "rb");
    struct stat st;
    uint8_t *data;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    *ret_size = (size_t)st.st_size;
    data = malloc(*ret_size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *ret_size, file), *ret_size);
    (void)fclose(file);
    return data;
}

void test_file_write(const char *name, const uint8_t *data, size_t size)
{
    int fd = open(test_dir_file(name), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    (void)close(fd);
}

struct pb_journal_options test_options(void)
{
    return (struct pb_journal_options){ .dir = dir,
                                        .boot = TEST_BOOT,
                                        .guests = 2,
                                        .devices = 2,
                                        .reserve_guests = 1,
                                        .reserve_devices = 1 };
}

struct pb_journal *test_open(enum pb_journal_found expected)
{
    const struct pb_journal_options options = test_options();
    enum pb_journal_found found;
    struct pb_journal *j;
    char why[200] = "";

    if (pb_journal_open(&options, &found, &j, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_int_equal(found, expected);
    return j;
}

void test_device_fill(struct pb_journal_device *d, unsigned n)
{
    memset(d, 0, sizeof(*d));
    d->sbdf = (struct pb_sbdf){ .bus = (uint8_t)(n + 1), .devfn = (uint8_t)(n * 8) };
    d->phase = PB_JOURNAL_ASSIGNED;
    d->domid = n + 1;
    memset(d->handle, (int)n + 3, sizeof(d->handle));
    d->vaddr = (struct pb_sbdf){ .devfn = (uint8_t)(n * 8) };
    d->node = -1;
    d->node_state = 3;
    d->has_vaddr = d->serving = d->ready = d->assigned_in_xen = d->quarantined = 1;
    d->resource[n % PB_PCI_RESOURCES] = 1;
    d->interrupt_mode = 2;
    d->interrupt_count = 3;
    for (unsigned i = 0; i < 3; i++) {
        d->vector[i].entry = (uint16_t)i;
        d->vector[i].pirq = 151 - 3 * n - i;
    }
    d->host_command = (uint16_t)(0x100 + n);
    (void)snprintf(d->driver_before, sizeof(d->driver_before), "driver%u", n);
    (void)snprintf(d->driver_now, sizeof(d->driver_now), "pci-stub");
    (void)snprintf(d->cause, sizeof(d->cause), "cause %u", n);
    d->taint.count = 1;
    d->taint.by[0].domid = 40 + n;
    d->resets = n;
}

void test_guest_fill(struct pb_journal_guest *g, unsigned n)
{
    memset(g, 0, sizeof(*g));
    g->domid = n + 1;
    memset(g->handle, (int)n + 3, sizeof(g->handle));
    (void)snprintf(g->name, sizeof(g->name), "guest%u", n);
    g->connected = g->nodes_exist = 1;
    g->be_state = g->fe_state = 4;
    g->fe_ref = 8 + n;
    g->fe_port = 20 + n;
    g->connects = n;
    g->root_count = 1;
}

void test_facts_fill(struct pb_facts *f, unsigned n)
{
    memset(f, 0, sizeof(*f));
    f->sbdf = (struct pb_sbdf){ .bus = (uint8_t)(n + 1), .devfn = (uint8_t)(n * 8) };
    f->vendor = 0x8086;
    f->device = (uint16_t)(0x10d3 + n);
    f->class_code = 0x020000;
    f->config_size = n % 2 ? 256 : 4096;
    f->resource[0].start = 0xfe000000;
    f->resource[0].end = 0xfe01ffff;
    (void)snprintf(f->reset_methods, sizeof(f->reset_methods), "flr bus");
    for (unsigned i = 0; i < f->config_size; i++)
        f->config[i] = (uint8_t)(i * 7 + n);
}

void test_surroundings_fill(struct pb_surroundings *s, unsigned n)
{
    memset(s, 0, sizeof(*s));
    (void)snprintf(s->path, sizeof(s->path), "0000:00:%02x.0/00.0", n);
    s->neighbour_count = 1;
    s->neighbour[0].sbdf.bus = (uint8_t)(n + 1);
    (void)snprintf(s->neighbour[0].driver, sizeof(s->neighbour[0].driver), "e1000e");
}
