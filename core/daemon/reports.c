/* SPDX-License-Identifier: MIT */
/* The verbs that only read. */
#include <stdio.h>

#include "base/log.h"
#include "daemon/call.h"
#include "daemon/limits.h"
#include "daemon/show.h"

struct collector {
    struct pb_names *names;
    json_t *array;
};

static void collect_device(void *ctx, const struct pb_device_view *view)
{
    struct collector *collector = ctx;

    (void)json_array_append_new(collector->array, pb_show_device(collector->names, view));
}

void pb_report_list(struct pb_call *call)
{
    struct collector collector = { .names = call->verbs->names, .array = json_array() };

    pb_backend_each_device(call->verbs->backend, collect_device, &collector);
    pb_call_done(call, json_pack("{s:o}", "devices", collector.array));
}

void pb_report_show(struct pb_call *call)
{
    struct pb_failure failure = { 0 };
    struct pb_device_view view;

    if (pb_backend_device(call->verbs->backend, call->dev, &view, &failure))
        pb_call_done(call, json_pack("{s:o}", "device", pb_show_device(call->verbs->names, &view)));
    else
        pb_call_failed(call, &failure);
}

static void collect_guest(void *ctx, const struct pb_guest_view *view)
{
    struct collector *collector = ctx;

    (void)json_array_append_new(collector->array, pb_show_guest(view));
}

void pb_report_guests(struct pb_call *call)
{
    struct collector collector = { .array = json_array() };

    pb_backend_each_guest(call->verbs->backend, collect_guest, &collector);
    pb_call_done(call, json_pack("{s:o}", "guests", collector.array));
}

/* Gathered in one walk over devices and guests. */
struct stats {
    json_t *devices, *guests;
    unsigned states[PB_DEVICE_STATE_COUNT];
    /* how far the limits are used: the guest that uses most */
    unsigned guest_count, device_count, most_devices, most_pirqs;
    struct {
        uint32_t domid;
        unsigned pirqs;
    } tally; /* of the guest looked at now */
};

static void add_plugin_stat(void *ctx, const char *name, uint64_t value)
{
    json_t *object = ctx, *number = json_integer((json_int_t)value);

    if (json_object_set_new(object, name, number) != 0)
        pb_debug("stats: a plugin's number has no name in UTF-8");
}

static json_t *plugin_stats(const struct pb_device_view *view)
{
    json_t *object = json_object();

    if (view->hooks)
        pb_hooks_stats(view->hooks, add_plugin_stat, object);
    return object;
}

static void count_device(void *ctx, const struct pb_device_view *view)
{
    struct stats *stats = ctx;
    char address[PB_SBDF_TEXT];

    stats->device_count++;
    if ((unsigned)view->state < PB_DEVICE_STATE_COUNT)
        stats->states[view->state]++;
    (void)json_array_append_new(
        stats->devices,
        json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "address",
                  pb_sbdf_format(view->sbdf, address), "name", pb_rpc_text(view->name), "state",
                  pb_device_state_name(view->state), "denied_writes",
                  (json_int_t)view->denied_writes, "resets", (json_int_t)view->resets, "reset_ms",
                  (json_int_t)view->reset_ms, "guest_resets", (json_int_t)view->guest_resets,
                  "reservation_rewrites", (json_int_t)view->reservation_rewrites, "plugins",
                  pb_show_plugins(view), "plugin_stats", plugin_stats(view)));
}

static void count_guest(void *ctx, const struct pb_guest_view *view)
{
    struct stats *stats = ctx;

    stats->guest_count++;
    if (view->device_count > stats->most_devices)
        stats->most_devices = view->device_count;
    (void)json_array_append_new(stats->guests,
                                json_pack("{s:I, s:o, s:o}", "domid", (json_int_t)view->domid,
                                          "name", pb_rpc_text(view->name), "counters",
                                          pb_show_counters(&view->counters)));
}

static void tally_pirqs(void *ctx, const struct pb_device_view *view)
{
    struct stats *stats = ctx;

    if (view->owner == (int64_t)stats->tally.domid)
        stats->tally.pirqs += view->vectors;
}

struct pirq_walk {
    struct pb_backend *backend;
    struct stats *stats;
};

static void most_pirqs(void *ctx, const struct pb_guest_view *view)
{
    struct pirq_walk *walk = ctx;
    struct stats *stats = walk->stats;

    stats->tally.domid = view->domid;
    stats->tally.pirqs = 0;
    pb_backend_each_device(walk->backend, tally_pirqs, stats);
    if (stats->tally.pirqs > stats->most_pirqs)
        stats->most_pirqs = stats->tally.pirqs;
}

