/* SPDX-License-Identifier: MIT */
#include "fake_backend.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "backend/journal.h"

struct verb {
    TAILQ_ENTRY(verb) link;
    struct pb_backend *b;
    pb_verb_fn done;
    void *ctx;
    ev_timer timer;
    bool slow, fails;
    char dev[PB_NAME_MAX + 1];
};

struct pb_backend {
    struct pb_journal *journal;
    struct ev_loop *loop;
    struct pb_policy *policy;
    struct fake_calls calls;
    unsigned more_to_compile;
    TAILQ_HEAD(, verb) verbs;
    unsigned more_devices;
    enum pb_device_state nic_state;
    struct pb_quirk_set *quirks;
    uint64_t generation;
    struct pb_profile *profile; /* the nic's */
    struct pb_hooks *hooks;
    enum pb_assign assign;
    const char *assign_reason;
    char guest_name[PB_NAME_MAX + 1];
    pb_verb_fn started;
    void *started_ctx;
    const char *start_after; /* NULL: at once */
    ev_timer start_timer;
    const char *cause, *blocked;
    struct pb_slot_view slots[8];
    unsigned slot_count;
};

/* An Intel 82574L: its ids, MSI at 0xd0, nothing else. */
static struct pb_profile *compile(struct pb_quirk_set *quirks, char *why, size_t why_size)
{
    static const struct pb_operator nothing = { .msix_vectors_max = 2048 };
    struct pb_facts facts = { .sbdf = { 0, 3, 0 },
                              .vendor = 0x8086,
                              .device = 0x10d3,
                              .subsystem_vendor = 0x8086,
                              .subsystem_device = 0xa01f,
                              .class_code = 0x020000,
                              .config_size = PB_CONFIG_SIZE_PCI };
    struct pb_profile *profile = NULL;
    struct pb_layout layout;

    memcpy(facts.config, "\x86\x80\xd3\x10\x07\x00\x10\x00\x00\x00\x00\x02", 12);
    facts.config[0x34] = 0xd0;
    facts.config[0xd0] = 0x05;
    if (pb_layout_read(&facts, &layout) != 0 ||
        pb_profile_build(quirks, &facts, &layout, &nothing, &profile, why, why_size) != 0)
        return NULL;
    return profile;
}

int pb_backend_new(struct ev_loop *loop, struct pb_xen *xen, struct pb_host *host,
                   struct pb_policy *policy, struct pb_quirk_set *quirks, struct pb_backend **ret)
{
    struct pb_backend *b = calloc(1, sizeof(*b));
    char why[400] = "";

    (void)xen;
    (void)host;
    if (!b)
        return -1;
    b->loop = loop;
    b->policy = policy;
    b->nic_state = PB_DEVICE_CLAIMED;
    b->assign_reason = "";
    b->cause = "";
    b->generation = 1;
    b->quirks = quirks ? quirks : pb_quirk_set_empty();
    b->profile = compile(b->quirks, why, sizeof(why));
    if (!b->profile || pb_hooks_new(b->profile, &b->hooks, why, sizeof(why)) != 0) {
        fprintf(stderr, "fake_backend: %s\n", why);
        abort();
    }
    snprintf(b->guest_name, sizeof(b->guest_name), "netvm");
    TAILQ_INIT(&b->verbs);
    *ret = b;
    return 0;
}

void pb_backend_began(struct pb_backend *b, uint64_t ms)
{
    (void)b;
    (void)ms;
}

void pb_backend_use_journal(struct pb_backend *b, struct pb_journal *j)
{
    b->journal = j;
}

bool pb_backend_journal_stats(const struct pb_backend *b, struct pb_journal_stats *ret)
{
    if (b->journal)
        *ret = pb_journal_stats(b->journal);
    return b->journal != NULL;
}

static void tell_started(const struct pb_backend *b)
{
    struct pb_failure failure = { .code = PB_FAIL_REFUSED,
                                  .reason = "xen-pciback would serve the same guests",
                                  .next = "take \"pci\" out of backend.kinds" };

    b->started(b->started_ctx, getenv("FAKE_START_REFUSED") ? &failure : NULL);
}

static void on_start_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_backend *b = timer->data;

    (void)events;
    if (access(b->start_after, F_OK) != 0)
        return;
    ev_timer_stop(loop, timer);
    tell_started(b);
}

