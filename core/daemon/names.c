/* SPDX-License-Identifier: MIT */
#include "daemon/names.h"

#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

struct pb_names {
    struct udev_hwdb *db;
};

struct pb_names *pb_names_open(void)
{
    struct pb_names *names = calloc(1, sizeof(*names));

    if (!names)
        return NULL;
    names->db = udev_hwdb_new(NULL);
    if (!names->db) {
        pb_debug("names: no hardware database, devices are shown by their ids only");
        free(names);
        return NULL;
    }
    return names;
}

void pb_names_close(struct pb_names *names)
{
    if (!names)
        return;
    (void)udev_hwdb_unref(names->db);
    free(names);
}

const char *pb_names_modalias(const struct pb_device_view *view, char buf[PB_MODALIAS_TEXT])
{
    (void)snprintf(buf, PB_MODALIAS_TEXT, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X",
                   (unsigned)view->vendor, (unsigned)view->device, (unsigned)view->subsystem_vendor,
                   (unsigned)view->subsystem_device, (unsigned)(view->class_code >> 16 & 0xff),
                   (unsigned)(view->class_code >> 8 & 0xff), (unsigned)(view->class_code & 0xff));
    return buf;
}

static const char *property(struct udev_list_entry *list, const char *name)
{
    struct udev_list_entry *entry = udev_list_entry_get_by_name(list, name);
    const char *value = entry ? udev_list_entry_get_value(entry) : NULL;

    return value ? value : "";
}

struct pb_device_names pb_names_find(struct pb_names *names, const struct pb_device_view *view)
{
    struct pb_device_names found = { "", "", "" };
    char modalias[PB_MODALIAS_TEXT];
    struct udev_list_entry *list;

    if (!names || !view->known)
        return found;
    list = udev_hwdb_get_properties_list_entry(names->db, pb_names_modalias(view, modalias), 0);
    found.vendor = property(list, "ID_VENDOR_FROM_DATABASE");
    found.device = property(list, "ID_MODEL_FROM_DATABASE");
    found.device_class = property(list, "ID_PCI_SUBCLASS_FROM_DATABASE");
    if (!found.device_class[0])
        found.device_class = property(list, "ID_PCI_CLASS_FROM_DATABASE");
    return found;
}
