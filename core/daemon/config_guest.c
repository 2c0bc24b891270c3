/* SPDX-License-Identifier: MIT */
/* `slots`, `guests` and `assignments` of the configuration: what is taken, and for whom. */
#include <stdio.h>
#include <string.h>

#include "daemon/config_read.h"

/* --- slots --- */

static struct pb_policy_slot *find_slot(const struct pb_policy *policy, const struct pb_slot *slot)
{
    for (size_t i = 0; i < policy->slot_count; i++) {
        if (pb_slot_equal(&policy->slots[i].slot, slot))
            return &policy->slots[i];
    }
    return NULL;
}

/* One that several files list is listed once; what the operator wrote counts more than `--save`. */
static void add_slot(struct pb_config_reader *r, const struct pb_json *at,
                     const struct pb_slot *slot)
{
    struct pb_policy *policy = r->config->policy;
    struct pb_policy_slot *same = find_slot(policy, slot);

    if (same)
        same->saved = same->saved && r->saved;
    else if (pb_config_grow(at, (void **)&policy->slots, policy->slot_count, sizeof(*policy->slots),
                            NULL))
        policy->slots[policy->slot_count++] =
            (struct pb_policy_slot){ .slot = *slot, .saved = r->saved };
}

void pb_config_read_slots(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);
        const char *text = pb_json_text(&element, PB_CONFIG_PATH_MAX, NULL);
        struct pb_slot slot;

        if (text && pb_slot_parse(text, &slot))
            add_slot(r, &element, &slot);
        else
            pb_json_fail(&element, "must be an address like \"0000:05:02.0\", \"0000:05:02.*\" "
                                   "or \"0000:05:*.*\"");
    }
}

/* --- guests --- */

static void read_guest(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "name", "topology", NULL };
    struct pb_policy *policy = r->config->policy;
    struct pb_guest_policy *guest;
    enum pb_topology topology;
    struct pb_json member;
    bool by_default;
    const char *name;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "topology");
    by_default = !member.value;
    topology = pb_config_topology(&member, policy->topology);
    member = pb_json_member(at, "name");
    name = pb_config_need(at, &member) ? pb_config_name(&member) : NULL;
    if (!name)
        return;
    for (size_t i = 0; i < policy->guest_count; i++) {
        if (strcmp(policy->guests[i].name, name) == 0)
            pb_json_fail(at, "\"%s\" has an entry already, in %s: /guests/%zu", name,
                         r->guest_places[i].source, r->guest_places[i].index);
    }
    if (!pb_config_grow(at, (void **)&policy->guests, policy->guest_count, sizeof(*guest),
                        &r->guest_places))
        return;
    r->guest_places[policy->guest_count].by_default = by_default;
    guest = &policy->guests[policy->guest_count++];
    *guest = (struct pb_guest_policy){ .topology = topology };
    (void)snprintf(guest->name, sizeof(guest->name), "%s", name);
}

void pb_config_read_guests(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        read_guest(r, &element);
    }
}

/* --- assignments --- */

static void read_assigned(struct pb_config_reader *r, const struct pb_json *at, const char *guest,
                          size_t entry)
{
    const char *text = pb_json_text(at, PB_NAME_MAX, NULL), *why;
    struct pb_policy *policy = r->config->policy;
    struct pb_assignment *assignment;
    struct pb_sbdf sbdf;
    struct pb_slot slot;
    bool one = text && pb_sbdf_parse(text, &sbdf);

    /* stars would be several devices, which may not be there yet */
    if (!one && (!text || pb_slot_parse(text, &slot) || !pb_name_check(text, &why))) {
        pb_json_fail(at, "must be a device's name, or an address like \"0000:03:00.0\"");
        return;
    }
    if (!pb_config_grow(at, (void **)&policy->assignments, policy->assignment_count,
                        sizeof(*assignment), &r->assignment_places))
        return;
    r->assignment_places[policy->assignment_count].index = entry;
    r->assignment_places[policy->assignment_count].inner = at->index;
    assignment = &policy->assignments[policy->assignment_count++];
    *assignment = (struct pb_assignment){ .guest = "" };
    (void)snprintf(assignment->guest, sizeof(assignment->guest), "%s", guest);
    (void)snprintf(assignment->device, sizeof(assignment->device), "%s", text);
}

static void read_assignment(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "guest", "devices", NULL };
    struct pb_json member;
    const char *guest;
    size_t count;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "guest");
    guest = pb_config_need(at, &member) ? pb_config_name(&member) : NULL;
    if (!guest)
        return;
    member = pb_json_member(at, "devices");
    if (!pb_config_need(at, &member))
        return;
    count = pb_json_array(&member);
    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(&member, i);

        read_assigned(r, &element, guest, at->index);
    }
}

void pb_config_read_assignments(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        read_assignment(r, &element);
    }
}

static bool address_of(const struct pb_policy *policy, const char *text, struct pb_sbdf *ret)
{
    if (pb_sbdf_parse(text, ret))
        return true;
    for (size_t i = 0; i < policy->device_count; i++) {
        if (strcmp(policy->devices[i].name, text) == 0) {
            *ret = policy->devices[i].sbdf;
            return true;
        }
    }
    return false;
}

/* Those before the INDEX-th have their addresses already. */
static void check_owners(struct pb_config_reader *r, size_t index)
{
    const struct pb_assignment *all = r->config->policy->assignments, *one = &all[index];
    const struct pb_config_place *place = &r->assignment_places[index];

    for (size_t i = 0; i < index; i++) {
        const struct pb_config_place *other = &r->assignment_places[i];

        if (strcmp(all[i].device, one->device) == 0)
            pb_json_error_set(r->error,
                              "%s: /assignments/%zu/devices/%zu: %s is for guest \"%s\" already, "
                              "in %s: /assignments/%zu/devices/%zu, and cannot be for \"%s\", too",
                              place->source, place->index, place->inner, one->device, all[i].guest,
                              other->source, other->index, other->inner, one->guest);
    }
}

void pb_config_resolve(struct pb_config_reader *r)
{
    const struct pb_policy *policy = r->config->policy;

    for (size_t i = 0; i < policy->guest_count; i++) {
        if (r->guest_places[i].by_default)
            policy->guests[i].topology = policy->topology;
    }
    for (size_t i = 0; i < policy->assignment_count && !r->error->set; i++) {
        struct pb_assignment *assignment = &policy->assignments[i];
        const struct pb_config_place *place = &r->assignment_places[i];
        char text[PB_SBDF_TEXT];
        struct pb_sbdf sbdf;

        if (!address_of(policy, assignment->device, &sbdf)) {
            pb_json_error_set(r->error,
                              "%s: /assignments/%zu/devices/%zu: no entry of \"devices\" has the "
                              "name \"%s\"",
                              place->source, place->index, place->inner, assignment->device);
            return;
        }
        (void)snprintf(assignment->device, sizeof(assignment->device), "%s",
                       pb_sbdf_format(sbdf, text));
        check_owners(r, i);
    }
}
