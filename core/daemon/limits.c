/* SPDX-License-Identifier: MIT */
#include "daemon/limits.h"

#include <string.h>

#include "backend/backend.h"
#include "backend/flr.h"
#include "backend/taint.h"
#include "base/bytes.h"
#include "base/json.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/reload.h"
#include "host/host.h"
#include "proto/pciif.h"
#include "quirk/hooks.h"
#include "quirk/manifest.h"
#include "quirk/services.h"
#include "xen/store.h"

static const struct pb_limit limits_table[] = {
#define X(name, fallback, min, max, help) \
    { #name, fallback, min, max, offsetof(struct pb_limits, name), help },
    PB_LIMITS(X)
#undef X
};

static const struct pb_bound bounds_table[] = {
    { "msix_entries", PB_MSIX_ENTRIES_MAX, "vectors of one MSI-X operation of a guest" },
    { "msi_vectors", PB_MSI_VECTORS_MAX, "vectors of one MSI operation of a guest" },
    { "guest_resets", PB_FLR_BURST, "resets that a guest gets of one device in 3 seconds" },
    { "denied_registers", PB_DENIED_MAX,
      "registers of one device whose refused writes are told apart" },
    { "guest_warnings", PB_GUEST_WARNINGS, "warnings about what one guest does, in 10 seconds" },
    { "denied_warnings", PB_DENIED_WARNINGS,
      "warnings about refused writes to one device, in a minute" },
    { "guest_watches", PB_GUEST_WATCHES,
      "watches in xenstore for one guest; each of its devices has one more" },
    { "plugin_lines", PB_PLUGIN_LINES,
      "lines of the log, in a minute, of all plugins of one device" },
    { "plugin_faults", PB_PLUGIN_FAULTS_MAX,
      "slow calls and faults after which a plugin is switched off" },
    { "trace_entries", PB_TRACE_ENTRIES, "accesses of one device that are recorded" },
    { "tainting_guests", PB_TAINT_MAX, "living guests that one device is known to be taken from" },
    { "node_value_bytes", PB_STORE_VALUE_MAX,
      "length of a value in xenstore; a longer one is as if it were malformed" },
    { "helper_children", PB_HELPER_CHILDREN, "jobs of the helper at once, one of each device" },
    { "helper_requests", PB_HELPER_REQUESTS, "jobs that wait in the helper" },
    { "devices_remembered", PB_LISTED_MAX, "devices that a restart of the daemon claims again" },
    { "slots_saved", PB_SLOTS_SAVED_MAX, "slots that slot add --save keeps" },
    { "json_depth", PB_JSON_DEPTH_MAX, "nesting of a message, a configuration or a manifest" },
    { "config_bytes", PB_CONFIG_FILE_MAX, "length of one file of the configuration" },
    { "manifest_bytes", PB_MANIFEST_MAX, "length of one manifest" },
    { "quirks", PB_QUIRKS_MAX, "quirks at once" },
    { "control_turn_messages", PB_CONTROL_TURN_MESSAGES,
      "control messages in one turn of the loop, or fewer that take a millisecond" },
    { "check_config_ms", PB_RELOAD_READERS_MS,
      "milliseconds between two readings of the files for clients other than root" },
    { "control_stall_s", (uint64_t)PB_CONTROL_STALL_S,
      "seconds after which a client that does not read its answer is dropped" },
};

const struct pb_limit *pb_limits_table(size_t *ret_count)
{
    *ret_count = PB_ARRAY_SIZE(limits_table);
    return limits_table;
}

const struct pb_bound *pb_bounds_table(size_t *ret_count)
{
    *ret_count = PB_ARRAY_SIZE(bounds_table);
    return bounds_table;
}

uint32_t pb_limits_value(const struct pb_limits *limits, const struct pb_limit *limit)
{
    uint32_t value;

    memcpy(&value, (const char *)limits + limit->offset, sizeof(value));
    return value;
}

bool pb_limits_at_start(const struct pb_limit *limit)
{
#define X(name) offsetof(struct pb_limits, name),
    static const size_t offsets[] = { PB_LIMITS_AT_START(X) };
#undef X

    for (size_t i = 0; i < PB_ARRAY_SIZE(offsets); i++) {
        if (offsets[i] == limit->offset)
            return true;
    }
    return false;
}
