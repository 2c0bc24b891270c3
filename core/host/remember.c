/* SPDX-License-Identifier: MIT */
#include "host/remember.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/file.h"

#define TEXT_MAX 384

/* False without a whole line of that KEY: then the file was cut off, or is not ours. */
static bool take_line(const char *text, const char *key, char *value, size_t size)
{
    const char *at = strstr(text, key);
    size_t n;

    if (!at)
        return false;
    at += strlen(key);
    n = strcspn(at, "\n");
    if (at[n] != '\n' || n >= size)
        return false;
    memcpy(value, at, n);
    value[n] = '\0';
    return true;
}

/* "8086:10d3" */
static bool read_ids(const char *text, struct pb_remembered *ret)
{
    char *end, *last;
    unsigned long vendor = strtoul(text, &end, 16), device;

    if (strlen(text) != 9 || end != text + 4 || *end != ':')
        return false;
    device = strtoul(end + 1, &last, 16);
    if (last != text + 9)
        return false;
    ret->vendor = (uint16_t)vendor;
    ret->device = (uint16_t)device;
    return true;
}

int pb_remember_load(const char *lib_dir, const char *address, struct pb_remembered *ret)
{
    char path[PATH_MAX], text[TEXT_MAX], flag[4], ids[12], command[8], *end;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/devices/%s", lib_dir, address);
    rc = pb_file_read(path, text, sizeof(text));
    if (rc)
        return rc;
    memset(ret, 0, sizeof(*ret));
    if (strncmp(text, "driver=", 7) != 0 ||
        !take_line(text, "driver=", ret->driver, sizeof(ret->driver)) ||
        !take_line(text, "\noverride=", ret->override, sizeof(ret->override)) ||
        !take_line(text, "\npower=", ret->power, sizeof(ret->power)) ||
        !take_line(text, "\nenabled=", flag, sizeof(flag)))
        return -EPROTO;
    ret->enabled = flag[0] == '1';
    if (!strstr(text, "\nids="))
        return 0; /* the first version */
    if (!take_line(text, "\nids=", ids, sizeof(ids)) || !read_ids(ids, ret) ||
        !take_line(text, "\nboot=", ret->boot, sizeof(ret->boot)) ||
        !take_line(text, "\nchosen=", flag, sizeof(flag)))
        return -EPROTO;
    ret->has_ids = true;
    ret->chosen = flag[0] == '1';
    if (take_line(text, "\ncommand=", command, sizeof(command))) {
        unsigned long value = strtoul(command, &end, 16);

        if (strlen(command) != 4 || *end)
            return -EPROTO;
        ret->has_command = true;
        ret->command = (uint16_t)value;
    }
    return 0;
}

int pb_remember_store(const char *lib_dir, const char *address, const struct pb_remembered *what)
{
    char dir[PATH_MAX], temporary[32], text[TEXT_MAX];
    size_t n;

    (void)snprintf(dir, sizeof(dir), "%s/devices", lib_dir);
    if ((mkdir(lib_dir, 0700) != 0 && errno != EEXIST) ||
        (mkdir(dir, 0700) != 0 && errno != EEXIST))
        return -errno;
    n = (size_t)snprintf(text, sizeof(text), "driver=%s\noverride=%s\npower=%s\nenabled=%d\n",
                         what->driver, what->override, what->power, what->enabled);
    if (what->has_ids)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "ids=%04x:%04x\nboot=%s\nchosen=%d\n",
                              (unsigned)what->vendor, (unsigned)what->device, what->boot,
                              what->chosen);
    if (what->has_command)
        (void)snprintf(text + n, sizeof(text) - n, "command=%04x\n", (unsigned)what->command);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", address);
    return pb_file_replace(dir, address, temporary, text, 0600);
}

int pb_remember_forget(const char *lib_dir, const char *address)
{
    char dir[PATH_MAX];

    (void)snprintf(dir, sizeof(dir), "%s/devices", lib_dir);
    return pb_file_remove(dir, address);
}

void pb_remember_boot(const char *proc, char ret[PB_BOOT_ID_TEXT])
{
    char path[PATH_MAX], text[64];

    (void)snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", proc);
    ret[0] = '\0';
    if (pb_file_read(path, text, sizeof(text)) != 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    if (strlen(text) < PB_BOOT_ID_TEXT && strspn(text, "0123456789abcdef-") == strlen(text))
        memcpy(ret, text, strlen(text) + 1);
}