/* With FAKE_START_AFTER not before that file is there. */
void pb_backend_start(struct pb_backend *b, pb_verb_fn started, void *ctx)
{
    b->started = started;
    b->started_ctx = ctx;
    b->start_after = getenv("FAKE_START_AFTER");
    if (!b->start_after) {
        tell_started(b);
        return;
    }
    ev_timer_init(&b->start_timer, on_start_timer, 0.01, 0.01);
    b->start_timer.data = b;
    ev_timer_start(b->loop, &b->start_timer);
}

static void finish(struct verb *v, bool cancelled)
{
    struct pb_failure failure = { .code = cancelled ? PB_FAIL_INTERNAL : PB_FAIL_NOT_FOUND };
    struct pb_backend *b = v->b;

    ev_timer_stop(b->loop, &v->timer);
    TAILQ_REMOVE(&b->verbs, v, link);
    b->calls.pending--;
    snprintf(failure.device, sizeof(failure.device), "%s", v->dev);
    snprintf(failure.reason, sizeof(failure.reason), "%s",
             cancelled ? "the daemon stops" : "no device has this name");
    snprintf(failure.next, sizeof(failure.next), "%s", cancelled ? "" : "see `pcibackctl list`");
    v->done(v->ctx, cancelled || v->fails ? &failure : NULL);
    free(v);
}

void pb_backend_free(struct pb_backend *b)
{
    struct verb *v, *next;

    for (v = TAILQ_FIRST(&b->verbs); v; v = next) {
        next = TAILQ_NEXT(v, link);
        finish(v, true);
    }
    if (b->started)
        ev_timer_stop(b->loop, &b->start_timer);
    pb_hooks_free(b->hooks);
    pb_profile_unref(b->profile);
    pb_quirk_set_unref(b->quirks);
    pb_journal_close(b->journal);
    if (b->policy)
        pb_policy_free(b->policy);
    free(b->policy);
    free(b);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    finish(timer->data, false);
}

/* What its guest does to the nic with each verb: plugins see it. */
static void access_nic(struct pb_backend *b)
{
    uint32_t value = 0x1234, handled, denied;

    if (!pb_hooks_cover(b->hooks, 0x40, 4))
        return;
    pb_hooks_write(b->hooks, 0x40, 4, &value, &handled, &denied);
    pb_hooks_read(b->hooks, 0x40, 4, 0, &value);
}

static void run(struct pb_backend *b, const char *name, const char *guest, const char *dev,
                pb_verb_fn done, void *ctx)
{
    struct verb *v = calloc(1, sizeof(*v));

    if (!v)
        abort();
    access_nic(b);
    b->calls.count++;
    b->calls.pending++;
    snprintf(b->calls.last, sizeof(b->calls.last), "%s", name);
    snprintf(b->calls.guest, sizeof(b->calls.guest), "%s", guest);
    snprintf(b->calls.dev, sizeof(b->calls.dev), "%s", dev);
    v->b = b;
    v->done = done;
    v->ctx = ctx;
    v->slow = strcmp(dev, FAKE_SLOW) == 0;
    v->fails = strcmp(dev, FAKE_MISSING) == 0;
    snprintf(v->dev, sizeof(v->dev), "%s", dev);
    TAILQ_INSERT_TAIL(&b->verbs, v, link);
    ev_timer_init(&v->timer, on_timer, 0., 0.);
    v->timer.data = v;
    if (!v->slow)
        ev_timer_start(b->loop, &v->timer);
}

void pb_backend_claim(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done, void *ctx)
{
    b->calls.force = force;
    run(b, "claim", "", dev, done, ctx);
}

void pb_backend_release(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done,
                        void *ctx)
{
    b->calls.force = force;
    run(b, "release", "", dev, done, ctx);
}

void pb_backend_attach(struct pb_backend *b, const char *guest, const char *dev,
                       const struct pb_attach_options *options, pb_verb_fn done, void *ctx)
{
    b->calls.options = *options;
    run(b, "attach", guest, dev, done, ctx);
}

void pb_backend_detach(struct pb_backend *b, const char *guest, const char *dev, bool force,
                       pb_verb_fn done, void *ctx)
{
    b->calls.force = force;
    run(b, "detach", guest, dev, done, ctx);
}

