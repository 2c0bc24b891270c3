/* SPDX-License-Identifier: MIT */
#include "daemon/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct pb_call *call;
    const struct pb_walk_kind *kind;
    char *text;
    size_t length, room;
    bool no_memory, too_long;
    bool begun;
    enum { DEVICES, GUESTS, QUIRKS, PARTS } part; /* that is told of now */
    uint64_t from;
    bool first; /* of its array */
    struct pb_walk_sums sums;
};

/* --- text --- */

/* As jansson wants it: not 0 ends the dumping. One byte stays free behind the text. */
static int append(const char *text, size_t length, void *ctx)
{
    struct walk *w = ctx;
    size_t room = w->room ? w->room : 4096;
    char *grown;

    w->too_long = w->too_long || w->length + length > pb_call_answer_max(w->call);
    if (w->too_long || w->no_memory)
        return -1;
    while (room <= w->length + length)
        room *= 2;
    if (room > w->room) {
        grown = realloc(w->text, room);
        w->no_memory = !grown;
        if (!grown)
            return -1;
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->length, text, length);
    w->length += length;
    return 0;
}

static void append_text(struct walk *w, const char *text)
{
    (void)append(text, strlen(text), w);
}

/* VALUE is taken over; NULL: there was no memory for it. */
static void append_json(struct walk *w, json_t *value, size_t flags)
{
    if (!value || json_dump_callback(value, append, w, JSON_COMPACT | JSON_ENCODE_ANY | flags) != 0)
        w->no_memory = w->no_memory || !w->too_long;
    json_decref(value);
}

static void append_element(struct walk *w, json_t *value)
{
    if (!w->first)
        append_text(w, ",");
    w->first = false;
    append_json(w, value, 0);
}

/* --- its parts --- */

static void head(struct walk *w)
{
    append_text(w, "{\"jsonrpc\":\"2.0\",\"id\":");
    append_json(w, json_deep_copy(w->call->request.id), 0);
    append_text(w, ",\"result\":{");
    w->begun = true;
}

static void open_array(struct walk *w, const char *name)
{
    append_text(w, w->text[w->length - 1] == '{' ? "\"" : ",\"");
    append_text(w, name);
    append_text(w, "\":[");
    w->first = true;
}

static void device(void *ctx, const struct pb_device_view *view)
{
    struct walk *w = ctx;

    w->sums.devices++;
    if ((unsigned)view->state < PB_DEVICE_STATE_COUNT)
        w->sums.states[view->state]++;
    append_element(w, w->kind->device(w->call, view));
}

static void guest(void *ctx, const struct pb_guest_view *view)
{
    struct walk *w = ctx;

    w->sums.guests++;
    if (view->device_count > w->sums.most_devices)
        w->sums.most_devices = view->device_count;
    if (view->pirqs > w->sums.most_pirqs)
        w->sums.most_pirqs = view->pirqs;
    append_element(w, w->kind->guest(w->call, view));
}

static void quirk(void *ctx, const struct pb_quirk_view *view)
{
    struct walk *w = ctx;

    append_element(w, w->kind->quirk(w->call, view));
}

static bool some(struct walk *w)
{
    const struct pb_backend *b = w->call->verbs->backend;

    if (w->part == DEVICES)
        return pb_backend_some_devices(b, &w->from, PB_WALK_STEP, device, w);
    if (w->part == GUESTS)
        return pb_backend_some_guests(b, &w->from, PB_WALK_STEP, guest, w);
    return pb_quirk_set_some(w->sums.quirks, &w->from, PB_WALK_STEP, quirk, w);
}

static bool is_told(const struct walk *w)
{
    return (w->part == DEVICES && w->kind->device) || (w->part == GUESTS && w->kind->guest) ||
           (w->part == QUIRKS && w->kind->quirk);
}

static void skip_untold(struct walk *w)
{
    while (w->part < PARTS && !is_told(w))
        w->part++;
}

/* Some of one of the arrays. */
static void walk_on(struct walk *w)
{
    static const char *const names[PARTS] = { "devices", "guests", "quirks" };

    if (w->from == 0)
        open_array(w, names[w->part]);
    if (some(w))
        return;
    append_text(w, "]");
    w->part++;
    w->from = 0;
    skip_untold(w);
}

static void rest(struct walk *w)
{
    json_t *members = w->kind->rest ? w->kind->rest(w->call, &w->sums) : json_object();

    if (json_object_size(members) > 0)
        append_text(w, ",");
    append_json(w, members, JSON_EMBED);
    append_text(w, "}}");
}

/* --- turns --- */

static void walk_free(struct walk *w)
{
    pb_quirk_set_unref(w->sums.quirks);
    free(w->text);
    free(w);
}

static bool is_broken(const struct walk *w)
{
    return w->too_long || w->no_memory;
}

static void fail(struct walk *w, bool wanted)
{
    struct pb_failure failure = { .code = PB_FAIL_INTERNAL, .next = "try again" };
    struct pb_call *call = w->call;
    bool too_long = w->too_long;

    walk_free(w);
    if (too_long) {
        pb_call_too_long(call);
        return;
    }
    (void)snprintf(failure.reason, sizeof(failure.reason), "%s",
                   wanted ? "the answer could not be composed" : "the daemon stops");
    pb_call_failed(call, &failure);
}

static bool step(struct pb_reply *reply, void *ctx)
{
    struct walk *w = ctx;
    bool wanted = pb_reply_is_wanted(reply);

    if (wanted && !w->begun)
        head(w);
    if (!wanted || is_broken(w)) {
        fail(w, wanted);
        return false;
    }
    if (w->part < PARTS)
        walk_on(w);
    if (w->part < PARTS || is_broken(w))
        return true;
    rest(w);
    if (is_broken(w))
        return true; /* the next step says so */
    pb_call_answer(w->call, w->text, w->length);
    w->text = NULL;
    walk_free(w);
    return false;
}

void pb_walk_begin(struct pb_call *call, const struct pb_walk_kind *kind)
{
    struct walk *w = call->request.id ? calloc(1, sizeof(*w)) : NULL;

    if (!w) { /* or nobody wants an answer */
        pb_call_done(call, NULL);
        return;
    }
    w->call = call;
    w->kind = kind;
    if (kind->quirk)
        w->sums.quirks = pb_quirk_set_ref(pb_backend_quirks(call->verbs->backend));
    skip_untold(w);
    pb_reply_compose(call->reply, step, w);
}
