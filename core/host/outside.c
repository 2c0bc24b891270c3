/* SPDX-License-Identifier: MIT */
/* Jobs that are of no single device: what was claimed, Linux's own backend, saved slots. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/file.h"
#include "host/remember.h"
#include "host/work.h"

#define SLOTS_FILE "90-slots.json"

/* --- what is remembered --- */

static int is_address(const struct dirent *entry)
{
    struct pb_sbdf sbdf;

    return strlen(entry->d_name) == PB_SBDF_TEXT - 1 && pb_sbdf_parse(entry->d_name, &sbdf);
}

static int by_address(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int pb_work_list_remembered(struct pb_work *work)
{
    struct dirent **entries = NULL;
    char dir[PATH_MAX];
    int n;

    (void)snprintf(dir, sizeof(dir), "%s/devices", work->options->lib_dir);
    n = scandir(dir, &entries, is_address, by_address);
    if (n < 0 && errno != ENOENT) {
        (void)pb_work_next(work, 0,
                           "make it readable for root; until then claim them again by hand");
        return pb_work_fail(work, -errno, "%s cannot be read: %s", dir, strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        struct pb_sbdf sbdf;

        (void)pb_sbdf_parse(entries[i]->d_name, &sbdf);
        free(entries[i]);
        if (!pb_work_is_taken(work, sbdf))
            continue;
        if (work->reply->listed_count < PB_LISTED_MAX)
            work->reply->listed[work->reply->listed_count++] = sbdf;
        else
            pb_warn("%s lists more than %d devices", dir, PB_LISTED_MAX);
    }
    free((void *)entries);
    return 0;
}

/* --- what is there --- */

/* A slot is at most one bus: that fits. */
int pb_work_list(struct pb_work *work)
{
    struct dirent **entries = NULL;
    char dir[PATH_MAX];
    int n;

    (void)snprintf(dir, sizeof(dir), "%s/bus/pci/devices", work->options->sysfs);
    n = scandir(dir, &entries, is_address, by_address);
    if (n < 0) {
        (void)pb_work_next(work, 0, "is sysfs mounted?");
        return pb_work_fail(work, -errno, "%s cannot be read: %s", dir, strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        struct pb_sbdf sbdf;

        (void)pb_sbdf_parse(entries[i]->d_name, &sbdf);
        free(entries[i]);
        if (pb_slot_matches(&work->request->slot[0], sbdf) &&
            work->reply->listed_count < PB_LISTED_MAX)
            work->reply->listed[work->reply->listed_count++] = sbdf;
    }
    free((void *)entries);
    return 0;
}

/* --- Linux's backend --- */

#define BUS "bus/xen-backend"

static bool exists(const struct pb_work *work, const char *path)
{
    char full[2 * PATH_MAX];
    struct stat st;

    (void)snprintf(full, sizeof(full), "%s/%s", work->options->sysfs, path);
    return lstat(full, &st) == 0;
}

int pb_work_kernel_stays_away(struct pb_work *work)
{
    uint32_t domid = work->request->domid;
    char text[PATH_MAX];
    FILE *f;
    int c;

    (void)snprintf(text, sizeof(text), BUS "/devices/pci-%u-0/driver", domid);
    if (domid && exists(work, text)) {
        (void)pb_work_next(work, 0,
                           "echo pci-%u-0 > /sys/" BUS "/drivers/xen-pciback/unbind, and "
                           "start the guest anew",
                           domid);
        return pb_work_fail(work, -EBUSY, "Linux's xen-pciback serves domain %u", domid);
    }
    if (!exists(work, BUS "/drivers/xen-pciback"))
        return 0;
    (void)snprintf(text, sizeof(text), "%s/" BUS "/drivers_autoprobe", work->options->sysfs);
    f = fopen(text, "re");
    c = f ? fgetc(f) : EOF;
    if (f)
        (void)fclose(f);
    if (c == '0')
        return 0;
    (void)pb_work_next(work, 0,
                       "enable pcibackd-xl.service, which writes 0 to /sys/" BUS
                       "/drivers_autoprobe and lets udev probe the other backends; or unload it");
    return pb_work_fail(work, -EBUSY,
                        "Linux's xen-pciback is loaded and would serve the nodes that xl makes");
}

/* --- slots --- */

static char *slots_text(const struct pb_slot *slots, uint32_t count)
{
    char *text = NULL, slot[PB_SLOT_TEXT];
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    (void)fputs("{\n  \"slots\": [", f);
    for (uint32_t i = 0; i < count; i++)
        (void)fprintf(f, "%s\n    \"%s\"", i ? "," : "", pb_slot_format(&slots[i], slot));
    (void)fputs("\n  ]\n}\n", f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

static int write_slots(struct pb_work *work, const char *dir)
{
    char *text = slots_text(work->request->slot, work->request->slot_count);
    int rc;

    if (!text)
        return -ENOMEM;
    rc = mkdir(dir, 0755) == 0 || errno == EEXIST ? 0 : -errno;
    /* A file that begins with a dot is no part of the configuration. */
    if (rc == 0)
        rc = pb_file_replace(dir, SLOTS_FILE, "." SLOTS_FILE ".new", text, 0644);
    free(text);
    return rc;
}

int pb_work_save_slots(struct pb_work *work)
{
    const char *dir = work->options->config_dir;
    int rc;

    if (!dir[0]) {
        (void)pb_work_next(work, 0, "name it so, or list the slots in it");
        return pb_work_fail(work, -EINVAL,
                            "the configuration's name does not end in .json: it has no directory "
                            "for saved slots");
    }
    rc = work->request->slot_count ? write_slots(work, dir) : pb_file_remove(dir, SLOTS_FILE);
    if (rc == 0)
        return 0;
    (void)pb_work_next(work, 0,
                       "make it writable for root, or list the slots in the configuration");
    return pb_work_fail(work, rc, "%s/" SLOTS_FILE " cannot be written: %s", dir, strerror(-rc));
}
