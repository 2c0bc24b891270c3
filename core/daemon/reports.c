/* SPDX-License-Identifier: MIT */
/* The verbs that only read. */
#include <stdio.h>

#include "backend/journal.h"
#include "base/log.h"
#include "daemon/call.h"
#include "daemon/limits.h"
#include "daemon/show.h"
#include "daemon/walk.h"

static json_t *show_device(const struct pb_call *call, const struct pb_device_view *view)
{
    return pb_show_device(call->verbs->names, view);
}

void pb_report_list(struct pb_call *call)
{
    static const struct pb_walk_kind kind = { .device = show_device };

    pb_walk_begin(call, &kind);
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

static json_t *show_guest(const struct pb_call *call, const struct pb_guest_view *view)
{
    (void)call;
    return pb_show_guest(view);
}

void pb_report_guests(struct pb_call *call)
{
    static const struct pb_walk_kind kind = { .guest = show_guest };

    pb_walk_begin(call, &kind);
}

/* --- stats --- */

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

static json_t *device_stats(const struct pb_call *call, const struct pb_device_view *view)
{
    char address[PB_SBDF_TEXT];

    (void)call;
    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "address",
                     pb_sbdf_format(view->sbdf, address), "name", pb_rpc_text(view->name), "state",
                     pb_device_state_name(view->state), "denied_writes",
                     (json_int_t)view->denied_writes, "resets", (json_int_t)view->resets,
                     "reset_ms", (json_int_t)view->reset_ms, "guest_resets",
                     (json_int_t)view->guest_resets, "reservation_rewrites",
                     (json_int_t)view->reservation_rewrites, "plugins", pb_show_plugins(view),
                     "plugin_stats", plugin_stats(view));
}

static json_t *guest_stats(const struct pb_call *call, const struct pb_guest_view *view)
{
    (void)call;
    return json_pack("{s:I, s:o, s:o}", "domid", (json_int_t)view->domid, "name",
                     pb_rpc_text(view->name), "counters", pb_show_counters(&view->counters));
}

static json_t *state_counts(const struct pb_walk_sums *sums)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < PB_DEVICE_STATE_COUNT; i++)
        (void)json_object_set_new(object, pb_device_state_name((enum pb_device_state)i),
                                  json_integer(sums->states[i]));
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

/* KEY is "used", for now, or "most", since the start. */
static void set_use(json_t *limits, const char *name, const char *key, uint64_t value)
{
    (void)json_object_set_new(json_object_get(limits, name), key, json_integer((json_int_t)value));
}

/* Each limit with its value; its use only where something can be counted. */
static json_t *limits_of(const struct pb_verbs *verbs, const struct pb_walk_sums *sums)
{
    const struct pb_control_use *use = pb_control_use(verbs->control);
    json_t *object = json_object();
    const struct pb_limit *table;
    size_t count;

    table = pb_limits_table(&count);
    for (size_t i = 0; i < count; i++)
        (void)json_object_set_new(object, table[i].name,
                                  json_pack("{s:I, s:s}", "value",
                                            (json_int_t)pb_limits_value(&verbs->limits, &table[i]),
                                            "help", table[i].help));
    set_use(object, "guests", "used", sums->guests);
    set_use(object, "devices", "used", sums->devices);
    set_use(object, "devices_per_guest", "used", sums->most_devices);
    set_use(object, "pirqs_per_guest", "used", sums->most_pirqs);
    set_use(object, "control_clients", "used", use->clients);
    set_use(object, "control_clients", "most", use->clients_most);
    set_use(object, "control_clients_per_uid", "used", pb_control_most_of_one_uid(verbs->control));
    set_use(object, "control_message_bytes", "most", use->message_most);
    set_use(object, "control_answer_bytes", "most", use->answer_most);
    set_use(object, "control_unread_bytes", "used", use->unread);
    set_use(object, "control_unread_bytes", "most", use->unread_most);
    return object;
}

static json_t *control_stats(const struct pb_control_use *use)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "messages", (json_int_t)use->messages, "delayed",
                     (json_int_t)use->delayed, "refused", (json_int_t)use->refused, "dropped",
                     (json_int_t)use->dropped, "longest_turn_us", (json_int_t)use->turn_most_us);
}

/* What the next process would find. */
static json_t *journal_stats(const struct pb_verbs *verbs)
{
    struct pb_journal_stats now;

    if (!pb_backend_journal_stats(verbs->backend, &now))
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "guests", (json_int_t)now.guests, "devices",
                     (json_int_t)now.devices, "bytes", (json_int_t)now.bytes, "lost_parts",
                     (json_int_t)now.lost_parts);
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
    return json_pack("{s:I, s:b, s:I, s:I}", "at", (json_int_t)last.at, "ok", last.ok, "turns",
                     (json_int_t)last.turns, "longest_turn_us", (json_int_t)last.longest_turn_us);
}

static json_t *quirk_stats(const struct pb_verbs *verbs)
{
    const struct pb_quirk_set *quirks = pb_backend_quirks(verbs->backend);

    return json_pack("{s:I, s:I, s:I, s:o}", "generation",
                     (json_int_t)pb_backend_generation(verbs->backend), "quirks",
                     (json_int_t)pb_quirk_set_count(quirks), "files",
                     (json_int_t)pb_quirk_set_files(quirks), "last_reload", last_reload(verbs));
}

static json_t *stats(const struct pb_call *call, const struct pb_walk_sums *sums)
{
    const struct pb_verbs *verbs = call->verbs;
    struct pb_counters counters;
    json_t *result;

    pb_backend_counters(verbs->backend, &counters);
    result = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uptime_ms",
                       (json_int_t)(pb_now_ms() - verbs->started_ms), "device_states",
                       state_counts(sums), "counters", pb_show_counters(&counters), "control",
                       control_stats(pb_control_use(verbs->control)), "journal",
                       journal_stats(verbs), "limits", limits_of(verbs, sums), "bounds", bounds(),
                       "counter_help", counter_help());
    (void)json_object_update_new(result, quirk_stats(verbs));
    return result;
}

void pb_report_stats(struct pb_call *call)
{
    static const struct pb_walk_kind kind = { .device = device_stats,
                                              .guest = guest_stats,
                                              .rest = stats };

    pb_walk_begin(call, &kind);
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
        (void)json_array_append_new(verbs, json_pack("{s:s, s:b, s:s}", "name", table[i].name,
                                                     "changes", table[i].level == PB_LEVEL_ROOT,
                                                     "help", table[i].help));
    pb_call_done(call, json_pack("{s:s, s:s, s:[s,s], s:o, s:s, s:o}", "version", PB_VERSION,
                                 "jsonrpc", "2.0", "kinds", "pcibackd", "pci", "topologies",
                                 topologies(), "pciif_magic", "7", "verbs", verbs));
}
