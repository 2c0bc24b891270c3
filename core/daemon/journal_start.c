/* SPDX-License-Identifier: MIT */
#include "daemon/journal_start.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "host/remember.h"

/* Room that is there before anything needs it. */
#define RESERVE 16u

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
    char id[PB_BOOT_ID_TEXT] = "", why[300];
    const struct pb_policy *policy = config->policy;
    const struct pb_journal_options options = {
        .dir = config->state_dir,
        .boot = boot[0] ? boot : id,
        /* it may be raised while the file is open, and holes cost nothing */
        .guests = PB_LIMIT_MAX_guests,
        .devices = policy->limits.devices,
        .reserve_guests = RESERVE,
        .reserve_devices =
            policy->device_count > RESERVE ? (unsigned)policy->device_count : RESERVE,
    };
    enum pb_journal_found found;
    struct pb_journal *j;
    int rc;

    if (!boot[0])
        pb_remember_boot("/proc", id);
    if (!options.boot[0]) {
        pb_err("cannot read /proc/sys/kernel/random/boot_id; is /proc mounted?");
        return NULL;
    }
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
