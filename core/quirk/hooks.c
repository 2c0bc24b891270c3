/* SPDX-License-Identifier: MIT */
#include "quirk/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "quirk/services.h"

/* One plugin of the device. */
struct slot {
    struct pcibackd_device dev;
    const struct pb_binding *binding; /* the profile's */
    struct pb_plugin *plugin;         /* a reference of ours */
    const struct pcibackd_plugin *ops;
    void *state;
    bool attached, disabled;
    char why[160];
    const char *last; /* slow call or fault */
    uint64_t calls, slow, faults, longest_us;
    unsigned held;   /* slow calls that nothing has made up for */
    unsigned prompt; /* calls that were not slow, since they made up for one */
};

struct pb_hooks {
    struct pb_profile *profile; /* a reference of ours */
    struct slot *slot[PB_BINDINGS_MAX];
    unsigned count;
    struct pb_trace *trace;
    uint8_t cover[PB_CONFIG_SIZE_PCIE]; /* bits 1 << number of a slot that is not switched off */
};

static void find_cover(struct pb_hooks *hooks)
{
    memset(hooks->cover, 0, sizeof(hooks->cover));
    for (unsigned i = 0; i < hooks->count; i++) {
        const struct slot *s = hooks->slot[i];

        for (unsigned at = 0; !s->disabled && at < sizeof(hooks->cover); at++) {
            if (s->binding->mask[at])
                hooks->cover[at] |= (uint8_t)(1u << i);
        }
    }
}

/* --- calls, and what is wrong with them --- */

static void switch_off(struct slot *s)
{
    char address[PB_SBDF_TEXT];
    unsigned suppressed;

    s->disabled = true;
    if (!pb_ratelimit_allow(s->dev.lines, pb_now_ms(), PB_PLUGIN_LINES, PB_PLUGIN_LINES_MS,
                            &suppressed))
        return;
    pb_warn("%s: plugin %s of quirk %s is switched off until the next attach: %s",
            pb_sbdf_format(s->dev.facts->sbdf, address), s->dev.plugin, s->binding->quirk, s->why);
}

/* Returns whether it is switched off now. */
static bool judge(struct slot *s)
{
    if (s->disabled || s->held + s->faults < PB_PLUGIN_FAULTS_MAX)
        return false;
    (void)snprintf(s->why, sizeof(s->why),
                   "%" PRIu64 " slow calls (the slowest %" PRIu64 " us), %" PRIu64
                   " faults; the last: %s",
                   s->slow, s->longest_us, s->faults, s->last);
    switch_off(s);
    return true;
}

static void fault(struct slot *s, const char *what)
{
    s->faults++;
    s->last = what;
}

/*
 * The clock goes on while something else has the processor, which befalls the best of plugins: a
 * guest that asks often enough must not get it switched off by that.
 */
static void count_time(struct slot *s, uint64_t began_ns)
{
    uint64_t us = (pb_now_ns() - began_ns) / 1000;

    s->calls++;
    if (us > s->longest_us)
        s->longest_us = us;
    if (us > PB_PLUGIN_SLOW_US) {
        s->slow++;
        s->held++;
        s->last = "a slow call";
    } else if (++s->prompt >= PB_PLUGIN_PROMPT) {
        s->prompt = 0;
        s->held -= s->held > 0;
    }
}

/* Should the call not come back, the next process knows whose it was (T16). */
static uint64_t begin_call(const struct slot *s)
{
    pb_plugin_enter(s->plugin);
    return pb_now_ns();
}

static void end_call(struct slot *s, uint64_t began_ns)
{
    pb_plugin_leave();
    count_time(s, began_ns);
}

/* --- the life of a slot --- */

static uint16_t size_of(const struct pb_profile *profile)
{
    return profile->traits.set[PB_TRAIT_CONFIG_SIZE] ? profile->traits.config_size : 0;
}

static bool wants_trace(const struct pb_binding *b)
{
    return pb_plugin_ops(b->plugin)->flags & PCIBACKD_WANT_TRACE;
}

/* It has ended the daemon: whoever has the device does without it. */
static void leave_out(struct slot *s)
{
    (void)snprintf(s->why, sizeof(s->why),
                   "a call of it ended the daemon; replace its file and reload, or disable the "
                   "quirk");
    s->disabled = true;
}

