/* SPDX-License-Identifier: MIT */
#include "daemon/show.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/rpc.h"

static void set_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, pb_rpc_text(text ? text : ""));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_flag(json_t *object, const char *key, bool value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

json_t *pb_show_hex(uint32_t value, int digits)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "0x%0*x", digits, (unsigned)value);
    return json_string(text);
}

/* Ids are spelled as in the configuration; null before they are known. */
static void set_id(json_t *object, const char *key, bool known, uint32_t value, int digits)
{
    (void)json_object_set_new(object, key, known ? pb_show_hex(value, digits) : json_null());
}

static void set_address(json_t *object, const char *key, struct pb_sbdf sbdf)
{
    char text[PB_SBDF_TEXT];

    set_text(object, key, pb_sbdf_format(sbdf, text));
}

/* "flr bus" as an array. */
static json_t *words(const char *text)
{
    json_t *array = json_array();

    while (text && *text) {
        size_t length = strcspn(text, " ");

        if (length)
            (void)json_array_append_new(array, json_stringn(text, length));
        text += length + (text[length] == ' ');
    }
    return array;
}

static json_t *owner(const struct pb_device_view *view)
{
    json_t *object;

    if (view->owner < 0)
        return json_null();
    object = json_object();
    set_number(object, "domid", (uint64_t)view->owner);
    set_text(object, "name", view->owner_name);
    set_address(object, "address", view->virtual_address);
    return object;
}

static void set_identity(json_t *object, const struct pb_device_view *view)
{
    set_id(object, "vendor", view->known, view->vendor, 4);
    set_id(object, "device", view->known, view->device, 4);
    set_id(object, "subsystem_vendor", view->known, view->subsystem_vendor, 4);
    set_id(object, "subsystem_device", view->known, view->subsystem_device, 4);
    set_id(object, "class", view->known, view->class_code, 6);
    set_id(object, "revision", view->known, view->revision, 2);
}

json_t *pb_show_brief(const struct pb_device_view *view)
{
    json_t *object = json_object();

    set_address(object, "address", view->sbdf);
    set_text(object, "name", view->name);
    set_text(object, "state", pb_device_state_name(view->state));
    return object;
}

static void add_plugin(void *ctx, const struct pb_hook_view *hook)
{
    json_t *object = json_object();

    set_text(object, "name", hook->plugin);
    set_text(object, "quirk", hook->quirk);
    set_flag(object, "disabled", hook->disabled);
    set_text(object, "why", hook->disabled ? hook->why_disabled : "");
    set_number(object, "calls", hook->calls);
    set_number(object, "slow", hook->slow);
    set_number(object, "faults", hook->faults);
    set_number(object, "longest_us", hook->longest_us);
    (void)json_array_append_new(ctx, object);
}

json_t *pb_show_plugins(const struct pb_device_view *view)
{
    const struct pb_profile *profile = view->profile;
    json_t *array = json_array();

    if (view->hooks) {
        pb_hooks_each(view->hooks, add_plugin, array);
        return array;
    }
    for (unsigned i = 0; profile && i < profile->binding_count; i++) {
        struct pb_hook_view idle = { .plugin = pb_plugin_name(profile->binding[i]->plugin),
                                     .quirk = profile->binding[i]->quirk };

        add_plugin(array, &idle);
    }
    return array;
}

/* Ids of those that count. */
static json_t *quirks(const struct pb_profile *profile)
{
    json_t *array = json_array();

    for (size_t i = 0; profile && i < profile->applied_count; i++) {
        if (!profile->applied[i].without_effect)
            (void)json_array_append_new(array, pb_rpc_text(profile->applied[i].id));
    }
    return array;
}

/* "line", "page" … as an array. */
static json_t *shares(uint8_t bits)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < PB_SHARE_COUNT; i++) {
        if (bits >> i & 1)
            (void)json_array_append_new(array, json_string(pb_share_name((enum pb_share)i)));
    }
    return array;
}

static json_t *uses(uint8_t bits)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < PB_USE_COUNT; i++) {
        if (bits >> i & 1)
            (void)json_array_append_new(array, json_string(pb_use_name((enum pb_use)i)));
    }
    return array;
}

static json_t *neighbours(const struct pb_surroundings *s)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < s->neighbour_count; i++) {
        json_t *object = json_object();

        set_address(object, "address", s->neighbour[i].sbdf);
        (void)json_object_set_new(object, "shares", shares(s->neighbour[i].shares));
        set_text(object, "driver", s->neighbour[i].driver);
        (void)json_array_append_new(array, object);
    }
    return array;
}

