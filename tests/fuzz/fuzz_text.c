/* SPDX-License-Identifier: MIT */
/*
 * Short texts that others write: addresses, slots, names, uevents of the kernel, what the helper
 * wrote down before it took a device. What is taken is written the same way again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/policy.h"
#include "base/assert.h"
#include "fuzz.h"
#include "host/remember.h"
#include "host/uevent.h"
#include "xen/store.h"

static char dir[] = "/tmp/pcibackd-fuzz-XXXXXX";
static char devices[64], path[80];

static void remove_all(void)
{
    (void)unlink(path);
    (void)rmdir(devices);
    (void)rmdir(dir);
}

static void setup(void)
{
    if (path[0])
        return;
    PB_ASSERT(mkdtemp(dir));
    (void)snprintf(devices, sizeof(devices), "%s/devices", dir);
    (void)snprintf(path, sizeof(path), "%s/0000:03:00.0", devices);
    PB_ASSERT(mkdir(devices, 0700) == 0);
    (void)atexit(remove_all);
}

static void address(const char *text)
{
    char again[PB_SBDF_TEXT];
    struct pb_sbdf sbdf, second;

    if (!pb_sbdf_parse(text, &sbdf))
        return;
    PB_ASSERT(strlen(text) < PB_SBDF_TEXT);
    PB_ASSERT(pb_sbdf_parse(pb_sbdf_format(sbdf, again), &second) && pb_sbdf_equal(sbdf, second));
}

static void slot(const char *text)
{
    char again[PB_SLOT_TEXT];
    struct pb_slot one, second;

    if (!pb_slot_parse(text, &one))
        return;
    PB_ASSERT(one.device >= -1 && one.device < 32 && one.function >= -1 && one.function < 8);
    PB_ASSERT(one.device >= 0 || one.function < 0);
    PB_ASSERT(pb_slot_parse(pb_slot_format(&one, again), &second) && pb_slot_equal(&one, &second));
}

static void name(const char *text)
{
    const char *why = NULL;
    struct pb_sbdf sbdf;

    if (!pb_name_check(text, &why)) {
        PB_ASSERT(why && why[0]);
        return;
    }
    PB_ASSERT(text[0] && strlen(text) <= PB_NAME_MAX && !pb_sbdf_parse(text, &sbdf));
    for (; *text; text++)
        PB_ASSERT(*text > 0x20 && *text < 0x7f);
}

/* Lines: action, subsystem, devpath, slot, driver, synthetic. */
static void uevent(char *text)
{
    struct pb_uevent_text event = { 0 };
    const char **field[] = { &event.action,    &event.subsystem, &event.devpath,
                             &event.slot_name, &event.driver,    &event.synthetic };
    const char *driver = NULL;
    struct pb_sbdf sbdf;
    enum pb_uevent what;

    for (unsigned i = 0; i < 6 && text; i++) {
        char *end = strchr(text, '\n');

        if (end)
            *end++ = '\0';
        if (*text)
            *field[i] = text;
        text = end;
    }
    if (pb_uevent_parse(&event, &what, &sbdf, &driver) == PB_UEVENT_IS_OURS) {
        PB_ASSERT(driver && !strchr(driver, '/') && strlen(driver) < PB_DRIVER_NAME);
        PB_ASSERT(what == PB_UEVENT_BIND || !driver[0]);
    }
}

static void remembered(const uint8_t *data, size_t size)
{
    struct pb_remembered one, second;
    FILE *file = fopen(path, "we");

    PB_ASSERT(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    if (pb_remember_load(dir, "0000:03:00.0", &one) != 0)
        return;
    PB_ASSERT(pb_remember_store(dir, "0000:03:00.0", &one) == 0);
    PB_ASSERT(pb_remember_load(dir, "0000:03:00.0", &second) == 0);
    PB_ASSERT(strcmp(one.driver, second.driver) == 0 && one.has_ids == second.has_ids);
    PB_ASSERT(one.vendor == second.vendor && one.command == second.command);
}

/* A value of xenstore as a number. */
static void number(const char *text)
{
    struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);
    uint64_t value = 0;
    unsigned at;

    PB_ASSERT(req);
    at = pb_store_read(req, "/n");
    req->step[at].value = strdup(text);
    if (pb_store_number(req, at, UINT32_MAX, &value) == 0)
        PB_ASSERT(value <= UINT32_MAX && strspn(text, "0123456789") == strlen(text) &&
                  value == strtoull(text, NULL, 10));
    pb_store_req_free(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];

    setup();
    if (size == 0 || size >= sizeof(text))
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 6) {
    case 0:
        address(text);
        break;
    case 1:
        slot(text);
        break;
    case 2:
        name(text);
        break;
    case 3:
        uevent(text);
        break;
    case 4:
        remembered(data + 1, size - 1);
        break;
    default:
        number(text);
        break;
    }
    return 0;
}