static int attach(struct pb_hooks *hooks, struct slot *s, char *why, size_t why_size)
{
    int rc = pb_device_init(&s->dev, pb_plugin_name(s->plugin), &hooks->profile->facts,
                            size_of(hooks->profile), s->binding->params);
    uint64_t began_ns;

    if (rc) {
        (void)snprintf(why, why_size, "params: %s", strerror(-rc));
        return rc;
    }
    s->dev.lines = &hooks->profile->lines;
    if (pb_plugin_is_off(s->plugin)) {
        leave_out(s);
        return 0;
    }
    if (wants_trace(s->binding) && !hooks->trace)
        hooks->trace = calloc(1, sizeof(*hooks->trace));
    if (wants_trace(s->binding) && !hooks->trace) {
        (void)snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    s->dev.trace = wants_trace(s->binding) ? hooks->trace : NULL;
    rc = pb_plugin_load(s->plugin, why, why_size);
    if (rc)
        return rc;
    began_ns = begin_call(s);
    if (s->ops->attach)
        rc = s->ops->attach(&s->dev, &s->state);
    end_call(s, began_ns);
    rc = rc > 0 ? -EPROTO : rc;
    s->attached = rc == 0;
    if (rc)
        (void)snprintf(why, why_size, "attach: %s", strerror(-rc));
    return rc;
}

static void slot_free(struct slot *s)
{
    if (s->attached && s->ops->detach) {
        pb_plugin_enter(s->plugin);
        s->ops->detach(&s->dev, s->state);
        pb_plugin_leave();
    }
    pb_device_fini(&s->dev);
    pb_plugin_unref(s->plugin);
    free(s);
}

/* Not attached. NULL: out of memory. */
static struct slot *slot_new(const struct pb_binding *binding)
{
    struct slot *s = calloc(1, sizeof(*s));

    if (s) {
        s->binding = binding;
        s->plugin = pb_plugin_ref(binding->plugin);
        s->ops = pb_plugin_ops(binding->plugin);
    }
    return s;
}

int pb_hooks_new(struct pb_profile *profile, struct pb_hooks **ret, char *why, size_t why_size)
{
    struct pb_hooks *hooks = calloc(1, sizeof(*hooks));
    char reason[160] = "out of memory";
    int rc = 0;

    if (!hooks) {
        (void)snprintf(why, why_size, "%s", reason);
        return -ENOMEM;
    }
    hooks->profile = pb_profile_ref(profile);
    for (unsigned i = 0; rc == 0 && i < profile->binding_count; i++) {
        const struct pb_binding *b = profile->binding[i];
        struct slot *s = slot_new(b);

        if (s)
            hooks->slot[hooks->count++] = s;
        rc = s ? attach(hooks, s, reason, sizeof(reason)) : -ENOMEM;
        if (rc)
            (void)snprintf(why, why_size, "plugin %s of quirk %s: %s", pb_plugin_name(b->plugin),
                           b->quirk, reason);
    }
    if (rc) {
        pb_hooks_free(hooks);
        return rc;
    }
    find_cover(hooks);
    *ret = hooks;
    return 0;
}

void pb_hooks_free(struct pb_hooks *hooks)
{
    if (!hooks)
        return;
    while (hooks->count > 0)
        slot_free(hooks->slot[--hooks->count]);
    pb_profile_unref(hooks->profile);
    free(hooks->trace);
    free(hooks);
}

/* --- a reload --- */

/* The slot that goes on as B, which leaves OLD; NULL: there is none. */
static struct slot *take(struct slot *old[PB_BINDINGS_MAX], const struct pb_binding *b)
{
    for (unsigned i = 0; i < PB_BINDINGS_MAX; i++) {
        struct slot *s = old[i];

        if (s && s->plugin == b->plugin && strcmp(s->binding->params, b->params) == 0 &&
            memcmp(s->binding->mask, b->mask, sizeof(b->mask)) == 0) {
            old[i] = NULL;
            return s;
        }
    }
    return NULL;
}

static void attach_late(struct pb_hooks *hooks, struct slot *s)
{
    if (attach(hooks, s, s->why, sizeof(s->why)) != 0)
        switch_off(s);
}

void pb_hooks_move(struct pb_hooks *hooks, struct pb_profile *profile)
{
    struct pb_profile *before = hooks->profile;
    struct slot *old[PB_BINDINGS_MAX] = { NULL }, *now[PB_BINDINGS_MAX] = { NULL };

    for (unsigned i = 0; i < hooks->count; i++)
        old[i] = hooks->slot[i];
    hooks->profile = pb_profile_ref(profile);
    for (unsigned i = 0; i < profile->binding_count; i++) {
        now[i] = take(old, profile->binding[i]);
        if (now[i]) {
            now[i]->binding = profile->binding[i];
            pb_device_facts(&now[i]->dev, &profile->facts, size_of(profile));
            now[i]->dev.lines = &profile->lines;
        }
    }
    /* First those that go: a plugin has a device once only. */
    for (unsigned i = 0; i < PB_BINDINGS_MAX; i++) {
        if (old[i])
            slot_free(old[i]);
    }
    hooks->count = 0;
    for (unsigned i = 0; i < profile->binding_count; i++) {
        bool is_new = !now[i];

        if (is_new)
            now[i] = slot_new(profile->binding[i]);
        if (!now[i]) {
            pb_err("plugin %s: out of memory", pb_plugin_name(profile->binding[i]->plugin));
            continue;
        }
        hooks->slot[hooks->count++] = now[i];
        if (is_new)
            attach_late(hooks, now[i]);
    }
    find_cover(hooks);
    pb_profile_unref(before);
}

/* --- accesses --- */

/* The slots that have a bit of these bytes, as in `cover`. */
static uint8_t slots_of(const struct pb_hooks *hooks, unsigned offset, unsigned size)
{
    uint8_t slots = 0;

    if (!hooks || hooks->count == 0)
        return 0;
    if ((size != 1 && size != 2 && size != 4) || offset > PB_CONFIG_SIZE_PCIE - size)
        return 0;
    for (unsigned i = 0; i < size; i++)
        slots |= hooks->cover[offset + i];
    return slots;
}

bool pb_hooks_cover(const struct pb_hooks *hooks, unsigned offset, unsigned size)
{
    return slots_of(hooks, offset, size) != 0;
}

uint32_t pb_hooks_bits(const struct pb_hooks *hooks, unsigned offset, unsigned size)
{
    uint8_t slots = slots_of(hooks, offset, size);
    uint32_t bits = 0;

    for (unsigned i = 0; slots >> i; i++) {
        if (slots >> i & 1)
            bits |= pb_le_get(hooks->slot[i]->binding->mask + offset, size);
    }
    return bits;
}

/*
 * Asks one plugin about the bits in MASK; *value changes in them only. PCIBACKD_PASS stands for
 * whatever is no verdict.
 */
static enum pcibackd_verdict ask(struct slot *s, struct pcibackd_access *access, uint32_t *value)
{
    int (*call)(const struct pcibackd_device *, void *, struct pcibackd_access *) =
        access->write ? s->ops->write : s->ops->read;
    const uint32_t mask = access->mask; /* ACCESS is the plugin's to spoil */
    uint64_t began_ns;
    int verdict;

    if (!call)
        return PCIBACKD_PASS;
    access->struct_size = sizeof(*access);
    access->value = *value & mask;
    access->raw &= s->ops->flags & PCIBACKD_WANT_RAW ? mask : 0;
    began_ns = begin_call(s);
    verdict = call(&s->dev, s->state, access);
    end_call(s, began_ns);
    if (verdict != PCIBACKD_PASS && verdict != PCIBACKD_HANDLED && verdict != PCIBACKD_DENY) {
        fault(s, verdict < 0 ? "an error instead of a verdict" : "a verdict that does not exist");
        return PCIBACKD_PASS;
    }
    if (access->value & ~mask)
        fault(s, "it changed bits that are not its own");
    *value = (*value & ~mask) | (access->value & mask);
    return (enum pcibackd_verdict)verdict;
}

void pb_hooks_write(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t *value,
                    uint32_t *ret_handled, uint32_t *ret_denied)
{
    uint8_t slots = slots_of(hooks, offset, size);
    bool changed = false;

    *ret_handled = *ret_denied = 0;
    for (unsigned i = 0; slots >> i; i++) {
        struct pcibackd_access access = { .offset = (uint16_t)offset,
                                          .size = (uint8_t)size,
                                          .write = 1 };
        enum pcibackd_verdict verdict;
        uint32_t mask;

        if (!(slots >> i & 1))
            continue;
        /* What a plugin before this one took does not get here. */
        mask = pb_le_get(hooks->slot[i]->binding->mask + offset, size);
        mask &= ~(*ret_handled | *ret_denied);
        if (!mask)
            continue;
        access.mask = mask;
        verdict = ask(hooks->slot[i], &access, value);
        if (verdict == PCIBACKD_HANDLED)
            *ret_handled |= mask;
        else if (verdict == PCIBACKD_DENY)
            *ret_denied |= mask;
        changed |= judge(hooks->slot[i]);
    }
    if (changed)
        find_cover(hooks);
}

void pb_hooks_read(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t raw,
                   uint32_t *value)
{
    uint8_t slots = slots_of(hooks, offset, size);
    bool changed = false;

    for (unsigned i = 0; slots >> i; i++) {
        struct pcibackd_access access = { .offset = (uint16_t)offset,
                                          .size = (uint8_t)size,
                                          .raw = raw };
        uint32_t mask;

        if (!(slots >> i & 1))
            continue;
        mask = access.mask = pb_le_get(hooks->slot[i]->binding->mask + offset, size);
        if (ask(hooks->slot[i], &access, value) == PCIBACKD_DENY)
            *value &= ~mask;
        changed |= judge(hooks->slot[i]);
    }
    if (changed)
        find_cover(hooks);
}

/* --- what is told about them --- */

void pb_hooks_each(const struct pb_hooks *hooks,
                   void (*visit)(void *ctx, const struct pb_hook_view *view), void *ctx)
{
    for (unsigned i = 0; hooks && i < hooks->count; i++) {
        const struct slot *s = hooks->slot[i];
        const struct pb_hook_view view = { .plugin = pb_plugin_name(s->plugin),
                                           .quirk = s->binding->quirk,
                                           .disabled = s->disabled,
                                           .why_disabled = s->disabled ? s->why : NULL,
                                           .calls = s->calls,
                                           .slow = s->slow,
                                           .faults = s->faults,
                                           .longest_us = s->longest_us };

        visit(ctx, &view);
    }
}

struct prefixed {
    const char *plugin;
    pcibackd_stat_fn stat;
    void *ctx;
};

static void prefix(void *ctx, const char *name, uint64_t value)
{
    const struct prefixed *p = ctx;
    char text[PB_PLUGIN_NAME_MAX + 64];

    (void)snprintf(text, sizeof(text), "%s.%s", p->plugin, name);
    p->stat(p->ctx, text, value);
}

void pb_hooks_stats(struct pb_hooks *hooks, pcibackd_stat_fn stat, void *ctx)
{
    bool changed = false;

    for (unsigned i = 0; hooks && i < hooks->count; i++) {
        struct slot *s = hooks->slot[i];
        struct prefixed p = { .plugin = pb_plugin_name(s->plugin), .stat = stat, .ctx = ctx };
        uint64_t began_ns;

        if (s->disabled || !s->ops->stats)
            continue;
        began_ns = begin_call(s);
        s->ops->stats(&s->dev, s->state, prefix, &p);
        end_call(s, began_ns);
        changed |= judge(s);
    }
    if (changed)
        find_cover(hooks);
}

void pb_hooks_trace(const struct pb_hooks *hooks, uint64_t since,
                    void (*visit)(void *ctx, const struct pb_trace_entry *entry), void *ctx,
                    uint64_t *ret_lost)
{
    const struct pb_trace *t = hooks ? hooks->trace : NULL;
    uint64_t first; /* the oldest entry that is there, less one */

    *ret_lost = 0;
    if (!t || since >= t->count)
        return;
    first = t->count > PB_TRACE_ENTRIES ? t->count - PB_TRACE_ENTRIES : 0;
    if (since < first) {
        *ret_lost = first - since;
        since = first;
    }
    while (since < t->count)
        visit(ctx, &t->entry[since++ % PB_TRACE_ENTRIES]);
}

bool pb_hooks_traces(const struct pb_hooks *hooks)
{
    for (unsigned i = 0; hooks && i < hooks->count; i++) {
        if (hooks->slot[i]->dev.trace && !hooks->slot[i]->disabled)
            return true;
    }
    return false;
}