/* Where it sits, and who else depends on it; empty before somebody has looked. */
static void set_surroundings(json_t *object, const struct pb_device_view *view)
{
    static const struct pb_surroundings unknown;
    const struct pb_surroundings *s = view->surroundings ? view->surroundings : &unknown;

    set_text(object, "path", s->path);
    set_text(object, "port", s->port);
    if (s->has_physical_function)
        set_address(object, "physical_function", s->physical_function);
    else
        (void)json_object_set_new(object, "physical_function", json_null());
    set_number(object, "virtual_functions", s->virtual_functions);
    (void)json_object_set_new(object, "uses", uses(s->uses));
    set_text(object, "uses_text", s->uses_text);
    (void)json_object_set_new(object, "neighbours", neighbours(s));
    set_flag(object, "more_neighbours", s->more_neighbours);
}

static void set_ownership(json_t *object, const struct pb_device_view *view)
{
    json_t *assignment = json_null();

    if (view->assigned_to[0]) {
        assignment = json_object();
        set_text(assignment, "guest", view->assigned_to);
        set_text(assignment, "outcome", view->assignment);
    }
    (void)json_object_set_new(object, "assignment", assignment);
    set_flag(object, "adopted", view->adopted);
    set_flag(object, "tainted", view->tainted);
    (void)json_object_set_new(object, "tainted_by",
                              view->tainted ? json_integer(view->tainted_by) : json_null());
}

static void set_profile(json_t *object, const struct pb_device_view *view)
{
    static const char *const assign[] = {
        [PB_ASSIGN_ALLOW] = "allow", [PB_ASSIGN_WARN] = "warn", [PB_ASSIGN_DENY] = "deny"
    };

    (void)json_object_set_new(object, "quirks", quirks(view->profile));
    (void)json_object_set_new(object, "plugins", pb_show_plugins(view));
    set_text(object, "assign", assign[view->assign]);
    set_text(object, "assign_reason", view->assign_reason);
}

json_t *pb_show_device(struct pb_names *names, const struct pb_device_view *view)
{
    struct pb_device_names found = pb_names_find(names, view);
    json_t *object = json_object();

    set_address(object, "address", view->sbdf);
    set_text(object, "name", view->name);
    set_text(object, "state", pb_device_state_name(view->state));
    set_text(object, "cause", view->cause);
    set_identity(object, view);
    set_text(object, "vendor_text", found.vendor);
    set_text(object, "device_text", found.device);
    set_text(object, "class_text", found.device_class);
    set_flag(object, "virtual_function", view->virtual_function);
    set_text(object, "driver", view->driver);
    set_text(object, "driver_before", view->driver_before);
    (void)json_object_set_new(object, "owner", owner(view));
    set_text(object, "interrupt", view->interrupt);
    set_number(object, "vectors", view->vectors);
    set_number(object, "irq", view->irq);
    set_flag(object, "quarantined", view->quarantined);
    set_flag(object, "permissive", view->permissive);
    set_flag(object, "msix_prepared", view->msix_prepared);
    set_ownership(object, view);
    set_surroundings(object, view);
    (void)json_object_set_new(object, "reset_methods", words(view->reset_methods));
    set_number(object, "resets", view->resets);
    set_number(object, "reset_ms", view->reset_ms);
    set_number(object, "guest_resets", view->guest_resets);
    set_number(object, "reservation_rewrites", view->reservation_rewrites);
    set_number(object, "denied_writes", view->denied_writes);
    set_profile(object, view);
    return object;
}

json_t *pb_show_counters(const struct pb_counters *counters)
{
    json_t *object = json_object();

#define X(name, help) set_number(object, #name, counters->name);
    PB_COUNTERS(X)
#undef X
    return object;
}

json_t *pb_show_guest(const struct pb_guest_view *view)
{
    json_t *object = json_object();

    set_number(object, "domid", view->domid);
    set_text(object, "name", view->name);
    set_text(object, "backend_state", view->backend_state);
    set_text(object, "frontend_state", view->frontend_state);
    set_text(object, "kind", view->kind);
    set_text(object, "topology", view->topology);
    set_text(object, "assignment", view->assignment);
    set_flag(object, "connected", view->connected);
    set_flag(object, "fenced", view->fenced);
    (void)json_object_set_new(
        object, "adopted_seconds",
        view->adopted_ms ? json_integer((json_int_t)((pb_now_ms() - view->adopted_ms) / 1000))
                         : json_null());
    set_number(object, "devices", view->device_count);
    (void)json_object_set_new(object, "counters", pb_show_counters(&view->counters));
    return object;
}