void pb_backend_only_serve(struct pb_backend *b)
{
    b->calls.only_serves = true;
}

/* Two devices: FAKE_KEPT of them stay; "none" is no memory. */
int pb_backend_detach_all(struct pb_backend *b, pb_detached_fn done, void *ctx)
{
    const char *kept = getenv("FAKE_KEPT");
    struct pb_detached result = { .kept = kept ? (unsigned)atoi(kept) : 0 };

    result.taken = b->calls.only_serves ? 2 - result.kept : 0;
    if (kept && strcmp(kept, "none") == 0)
        return -ENOMEM;
    done(ctx, &result);
    return 0;
}

void pb_backend_reset(struct pb_backend *b, const char *dev, pb_verb_fn done, void *ctx)
{
    run(b, "reset", "", dev, done, ctx);
}

/* --- slots: they are listed at once, and answered later --- */

static struct pb_slot_view *find_slot(struct pb_backend *b, const struct pb_slot *slot)
{
    for (unsigned i = 0; i < b->slot_count; i++) {
        if (pb_slot_equal(&b->slots[i].slot, slot))
            return &b->slots[i];
    }
    return NULL;
}

static void run_slot(struct pb_backend *b, const char *name, const struct pb_slot *slot, bool save,
                     pb_verb_fn done, void *ctx)
{
    char text[PB_SLOT_TEXT];

    b->calls.save = save;
    run(b, name, "", pb_slot_format(slot, text), done, ctx);
}

void pb_backend_slot_add(struct pb_backend *b, const struct pb_slot *slot, bool save,
                         pb_verb_fn done, void *ctx)
{
    if (!find_slot(b, slot) && b->slot_count < sizeof(b->slots) / sizeof(b->slots[0]))
        b->slots[b->slot_count++] = (struct pb_slot_view){
            .slot = *slot, .origin = save ? PB_SLOT_SAVED : PB_SLOT_VERB, .devices = 2, .claimed = 1
        };
    run_slot(b, "slot.add", slot, save, done, ctx);
}

void pb_backend_slot_remove(struct pb_backend *b, const struct pb_slot *slot, bool save,
                            pb_verb_fn done, void *ctx)
{
    struct pb_slot_view *view = find_slot(b, slot);

    if (view)
        *view = b->slots[--b->slot_count];
    run_slot(b, "slot.remove", slot, save, done, ctx);
}

void pb_backend_each_slot(const struct pb_backend *b,
                          void (*visit)(void *ctx, const struct pb_slot_view *view), void *ctx)
{
    for (unsigned i = 0; i < b->slot_count; i++)
        visit(ctx, &b->slots[i]);
}

const char *pb_device_state_name(enum pb_device_state state)
{
    static const char *const names[] = {
#define X(id, name, help) name,
        PB_DEVICE_STATES(X)
#undef X
    };

    return names[state];
}

static const struct pb_surroundings place = {
    .path = "0000:00:1c.0/00.0",
    .port = "0000:00:1c.0",
    .virtual_functions = 2,
    .uses = 1 << PB_USE_ROUTE,
    .uses_text = "the default route leads over eth0",
    .neighbour_count = 2,
    .neighbour = { { { 0, 3, 1 }, 1 << PB_SHARE_FUNCTION | 1 << PB_SHARE_RESET, "e1000e" },
                   { { 0, 0, 0xfb }, 1 << PB_SHARE_LINE, "" } },
};

static struct pb_device_view nic(const struct pb_backend *b)
{
    return (struct pb_device_view){ .name = "nic0",
                                    .sbdf = { 0, 3, 0 },
                                    .state = b->nic_state,
                                    .known = true,
                                    .vendor = 0x8086,
                                    .device = 0x10d3,
                                    .subsystem_vendor = 0x8086,
                                    .subsystem_device = 0xa01f,
                                    .class_code = 0x020000,
                                    .driver = "pci-stub",
                                    .driver_before = "e1000e",
                                    .reset_methods = "flr bus",
                                    .quarantined = true,
                                    .irq = 16,
                                    .interrupt = "msi-x",
                                    .vectors = 3,
                                    .owner = 7,
                                    .owner_name = b->guest_name,
                                    .cause = b->cause,
                                    .denied_writes = 2,
                                    .resets = 1,
                                    .reset_ms = 120,
                                    .guest_resets = 3,
                                    .reservation_rewrites = 4,
                                    .profile = b->profile,
                                    .hooks = b->hooks,
                                    .surroundings = &place,
                                    .tainted = b->blocked != NULL,
                                    .tainted_by = 5,
                                    .assigned_to = b->guest_name,
                                    .assignment = "done",
                                    .assign = b->assign,
                                    .assign_reason = b->assign_reason };
}

