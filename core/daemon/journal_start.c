/* SPDX-License-Identifier: MIT */
#include "daemon/journal_start.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "daemon/limits.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* Room that is there before anything needs it. */
#define RESERVE 16u

static bool read_boot_id(char *ret, int size)
{
    FILE *file = fopen(BOOT_ID, "re");
    bool ok = file && fgets(ret, size, file);

    if (ok) {
        ret[strcspn(ret, "\n")] = '\0';
        ok = ret[0] != '\0';
    }
    if (!ok)
        pb_err("cannot read %s: %s; is /proc mounted?", BOOT_ID,
               file ? "it is empty" : strerror(errno));
    if (file)
        (void)fclose(file);
    return ok;
}

/* The limit of guests may be raised while it is open; the file has no holes that cost anything. */
static unsigned most_guests(void)
{
    size_t count;
    const struct pb_limit *limit = pb_limits_table(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(limit[i].name, "guests") == 0)
            return (unsigned)limit[i].max;
    }
    return 0;
}

static void warn_of_disk(const char *dir)
{
    struct statfs fs;

    if (statfs(dir, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
        pb_notice("journal: %s is on a disk, whose writes may make guests wait; `state_dir` is "
                  "best on a tmpfs such as /run",
                  dir);
}

static void tell(const struct pb_journal *j, enum pb_journal_found found, const char *dir)
{
    const struct pb_journal_stats stats = pb_journal_stats(j);
    const char *text = pb_journal_found_text(found), *crashed = pb_journal_crashed_plugin(j);

    switch (found) {
    case PB_JOURNAL_FOUND_NEW:
        pb_debug("journal: %s; a new one begins", text);
        break;
    case PB_JOURNAL_FOUND_KEPT:
        pb_notice("journal: %s: %u guests, %u devices", text, stats.guests, stats.devices);
        break;
    case PB_JOURNAL_FOUND_OTHER_BOOT:
        pb_notice("journal: %s; a new one begins, the old one is %s/journal.bad", text, dir);
        break;
    case PB_JOURNAL_FOUND_FOREIGN:
    case PB_JOURNAL_FOUND_DAMAGED:
        pb_err("journal: %s; a new one begins, the old one is %s/journal.bad; devices that guests "
               "still have are taken back from them",
               text, dir);
        break;
    }
    if (crashed[0])
        pb_err("journal: the last daemon ended in a call of plugin %s, which is not called any "
               "more; replace its file, or list its quirk under `disable`, and `pcibackctl reload`",
               crashed);
    if (stats.lost_parts > 0)
        pb_err("journal: %u parts of records are damaged; what they said is looked up elsewhere, "
               "or the device is taken back from its guest",
               stats.lost_parts);
}

struct pb_journal *pb_journal_start(const struct pb_config *config, const char *boot, bool in_test)
{
    char id[40] = "", why[300];
    const struct pb_policy *policy = config->policy;
    const struct pb_journal_options options = {
        .dir = config->state_dir,
        .boot = boot[0] ? boot : id,
        .guests = most_guests(),
        .devices = policy->limits.devices,
        .reserve_guests = RESERVE,
        .reserve_devices =
            policy->device_count > RESERVE ? (unsigned)policy->device_count : RESERVE,
    };
    enum pb_journal_found found;
    struct pb_journal *j;
    int rc;

    if (!boot[0] && !read_boot_id(id, sizeof(id)))
        return NULL;
    rc = pb_journal_open(&options, &found, &j, why, sizeof(why));
    if (rc == -ENOSPC)
        pb_err("journal: %s; make room there, or name a `state_dir` with room in the configuration",
               why);
    else if (rc != 0)
        pb_err("journal: %s; see `state_dir` in the configuration", why);
    if (rc != 0)
        return NULL;
    if (!in_test)
        warn_of_disk(config->state_dir);
    tell(j, found, config->state_dir);
    return j;
}
