/* SPDX-License-Identifier: MIT */
/* The verbs that look into one device: its rules, what was refused, what was recorded. */
#include <stdio.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/show.h"
#include "daemon/walk.h"
#include "quirk/explain.h"
#include "quirk/suggest.h"

static json_t *hex(uint32_t value, unsigned size)
{
    return pb_show_hex(value, 2 * (int)size);
}

static json_t *offset_text(unsigned offset)
{
    return pb_show_hex(offset, offset > 0xff ? 3 : 2);
}

/*
 * The verb's device, which must have been claimed once: before that nothing is known of its
 * registers. False: the call has been answered.
 */
static bool find(struct pb_call *call, struct pb_device_view *ret)
{
    struct pb_failure failure = { 0 };

    if (!pb_backend_device(call->verbs->backend, call->dev, ret, &failure)) {
        pb_call_failed(call, &failure);
        return false;
    }
    if (ret->profile)
        return true;
    failure.code = PB_FAIL_STATE;
    (void)pb_sbdf_format(ret->sbdf, failure.device);
    (void)snprintf(failure.reason, sizeof(failure.reason),
                   "nothing is known of its registers, because it is not claimed");
    (void)snprintf(failure.next, sizeof(failure.next), "pcibackctl claim %s", call->dev);
    pb_call_failed(call, &failure);
    return false;
}

/* RESULT, which is taken over, is an object; NULL: out of memory. */
static void done_with_device(struct pb_call *call, const struct pb_device_view *view,
                             json_t *result)
{
    if (result)
        (void)json_object_set_new(result, "device", pb_show_brief(view));
    pb_call_done(call, result);
}

static json_t *show_quirk(const struct pb_call *call, const struct pb_quirk_view *view)
{
    (void)call;
    return pb_explain_quirk(view);
}

static json_t *quirks_rest(const struct pb_call *call, const struct pb_walk_sums *sums)
{
    (void)call;
    return pb_explain_set_rest(sums->quirks);
}

void pb_report_quirks(struct pb_call *call)
{
    static const struct pb_walk_kind kind = { .quirk = show_quirk, .rest = quirks_rest };

    pb_walk_begin(call, &kind);
}

void pb_report_explain(struct pb_call *call)
{
    struct pb_device_view view;

    if (find(call, &view))
        done_with_device(call, &view, pb_explain(view.profile));
}

void pb_report_map(struct pb_call *call)
{
    struct pb_device_view view;

    if (find(call, &view))
        done_with_device(call, &view, pb_explain_map(view.profile));
}

/* --- what was denied --- */

struct denials {
    const struct pb_profile *profile;
    struct pb_denied entry[PB_DENIED_MAX];
    size_t count;
    uint64_t lost;
};

static void collect_denied(void *ctx, const struct pb_denied *denied)
{
    struct denials *denials = ctx;

    if (denials->count < PB_DENIED_MAX)
        denials->entry[denials->count++] = *denied;
}

static bool find_denials(struct pb_call *call, struct pb_device_view *view, struct denials *ret)
{
    struct pb_failure failure = { 0 };

    *ret = (struct denials){ 0 };
    if (!find(call, view))
        return false;
    ret->profile = view->profile;
    if (pb_backend_denied(call->verbs->backend, call->dev, collect_denied, ret, &ret->lost,
                          &failure))
        return true;
    pb_call_failed(call, &failure);
    return false;
}

/* Of the first register that has one of the bits; NULL: none has a name. */
static const char *register_name(const struct pb_profile *profile, const struct pb_denied *denied)
{
    for (unsigned bit = 0; bit < 8u * denied->size; bit++) {
        const struct pb_rule *rule;

        if (!(denied->bits >> bit & 1))
            continue;
        rule = pb_rules_deciding(&profile->rules, denied->offset + bit / 8, bit % 8);
        if (rule && rule->name)
            return rule->name;
    }
    return NULL;
}

static json_t *show_denied(const struct pb_profile *profile, const struct pb_denied *denied)
{
    const char *danger =
        pb_danger(&profile->facts, &profile->caps.seen, denied->offset, denied->size, denied->bits);

    return json_pack("{s:o, s:i, s:o, s:I, s:o, s:s?, s:s?}", "offset", offset_text(denied->offset),
                     "size", denied->size, "bits", hex(denied->bits, denied->size), "count",
                     (json_int_t)denied->count, "value", hex(denied->value, denied->size),
                     "register", register_name(profile, denied), "danger", danger);
}