static json_t *state_counts(const struct stats *stats)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < PB_DEVICE_STATE_COUNT; i++)
        (void)json_object_set_new(object, pb_device_state_name((enum pb_device_state)i),
                                  json_integer(stats->states[i]));
    return object;
}

static json_t *counter_help(void)
{
    json_t *object = json_object();

#define X(name, help) (void)json_object_set_new(object, #name, json_string(help));
    PB_COUNTERS(X)
#undef X
    return object;
}

static void set_used(json_t *limits, const char *name, unsigned used)
{
    (void)json_object_set_new(json_object_get(limits, name), "used", json_integer(used));
}

/* Each limit with its value; `used` only where something can be counted. */
static json_t *limits_of(const struct pb_verbs *verbs, const struct stats *stats)
{
    json_t *object = json_object();
    const struct pb_limit *table;
    size_t count;

    table = pb_limits_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_object_set_new(object, table[i].name,
                                  json_pack("{s:I, s:s}", "value",
                                            (json_int_t)pb_limits_value(&verbs->limits, &table[i]),
                                            "help", table[i].help));
    set_used(object, "guests", stats->guest_count);
    set_used(object, "devices", stats->device_count);
    set_used(object, "devices_per_guest", stats->most_devices);
    set_used(object, "pirqs_per_guest", stats->most_pirqs);
    set_used(object, "control_clients", pb_control_clients(verbs->control));
    return object;
}

static json_t *bounds(void)
{
    json_t *object = json_object();
    const struct pb_bound *table;
    size_t count;

    table = pb_bounds_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_object_set_new(
            object, table[i].name,
            json_pack("{s:I, s:s}", "value", (json_int_t)table[i].value, "help", table[i].help));
    return object;
}

static json_t *last_reload(const struct pb_verbs *verbs)
{
    struct pb_reload_outcome last = pb_reloader_last(verbs->reloader);

    if (last.at == 0)
        return json_null();
    return json_pack("{s:I, s:b}", "at", (json_int_t)last.at, "ok", last.ok);
}

static json_t *quirk_stats(const struct pb_verbs *verbs)
{
    const struct pb_quirk_set *quirks = pb_backend_quirks(verbs->backend);

    return json_pack("{s:I, s:I, s:I, s:o}", "generation",
                     (json_int_t)pb_backend_generation(verbs->backend), "quirks",
                     (json_int_t)pb_quirk_set_count(quirks), "files",
                     (json_int_t)pb_quirk_set_files(quirks), "last_reload", last_reload(verbs));
}

void pb_report_stats(struct pb_call *call)
{
    const struct pb_verbs *verbs = call->verbs;
    struct stats stats = { .devices = json_array(), .guests = json_array() };
    struct pirq_walk walk = { .backend = verbs->backend, .stats = &stats };
    struct pb_counters counters;
    json_t *result;

    pb_backend_each_device(verbs->backend, count_device, &stats);
    pb_backend_each_guest(verbs->backend, count_guest, &stats);
    pb_backend_each_guest(verbs->backend, most_pirqs, &walk);
    pb_backend_counters(verbs->backend, &counters);
    result = json_pack(
        "{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uptime_ms",
        (json_int_t)(pb_now_ms() - verbs->started_ms), "device_states", state_counts(&stats),
        "devices", stats.devices, "counters", pb_show_counters(&counters), "guests", stats.guests,
        "limits", limits_of(verbs, &stats), "bounds", bounds(), "counter_help", counter_help());
    (void)json_object_update_new(result, quirk_stats(verbs));
    pb_call_done(call, result);
}

static json_t *topologies(void)
{
    json_t *array = json_array();

#define X(id, name, help) (void)json_array_append_new(array, json_string(name));
    PB_TOPOLOGIES(X)
#undef X
    return array;
}

void pb_report_version(struct pb_call *call)
{
    json_t *verbs = json_array();
    const struct pb_verb *table;
    size_t count;

    table = pb_verbs_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(verbs,
                                    json_pack("{s:s, s:b, s:s}", "name", table[i].name, "changes",
                                              table[i].changes, "help", table[i].help));
    pb_call_done(call, json_pack("{s:s, s:s, s:[s,s], s:o, s:s, s:o}", "version", PB_VERSION,
                                 "jsonrpc", "2.0", "kinds", "pcibackd", "pci", "topologies",
                                 topologies(), "pciif_magic", "7", "verbs", verbs));
}
