/* SPDX-License-Identifier: MIT */
#include "daemon/changes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/rpc.h"

/* --- devices --- */

__attribute__((format(printf, 2, 3))) static void add_line(json_t *lines, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)json_array_append_new(lines, pb_rpc_text(text));
}

static void profile_line(void *ctx, const char *text)
{
    add_line(ctx, "%s", text);
}

static struct pb_device_policy policy_of(const struct pb_policy *policy, struct pb_sbdf sbdf)
{
    const struct pb_device_policy *entry = pb_policy_device(policy, sbdf);

    return entry ? *entry : pb_policy_device_default(sbdf);
}

static void flag_line(json_t *lines, const char *key, bool before, bool after)
{
    static const char *const words[] = { "false", "true" };

    if (before != after)
        add_line(lines, "%s: %s -> %s", key, words[before], words[after]);
}

static void text_line(json_t *lines, const char *key, const char *before, const char *after,
                      const char *when)
{
    if (strcmp(before, after) != 0)
        add_line(lines, "%s: %s -> %s%s", key, before[0] ? before : "none",
                 after[0] ? after : "none", when);
}

static bool same_ids(const struct pb_device_policy *a, const struct pb_device_policy *b)
{
    return a->has_vendor == b->has_vendor && a->vendor == b->vendor &&
           a->has_device == b->has_device && a->device == b->device &&
           a->has_subsystem_vendor == b->has_subsystem_vendor &&
           a->subsystem_vendor == b->subsystem_vendor &&
           a->has_subsystem_device == b->has_subsystem_device &&
           a->subsystem_device == b->subsystem_device;
}

/* What the profiles do not show. */
static void policy_lines(json_t *lines, const struct pb_device_policy *before,
                         const struct pb_device_policy *after)
{
    static const char *const resets[] = { [PB_RESET_BEST_EFFORT] = "best-effort",
                                          [PB_RESET_REQUIRED] = "required",
                                          [PB_RESET_NONE] = "none" };

    text_line(lines, "name", before->name, after->name, "");
    flag_line(lines, "permissive", before->permissive, after->permissive);
    flag_line(lines, "allow_interrupt_control", before->allow_interrupt_control,
              after->allow_interrupt_control);
    text_line(lines, "reset", resets[before->reset], resets[after->reset], "");
    text_line(lines, "driver", before->driver, after->driver, " at the next claim");
    flag_line(lines, "reassign_while_alive", before->reassign_while_alive,
              after->reassign_while_alive);
    text_line(lines, "path", before->path, after->path, " at the next claim");
    if (!same_ids(before, after))
        add_line(lines, "vendor, device: checked anew at the next claim");
}

static json_t *guest_of(const struct pb_device_view *view)
{
    if (view->owner < 0)
        return json_null();
    return json_pack("{s:I, s:o}", "domid", (json_int_t)view->owner, "name",
                     pb_rpc_text(view->owner_name));
}

void pb_changes_of_device(json_t *changes, const struct pb_policy *before,
                          const struct pb_policy *after, const struct pb_device_view *view,
                          const struct pb_profile *old_profile,
                          const struct pb_profile *new_profile)
{
    struct pb_device_policy was = policy_of(before, view->sbdf);
    struct pb_device_policy is = policy_of(after, view->sbdf);
    json_t *lines = json_array();
    char address[PB_SBDF_TEXT];

    (void)pb_sbdf_format(view->sbdf, address);
    policy_lines(lines, &was, &is);
    pb_profile_diff(old_profile, new_profile, profile_line, lines);
    if (json_array_size(lines) == 0) {
        json_decref(lines);
        (void)json_object_del(changes, address);
        return;
    }
    (void)json_object_set_new(changes, address,
                              json_pack("{s:s, s:o, s:s, s:o, s:o}", "device", address, "name",
                                        pb_rpc_text(view->name), "state",
                                        pb_device_state_name(view->state), "guest", guest_of(view),
                                        "lines", lines));
}

/* --- what is of no single device --- */

static bool lists_slot(const struct pb_policy *policy, const struct pb_slot *slot)
{
    for (size_t i = 0; i < policy->slot_count; i++) {
        if (pb_slot_equal(&policy->slots[i].slot, slot))
            return true;
    }
    return false;
}

/* Slots of ONE that OTHER does not list. */
static void slot_lines(json_t *lines, const struct pb_policy *one, const struct pb_policy *other,
                       const char *what)
{
    char text[PB_SLOT_TEXT];

    for (size_t i = 0; i < one->slot_count; i++) {
        if (!lists_slot(other, &one->slots[i].slot))
            add_line(lines, "slot %s: %s", pb_slot_format(&one->slots[i].slot, text), what);
    }
}

