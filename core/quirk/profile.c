/* SPDX-License-Identifier: MIT */
#include "quirk/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "quirk/lint.h"
#include "quirk/match.h"

/* A profile on its way, and what the quirks that matched do to it. */
struct build {
    struct pb_profile *p;
    const struct pb_layout *layout; /* the device's own */
    const struct pb_quirk **quirk;  /* one for each of p->applied */
    unsigned *effects;              /* the same: how much of it counts */
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static void say(const struct build *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(b->why, b->why_size, fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void
blame(const struct build *b, const struct pb_quirk *quirk, const char *fmt, ...)
{
    char reason[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
    say(b, "quirk \"%s\" of %s does not fit this device: %s", quirk->id, quirk->manifest->path,
        reason);
}

static bool counts(const struct build *b, size_t i)
{
    return !b->quirk[i]->disabled;
}

/* The first reason why a part of quirk I does nothing; it is its only one if no part does. */
static void note(const struct build *b, size_t i, const char *why)
{
    if (!b->p->applied[i].without_effect)
        b->p->applied[i].without_effect = why;
}

static int find_quirks(struct build *b)
{
    const struct pb_quirk *const *all;
    size_t count = 0, room;

    all = pb_quirk_set_quirks(b->p->set, &room);
    b->p->applied = calloc(room + 1, sizeof(*b->p->applied));
    b->quirk = calloc(room + 1, sizeof(struct pb_quirk *));
    b->effects = calloc(room + 1, sizeof(*b->effects));
    if (!b->p->applied || !b->quirk || !b->effects)
        return -ENOMEM;
    for (size_t i = 0; i < room; i++) {
        if (!pb_match_device(&all[i]->match, &b->p->facts, b->layout))
            continue;
        b->quirk[count] = all[i];
        b->p->applied[count++] = (struct pb_applied){
            .id = all[i]->id,
            .file = all[i]->manifest->path,
            .reason = all[i]->reason,
            .source = all[i]->source,
            .specificity = all[i]->specificity,
            .without_effect = all[i]->disabled ? "disabled" : NULL,
        };
    }
    b->p->applied_count = count;
    return 0;
}

/* One trait of FROM replaces that of TO; methods that are never to be used add up. */
static void take_trait(struct pb_traits *to, const struct pb_traits *from, enum pb_trait trait)
{
    switch (trait) {
    case PB_TRAIT_CONFIG_SIZE:
        to->config_size = from->config_size;
        break;
    case PB_TRAIT_CLASS:
        to->class_code = from->class_code;
        break;
    case PB_TRAIT_MSI:
        to->deny_msi = from->deny_msi;
        break;
    case PB_TRAIT_MSIX:
        to->deny_msix = from->deny_msix;
        break;
    case PB_TRAIT_MSIX_MAX_VECTORS:
        to->msix_max_vectors = from->msix_max_vectors;
        break;
    case PB_TRAIT_INTX:
        to->intx = from->intx;
        break;
    case PB_TRAIT_INTX_WITH_MSI:
        to->keep_intx = from->keep_intx;
        break;
    case PB_TRAIT_ROM:
        to->hide_rom = from->hide_rom;
        break;
    case PB_TRAIT_VPD_SIZE:
        to->vpd_size = from->vpd_size;
        break;
    case PB_TRAIT_RESET_METHOD:
        memcpy(to->reset_method, from->reset_method, sizeof(to->reset_method));
        to->reset_method_count = from->reset_method_count;
        break;
    case PB_TRAIT_NO_RESET:
        to->no_reset |= from->no_reset;
        break;
    case PB_TRAIT_RESET_DELAY:
        to->reset_delay_ms = from->reset_delay_ms;
        break;
    case PB_TRAIT_D3_DELAY:
        to->d3_delay_ms = from->d3_delay_ms;
        break;
    case PB_TRAIT_ASSIGN:
        to->assign = from->assign;
        break;
    case PB_TRAIT_COUNT:
        break;
    }
    to->set[trait] = true;
    to->origin[trait] = from->origin[trait];
    to->reason[trait] = from->reason[trait];
    to->file[trait] = from->file[trait];
}

static void from_operator(struct pb_traits *traits, enum pb_trait trait, const char *reason)
{
    traits->set[trait] = true;
    traits->origin[trait] = "configuration";
    traits->reason[trait] = reason;
    traits->file[trait] = NULL;
}

/* The operator has the last word. */
static void obey_operator(struct build *b, const struct pb_operator *op)
{
    struct pb_traits *t = &b->p->traits;
    unsigned vectors = b->layout->msix_vectors;

    if (op->has_assign) {
        t->assign = op->assign;
        from_operator(t, PB_TRAIT_ASSIGN, "\"assign\" of the device");
    }
    if (op->reset_method_count) {
        memcpy(t->reset_method, op->reset_method, sizeof(t->reset_method));
        t->reset_method_count = op->reset_method_count;
        from_operator(t, PB_TRAIT_RESET_METHOD, "\"reset_method\" of the device");
    }
    if (t->set[PB_TRAIT_MSIX_MAX_VECTORS] && t->msix_max_vectors < vectors)
        vectors = t->msix_max_vectors;
    if (op->msix_vectors_max && op->msix_vectors_max < vectors) {
        t->msix_max_vectors = op->msix_vectors_max;
        from_operator(t, PB_TRAIT_MSIX_MAX_VECTORS, "more than the protocol or the limits allow");
    }
}

static void decide_traits(struct build *b, const struct pb_operator *op)
{
    for (size_t i = 0; i < b->p->applied_count; i++) {
        const struct pb_traits *from = &b->quirk[i]->traits;

        for (unsigned t = 0; t < PB_TRAIT_COUNT && counts(b, i); t++) {
            if (!from->set[t])
                continue;
            take_trait(&b->p->traits, from, (enum pb_trait)t);
            b->effects[i]++;
        }
    }
    if (op)
        obey_operator(b, op);
}

/* Did this edit do something? Hiding and showing always do: they are about what is there. */
static bool has_effect(const struct pb_caps *caps, const struct pb_cap_edit *edit)
{
    if (edit->kind != PB_CAP_LINK && edit->kind != PB_CAP_ADD)
        return true;
    for (unsigned i = 0; i < caps->count; i++) {
        if (caps->cap[i].edit == edit)
            return true;
    }
    return false;
}

static int edit_caps(struct build *b)
{
    struct pb_profile *p = b->p;
    size_t count = 0, bad = 0;
    int rc;

    for (size_t i = 0; i < p->applied_count; i++)
        count += counts(b, i) ? b->quirk[i]->edit_count : 0;
    p->edits = calloc(count + 1, sizeof(*p->edits));
    if (!p->edits)
        return -ENOMEM;
    for (size_t i = 0; i < p->applied_count; i++) {
        for (size_t n = 0; n < b->quirk[i]->edit_count && counts(b, i); n++)
            p->edits[p->edit_count++] = b->quirk[i]->edit[n];
    }
    rc = pb_caps_edit(&p->facts, b->layout, &p->traits, p->edits, count, &p->caps, &bad);
    if (rc == -EINVAL && bad < count)
        say(b,
            "quirk \"%s\" of %s does not fit this device: its capability at 0x%x lies upon "
            "another one",
            p->edits[bad].origin, p->edits[bad].file, p->edits[bad].at);
    if (rc < 0)
        return rc;
    count = 0;
    for (size_t i = 0; i < p->applied_count; i++) {
        for (size_t n = 0; n < b->quirk[i]->edit_count && counts(b, i); n++) {
            if (has_effect(&p->caps, &p->edits[count++]))
                b->effects[i]++;
            else
                note(b, i, "the capability to link or add is not as expected");
        }
    }
    return 0;
}

/* Does the register lie upon what links the capabilities that a guest sees? */
static bool cuts_list(const struct pb_caps *caps, unsigned at, unsigned size)
{
    for (unsigned i = 0; i < caps->count; i++) {
        const struct pb_cap_seen *cap = &caps->cap[i];
        unsigned end = cap->offset + (cap->extended ? 4U : 2U);

        if (at < end && cap->offset < at + size)
            return true;
    }
    return false;
}

static int add_field(struct build *b, size_t i, const struct pb_quirk_field *f)
{
    const struct pb_quirk *quirk = b->quirk[i];
    struct pb_profile *p = b->p;
    struct pb_rule rule = { .size = f->size,
                            .hw = f->hw,
                            .write = f->write,
                            .w1c = f->w1c,
                            .virt = f->virt,
                            .fixed = f->fixed,
                            .value = f->value,
                            .image = f->image,
                            .origin = quirk->id,
                            .file = quirk->manifest->path,
                            .name = f->name,
                            .why = f->why ? f->why : quirk->reason };
    int at = pb_place_find(&f->at, f->size, &p->caps.seen, pb_caps_limit(&p->facts, &p->traits));
    const char *danger;
    bool never;

    if (at < 0) {
        note(b, i,
             f->at.kind == PB_AT_OFFSET ? "its register lies outside of the device's space"
                                        : "the device has no such capability");
        return 0;
    }
    rule.offset = (uint16_t)at;
    danger =
        pb_lint_danger_at(&p->facts, b->layout, rule.offset, f->size, f->write | f->w1c, &never);
    if (danger && (never || !quirk->unsafe)) {
        blame(b, quirk, "0x%x size %u %s: %s", rule.offset, f->size,
              never ? "can never be opened" : "is dangerous, which takes \"unsafe\": true", danger);
        return -EINVAL;
    }
    if (cuts_list(&p->caps, rule.offset, f->size)) {
        blame(b, quirk, "0x%x size %u is a capability's header", rule.offset, f->size);
        return -EINVAL;
    }
    pb_rules_add(&p->rules, &rule);
    b->effects[i]++;
    return 0;
}

static int add_fields(struct build *b)
{
    int rc = 0;

    for (size_t i = 0; i < b->p->applied_count; i++) {
        for (size_t n = 0; n < b->quirk[i]->field_count && counts(b, i) && rc == 0; n++)
            rc = add_field(b, i, &b->quirk[i]->field[n]);
    }
    return rc == 0 && b->p->rules.no_memory ? -ENOMEM : rc;
}

static int compile(struct build *b)
{
    struct pb_profile *p = b->p;
    const struct pb_rule *rule;
    const char *what;
    size_t bad = SIZE_MAX;
    int rc = 0;

    p->map = pb_map_compile(&p->facts, &p->caps, &p->traits, &p->rules, &rc, &bad);
    if (p->map)
        return 0;
    if (rc == -ENOMEM)
        return rc;
    if (bad >= p->rules.count || !p->rules.rule[bad].file) {
        say(b, "the device's capabilities lie upon one another");
        return -EPROTO;
    }
    rule = &p->rules.rule[bad];
    what = rc == -EPERM    ? "can never be opened"
           : rc == -EEXIST ? "cuts through another register"
           : rc == -ENOSPC ? "is one register too many"
                           : "is malformed";
    say(b, "quirk \"%s\" of %s does not fit this device: 0x%x size %u %s", rule->origin, rule->file,
        rule->offset, rule->size, what);
    return -EINVAL;
}

/* The binding to add to: the same plugin with the same parameters is used once. */
static struct pb_binding *binding_for(struct build *b, const struct pb_quirk *quirk)
{
    struct pb_profile *p = b->p;
    struct pb_binding *binding;

    for (unsigned i = 0; i < p->binding_count; i++) {
        if (p->binding[i]->plugin == quirk->plugin.opened &&
            strcmp(p->binding[i]->params, quirk->plugin.params) == 0)
            return p->binding[i];
    }
    binding = p->binding_count < PB_BINDINGS_MAX ? calloc(1, sizeof(*binding)) : NULL;
    if (binding) {
        binding->plugin = quirk->plugin.opened;
        binding->quirk = quirk->id;
        binding->params = quirk->plugin.params;
        p->binding[p->binding_count++] = binding;
    }
    return binding;
}

static void bind_bits(struct pb_binding *binding, unsigned offset, unsigned size, uint32_t mask)
{
    for (unsigned i = 0; i < size; i++)
        binding->mask[offset + i] |= (uint8_t)(mask >> 8 * i);
}

static int bind_plugin(struct build *b, size_t i)
{
    const struct pb_quirk *quirk = b->quirk[i];
    struct pb_profile *p = b->p;
    struct pb_binding *binding;
    unsigned limit = pb_caps_limit(&p->facts, &p->traits);

    binding = binding_for(b, quirk);
    if (!binding && p->binding_count == PB_BINDINGS_MAX) {
        blame(b, quirk, "it has %d plugins already", PB_BINDINGS_MAX);
        return -EINVAL;
    }
    if (!binding)
        return -ENOMEM;
    b->effects[i]++;
    for (unsigned at = 0; quirk->plugin.all && at < limit; at += 4)
        bind_bits(binding, at, 4, UINT32_MAX);
    for (size_t n = 0; n < quirk->plugin.count; n++) {
        const struct pb_quirk_register *reg = &quirk->plugin.reg[n];
        int at = pb_place_find(&reg->at, reg->size, &p->caps.seen, limit);

        if (at >= 0)
            bind_bits(binding, (unsigned)at, reg->size, reg->mask);
    }
    if (pb_plugin_ops(binding->plugin)->flags & PCIBACKD_WANT_RAW)
        pb_map_set_raw(p->map, binding->mask);
    return 0;
}

static int bind_plugins(struct build *b)
{
    int rc = 0;

    for (size_t i = 0; i < b->p->applied_count && rc == 0; i++) {
        if (!b->quirk[i]->plugin.name || !counts(b, i))
            continue;
        if (b->quirk[i]->plugin.opened)
            rc = bind_plugin(b, i);
        else
            note(b, i, "its plugin is not opened here");
    }
    return rc;
}

/* A quirk of which something counts counts. */
static void settle_notes(struct build *b)
{
    for (size_t i = 0; i < b->p->applied_count; i++) {
        if (b->effects[i])
            b->p->applied[i].without_effect = NULL;
    }
}

static int build(struct build *b, const struct pb_operator *op)
{
    struct pb_profile *p = b->p;
    int rc;

    rc = find_quirks(b);
    if (rc < 0)
        return rc;
    decide_traits(b, op);
    rc = edit_caps(b);
    if (rc == 0)
        rc = pb_baseline_rules(&p->facts, &p->caps, &p->traits, &p->rules);
    if (rc == 0)
        rc = add_fields(b);
    if (rc == 0)
        rc = compile(b);
    if (rc == 0)
        rc = bind_plugins(b);
    settle_notes(b);
    return rc;
}

int pb_profile_build(struct pb_quirk_set *set, const struct pb_facts *facts,
                     const struct pb_layout *layout, const struct pb_operator *op,
                     struct pb_profile **ret, char *why, size_t why_size)
{
    struct pb_profile *p = calloc(1, sizeof(*p));
    struct build b = { .p = p, .layout = layout, .why = why, .why_size = why_size };
    int rc;

    if (why_size)
        why[0] = '\0';
    if (!p) {
        say(&b, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    p->refs = 1;
    p->set = pb_quirk_set_ref(set);
    p->facts = *facts;
    rc = build(&b, op);
    free(b.quirk);
    free(b.effects);
    if (rc == 0) {
        *ret = p;
        return 0;
    }
    if (why_size && !why[0])
        say(&b, "%s",
            rc == -EOPNOTSUPP ? "it is a bridge, which no guest can have"
            : rc == -EPROTO   ? "its capabilities are malformed"
                              : strerror(-rc));
    pb_profile_unref(p);
    return rc;
}

struct pb_profile *pb_profile_ref(struct pb_profile *profile)
{
    profile->refs++;
    return profile;
}

void pb_profile_unref(struct pb_profile *profile)
{
    if (!profile || --profile->refs)
        return;
    for (unsigned i = 0; i < profile->binding_count; i++)
        free(profile->binding[i]);
    pb_rules_fini(&profile->rules);
    free(profile->edits);
    free(profile->applied);
    free(profile->map);
    pb_quirk_set_unref(profile->set);
    free(profile);
}