void pb_report_denied(struct pb_call *call)
{
    json_t *array = json_array();
    struct pb_device_view view;
    struct denials denials;

    if (!find_denials(call, &view, &denials)) {
        json_decref(array);
        return;
    }
    for (size_t i = 0; i < denials.count; i++)
        (void)json_array_append_new(array, show_denied(view.profile, &denials.entry[i]));
    done_with_device(call, &view,
                     json_pack("{s:o, s:I}", "denied", array, "lost", (json_int_t)denials.lost));
}

void pb_report_suggest(struct pb_call *call)
{
    json_t *manifest, *left_out = NULL;
    struct pb_device_view view;
    struct denials denials;

    if (!find_denials(call, &view, &denials))
        return;
    manifest = pb_suggest(view.profile, denials.entry, denials.count, &left_out);
    done_with_device(call, &view,
                     json_pack("{s:o, s:o}", "manifest", manifest ? manifest : json_null(),
                               "left_out", left_out ? left_out : json_array()));
}

/* --- what was recorded --- */

struct recording {
    json_t *array; /* NULL: only `last` is wanted */
    uint64_t last;
};

static void collect_entry(void *ctx, const struct pb_trace_entry *entry)
{
    struct recording *recording = ctx;

    recording->last = entry->number;
    if (!recording->array)
        return;
    (void)json_array_append_new(
        recording->array,
        json_pack("{s:I, s:I, s:o, s:i, s:b, s:o, s:o}", "number", (json_int_t)entry->number,
                  "at_ns", (json_int_t)entry->at_ns, "offset", offset_text(entry->offset), "size",
                  entry->size, "write", entry->write != 0, "mask", hex(entry->mask, entry->size),
                  "value", hex(entry->value, entry->size)));
}

struct opt_in {
    char file[160]; /* "" none */
};

static void find_opt_in(void *ctx, const struct pb_quirk_view *view)
{
    struct opt_in *found = ctx;

    if (view->disabled && view->plugin && strcmp(view->plugin, "trace") == 0)
        (void)snprintf(found->file, sizeof(found->file), "%s", view->file);
}

/* What has to be done before something is recorded. */
static void refuse_trace(struct pb_call *call, const struct pb_device_view *view)
{
    struct pb_failure failure = { .code = PB_FAIL_STATE };
    struct opt_in found = { "" };
    bool plugged = false;

    for (unsigned i = 0; i < view->profile->binding_count; i++) {
        const struct pb_plugin *plugin = view->profile->binding[i]->plugin;

        plugged = plugged || (pb_plugin_ops(plugin)->flags & PCIBACKD_WANT_TRACE);
    }
    pb_quirk_set_each(pb_backend_quirks(call->verbs->backend), find_opt_in, &found);
    (void)pb_sbdf_format(view->sbdf, failure.device);
    (void)snprintf(failure.reason, sizeof(failure.reason), "%s",
                   plugged ? "no guest has it, or the plugin was switched off"
                           : "no quirk records its accesses");
    if (plugged)
        (void)snprintf(failure.next, sizeof(failure.next), "see pcibackctl show, attach it");
    else if (found.file[0])
        (void)snprintf(failure.next, sizeof(failure.next),
                       "copy %s to /etc/pcibackd/quirks.d without \"disabled\", and reload",
                       found.file);
    else
        (void)snprintf(failure.next, sizeof(failure.next),
                       "load a quirk with the plugin \"trace\", see pcibackd-plugin(7)");
    pb_call_failed(call, &failure);
}

void pb_report_trace(struct pb_call *call)
{
    struct recording recording = { .array = NULL };
    uint64_t since = call->since, lost = 0;
    struct pb_device_view view;

    if (!find(call, &view))
        return;
    if (!pb_hooks_traces(view.hooks)) {
        refuse_trace(call, &view);
        return;
    }
    /* Another guest's recording begins with 1 again: who asks for what comes after the old one's
     * last gets all of the new. */
    pb_hooks_trace(view.hooks, 0, collect_entry, &recording, &lost);
    if (since > recording.last)
        since = 0;
    recording = (struct recording){ .array = json_array(), .last = since };
    pb_hooks_trace(view.hooks, since, collect_entry, &recording, &lost);
    done_with_device(call, &view,
                     json_pack("{s:o, s:I, s:I}", "entries", recording.array, "next",
                               (json_int_t)recording.last, "lost", (json_int_t)lost));
}