static const char *guest_of_device(const struct pb_policy *policy, const char *device)
{
    for (size_t i = 0; i < policy->assignment_count; i++) {
        if (strcmp(policy->assignments[i].device, device) == 0)
            return policy->assignments[i].guest;
    }
    return "";
}

static void assignment_lines(json_t *lines, const struct pb_policy *before,
                             const struct pb_policy *after)
{
    char key[PB_NAME_MAX + 20];

    for (size_t i = 0; i < before->assignment_count; i++) {
        const struct pb_assignment *old = &before->assignments[i];

        (void)snprintf(key, sizeof(key), "assignment of %s", old->device);
        text_line(lines, key, old->guest, guest_of_device(after, old->device),
                  "; who has it keeps it");
    }
    for (size_t i = 0; i < after->assignment_count; i++) {
        const struct pb_assignment *new = &after->assignments[i];

        (void)snprintf(key, sizeof(key), "assignment of %s", new->device);
        if (!guest_of_device(before, new->device)[0])
            text_line(lines, key, "", new->guest, "");
    }
}

static bool lists_guest(const struct pb_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->guest_count; i++) {
        if (strcmp(policy->guests[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Of the guests that ONE names and, if there is one, EXCEPT does not. */
static void guest_lines(json_t *lines, const struct pb_policy *one, const struct pb_policy *except,
                        const struct pb_policy *before, const struct pb_policy *after)
{
    char key[PB_NAME_MAX + 24];

    for (size_t i = 0; i < one->guest_count; i++) {
        const char *name = one->guests[i].name;

        if (except && lists_guest(except, name))
            continue;
        (void)snprintf(key, sizeof(key), "topology of %s", name);
        text_line(lines, key, pb_topology_name(pb_policy_topology(before, name)),
                  pb_topology_name(pb_policy_topology(after, name)),
                  ", when it gets its first device");
    }
}

static void number_line(json_t *lines, const char *key, uint32_t before, uint32_t after)
{
    if (before != after)
        add_line(lines, "%s: %u -> %u", key, before, after);
}

json_t *pb_changes_of_settings(const struct pb_policy *before, const struct pb_policy *after)
{
    struct pb_limits limits = after->limits;
    json_t *lines = json_array();

    slot_lines(lines, after, before, "new; what is there is claimed");
    slot_lines(lines, before, after, "not listed any more; what is claimed stays claimed");
    assignment_lines(lines, before, after);
    text_line(lines, "backend.topology", pb_topology_name(before->topology),
              pb_topology_name(after->topology), ", for guests that get their first device");
    guest_lines(lines, after, NULL, before, after);
    guest_lines(lines, before, after, before, after);
    number_line(lines, "backend.busy_poll_us", before->busy_poll_us, after->busy_poll_us);
    /* these need a restart, and are told as such */
#define X(name) limits.name = before->limits.name;
    PB_LIMITS_AT_START(X)
#undef X
#define X(name, fallback, min, max, help) \
    number_line(lines, "limits." #name, before->limits.name, limits.name);
    PB_LIMITS(X)
#undef X
    return lines;
}

/* --- keys that need a restart --- */

/*
 * The socket is open, its clients have their buffers, the lock is held, and whether xl may be
 * served is found out at the start.
 */
json_t *pb_changes_for_restart(const struct pb_config *before, const struct pb_config *after)
{
    const struct pb_limits *old_limits = &before->policy->limits;
    const struct pb_limits *new_limits = &after->policy->limits;
    const struct {
        const char *key;
        bool differs;
    } keys[] = { { "control.socket", strcmp(before->socket, after->socket) != 0 },
                 { "control.group", strcmp(before->group, after->group) != 0 },
                 { "state_dir", strcmp(before->state_dir, after->state_dir) != 0 },
                 { "backend.kinds", before->policy->xl_mode != after->policy->xl_mode },
#define X(name) { "limits." #name, old_limits->name != new_limits->name },
                 PB_LIMITS_AT_START(X)
#undef X
    };
    json_t *array = json_array();

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].differs)
            (void)json_array_append_new(array, json_string(keys[i].key));
    }
    return array;
}

void pb_changes_keep(const struct pb_config *before, struct pb_config *after)
{
    const struct pb_limits *limits = &before->policy->limits;

    memcpy(after->socket, before->socket, sizeof(after->socket));
    memcpy(after->group, before->group, sizeof(after->group));
    memcpy(after->state_dir, before->state_dir, sizeof(after->state_dir));
    after->policy->xl_mode = before->policy->xl_mode;
#define X(name) after->policy->limits.name = limits->name;
    PB_LIMITS_AT_START(X)
#undef X
}