static struct pb_device_view disk(void)
{
    return (struct pb_device_view){ .name = "",
                                    .sbdf = { 0, 4, 0 },
                                    .state = PB_DEVICE_ABSENT,
                                    .driver = "",
                                    .driver_before = "",
                                    .reset_methods = "",
                                    .interrupt = "none",
                                    .owner = -1,
                                    .owner_name = "",
                                    .cause = "it is not in the machine",
                                    .assigned_to = "",
                                    .assignment = "",
                                    .assign_reason = "" };
}

/* The nic, the disk, and as many more as the test asked for. */
static struct pb_device_view device_number(const struct pb_backend *b, uint64_t number)
{
    struct pb_device_view view = number == 0 ? nic(b) : disk();

    if (number >= 2) {
        view.sbdf.bus = (uint8_t)(5 + (number - 2) / 256);
        view.sbdf.devfn = (uint8_t)(number - 2);
    }
    return view;
}

bool pb_backend_some_devices(const struct pb_backend *b, uint64_t *from, unsigned max,
                             void (*visit)(void *ctx, const struct pb_device_view *view), void *ctx)
{
    for (; *from < 2 + b->more_devices; (*from)++) {
        struct pb_device_view view = device_number(b, *from);

        if (max-- == 0)
            return true;
        visit(ctx, &view);
    }
    return false;
}

bool pb_backend_some_guests(const struct pb_backend *b, uint64_t *from, unsigned max,
                            void (*visit)(void *ctx, const struct pb_guest_view *view), void *ctx)
{
    struct pb_guest_view view = { .domid = 7,
                                  .name = b->guest_name,
                                  .backend_state = "Connected",
                                  .frontend_state = "Connected",
                                  .kind = "pcibackd",
                                  .topology = "slot",
                                  .assignment = "done",
                                  .device_count = 1,
                                  .pirqs = 3,
                                  .connected = true,
                                  .counters = { .ops = 10, .conf_reads = 8, .denied_writes = 2 } };

    if (*from > view.domid)
        return false;
    if (max == 0)
        return true;
    visit(ctx, &view);
    *from = view.domid + 1;
    return false;
}

bool pb_backend_device(const struct pb_backend *b, const char *dev, struct pb_device_view *ret,
                       struct pb_failure *failure)
{
    if (strcmp(dev, "nic0") == 0 || strcmp(dev, FAKE_NIC) == 0) {
        *ret = nic(b);
        return true;
    }
    if (strcmp(dev, FAKE_DISK) == 0) {
        *ret = disk();
        return true;
    }
    failure->code = PB_FAIL_NOT_FOUND;
    snprintf(failure->device, sizeof(failure->device), "%s", dev);
    snprintf(failure->reason, sizeof(failure->reason), "no device has this name");
    snprintf(failure->next, sizeof(failure->next), "see `pcibackctl list`");
    return false;
}

bool pb_backend_why(const struct pb_backend *b, const char *dev,
                    void (*visit)(void *ctx, const struct pb_reason *reason), void *ctx,
                    struct pb_failure *failure)
{
    struct pb_reason line = { .code = "shares-line",
                              .text = "0000:00:1f.3 (ahci) has the same interrupt line" };
    struct pb_reason block = {
        .code = "tainted", .blocks = true, .text = b->blocked, .next = "wait"
    };
    struct pb_device_view view;

    if (!pb_backend_device(b, dev, &view, failure))
        return false;
    if (view.known && b->blocked)
        visit(ctx, &block);
    if (view.known)
        visit(ctx, &line);
    return true;
}

void pb_backend_counters(const struct pb_backend *b, struct pb_counters *ret)
{
    (void)b;
    *ret = (struct pb_counters){
        .ops = 10, .conf_reads = 8, .denied_writes = 2, .connects = 1, .ignored_events = 6
    };
}

bool pb_backend_denied(const struct pb_backend *b, const char *dev,
                       void (*visit)(void *ctx, const struct pb_denied *denied), void *ctx,
                       uint64_t *ret_lost, struct pb_failure *failure)
{
    static const struct pb_denied denied[] = {
        { .offset = 0x04, .size = 2, .bits = 0x0400, .value = 0x0507, .count = 1 },
        { .offset = 0x40, .size = 4, .bits = 0xff00ff00, .value = 0x1200, .count = 7 },
    };
    struct pb_device_view view;

    *ret_lost = 5;
    if (!pb_backend_device(b, dev, &view, failure))
        return false;
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        visit(ctx, &denied[i]);
    return true;
}

/* --- reload --- */

void fake_backend_lengthen_reload(struct pb_backend *b, unsigned count)
{
    b->more_to_compile = count;
}

struct pb_reload {
    struct pb_backend *b;
    struct pb_policy *policy;
    struct pb_quirk_set *quirks;
    struct pb_profile *profile;
};

struct pb_reload *pb_backend_reload_begin(struct pb_backend *b, struct pb_policy *policy,
                                          struct pb_quirk_set *quirks)
{
    struct pb_reload *reload = calloc(1, sizeof(*reload));

    if (!reload)
        abort();
    *reload = (struct pb_reload){ .b = b, .policy = policy, .quirks = quirks };
    b->calls.prepared++;
    b->calls.xl_mode = policy->xl_mode;
    return reload;
}

/* The last of the devices is the one that it has. */
int pb_backend_reload_step(struct pb_reload *reload, unsigned max, pb_reload_visit visit, void *ctx,
                           char *why, size_t why_size)
{
    struct pb_device_view view = nic(reload->b);
    unsigned *more = &reload->b->more_to_compile;

    reload->b->calls.steps++;
    if (*more >= max) {
        *more -= max;
        return 1;
    }
    *more = 0;
    for (size_t i = 0; i < reload->policy->device_count; i++) {
        if (strcmp(reload->policy->devices[i].name, FAKE_UNFIT) == 0) {
            snprintf(why, why_size, "0000:03:00.0: a quirk does not fit");
            return -EINVAL;
        }
    }
    pb_profile_unref(reload->profile);
    reload->profile = compile(reload->quirks, why, why_size);
    if (!reload->profile)
        return -EINVAL;
    visit(ctx, &view, reload->b->profile, reload->profile);
    return 0;
}

void pb_backend_reload_commit(struct pb_reload *reload)
{
    struct pb_backend *b = reload->b;

    pb_hooks_move(b->hooks, reload->profile);
    pb_profile_unref(b->profile);
    b->profile = reload->profile;
    pb_quirk_set_unref(b->quirks);
    b->quirks = reload->quirks;
    if (b->policy)
        pb_policy_free(b->policy);
    free(b->policy);
    b->policy = reload->policy;
    b->generation++;
    free(reload);
}

void pb_backend_reload_discard(struct pb_reload *reload)
{
    pb_profile_unref(reload->profile);
    free(reload);
}

uint64_t pb_backend_generation(const struct pb_backend *b)
{
    return b->generation;
}

struct pb_quirk_set *pb_backend_quirks(const struct pb_backend *b)
{
    return b->quirks;
}

const struct fake_calls *fake_backend_calls(const struct pb_backend *b)
{
    return &b->calls;
}

void fake_backend_complete(struct pb_backend *b)
{
    struct verb *v = TAILQ_FIRST(&b->verbs), *next;

    for (; v; v = next) {
        next = TAILQ_NEXT(v, link);
        if (v->slow)
            finish(v, false);
    }
}

void fake_backend_multiply(struct pb_backend *b, unsigned count)
{
    b->more_devices = count;
}

void fake_backend_block(struct pb_backend *b, const char *text)
{
    b->blocked = text;
}

void fake_backend_set_state(struct pb_backend *b, enum pb_device_state state, const char *cause)
{
    b->nic_state = state;
    b->cause = cause;
}

void fake_backend_assign(struct pb_backend *b, enum pb_assign assign, const char *reason)
{
    b->assign = assign;
    b->assign_reason = reason;
}

void fake_backend_name_guest(struct pb_backend *b, const char *name)
{
    snprintf(b->guest_name, sizeof(b->guest_name), "%s", name);
}
