/* SPDX-License-Identifier: MIT */
#include "backend/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/record.h"
#include "backend/serve.h"
#include "base/log.h"

static const char *const reset_names[PB_RESET_METHOD_COUNT] = {
#define X(id, name) [PB_RESET_BY_##id] = (name),
    PB_RESET_METHODS(X)
#undef X
};

const char *pb_profile_reset_name(enum pb_reset_method method)
{
    return reset_names[method];
}

/* Is NAME one of the words of TEXT? */
static bool has_word(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *p = text; *p; p += strcspn(p, " ")) {
        p += strspn(p, " ");
        if (strcspn(p, " ") == length && strncmp(p, name, length) == 0)
            return true;
    }
    return false;
}

/* Calls VISIT for each method that is named in TEXT, in its order. */
static void each_method(const char *text, void (*visit)(void *ctx, enum pb_reset_method method),
                        void *ctx)
{
    for (const char *p = text; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
        for (unsigned m = 0; m < PB_RESET_METHOD_COUNT; m++) {
            if (strcspn(p, " ") == strlen(reset_names[m]) &&
                strncmp(p, reset_names[m], strlen(reset_names[m])) == 0)
                visit(ctx, (enum pb_reset_method)m);
        }
    }
}

static void add_to_operator(void *ctx, enum pb_reset_method method)
{
    struct pb_operator *op = ctx;

    if (op->reset_method_count < PB_RESET_METHOD_COUNT)
        op->reset_method[op->reset_method_count++] = (uint8_t)method;
}

static void operator_of(const struct pb_device_policy *policy, const struct pb_limits *limits,
                        struct pb_operator *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->has_assign = policy->has_assign;
    ret->assign = policy->assign;
    ret->msix_vectors_max = PB_MSIX_ENTRIES_MAX;
    if (limits->pirqs_per_guest < ret->msix_vectors_max)
        ret->msix_vectors_max = (uint16_t)limits->pirqs_per_guest;
    each_method(policy->reset_method, add_to_operator, ret);
}

static bool takes_part(const struct pb_binding *binding)
{
    const struct pcibackd_plugin *ops = pb_plugin_ops(binding->plugin);

    return ops->before_reset || ops->after_reset;
}

/* What a job has room for is decided here, so that no reset ever goes without a plugin. */
static int check_reset_plugins(const struct pb_profile *profile, char *why, size_t why_size)
{
    const struct pb_reset_plugin *room = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < profile->binding_count; i++) {
        const struct pb_binding *binding = profile->binding[i];

        if (!takes_part(binding))
            continue;
        count++;
        if (count > PB_JOB_PLUGINS ||
            strlen(pb_plugin_path(binding->plugin)) >= sizeof(room->path) ||
            strlen(binding->params) >= sizeof(room->params)) {
            (void)snprintf(why, why_size,
                           "quirk %s: plugin %s cannot take part in resets: its path or parameters "
                           "are too long, or more than %d plugins do",
                           binding->quirk, pb_plugin_name(binding->plugin), PB_JOB_PLUGINS);
            return -EINVAL;
        }
    }
    return 0;
}

void pb_profile_reset_plugins(const struct pb_profile *profile, struct pb_job *job)
{
    for (unsigned i = 0; i < profile->binding_count && job->plugin_count < PB_JOB_PLUGINS; i++) {
        const struct pb_binding *binding = profile->binding[i];
        struct pb_reset_plugin *plugin = &job->plugin[job->plugin_count];

        if (!takes_part(binding))
            continue;
        (void)snprintf(plugin->path, sizeof(plugin->path), "%s", pb_plugin_path(binding->plugin));
        (void)snprintf(plugin->params, sizeof(plugin->params), "%s", binding->params);
        job->plugin_count++;
    }
}

int pb_profile_of(const struct pb_device *dev, struct pb_quirk_set *quirks,
                  const struct pb_device_policy *policy, const struct pb_limits *limits,
                  struct pb_profile **ret, char *why, size_t why_size)
{
    struct pb_operator op;
    int rc;

    operator_of(policy, limits, &op);
    rc = pb_profile_build(quirks, &dev->facts, &dev->layout, &op, ret, why, why_size);
    if (rc)
        return rc;
    rc = check_reset_plugins(*ret, why, why_size);
    if (rc)
        pb_profile_unref(*ret);
    return rc;
}

static void change_view(struct pb_device *dev)
{
    char why[200] = "";

    if (!dev->view.map)
        return;
    pb_view_move(&dev->view, dev->profile->map);
    dev->view.permissive = dev->permissive;
    dev->view.allow_interrupt_control = dev->policy.allow_interrupt_control;
    pb_record_view(dev);
    if (dev->hooks)
        pb_hooks_move(dev->hooks, dev->profile);
    else if (dev->profile->binding_count && pb_profile_plug(dev, why, sizeof(why)) != 0)
        pb_warn("%s: domain %u goes on without its new plugins: %s", pb_device_text(dev),
                dev->guest->domid, why);
}

void pb_profile_put(struct pb_device *dev, struct pb_profile *profile)
{
    struct pb_profile *old = dev->profile;

    dev->profile = profile;
    if (profile)
        change_view(dev);
    else
        pb_profile_unplug(dev);
    pb_profile_unref(old);
    pb_profile_unref(dev->next_profile);
    dev->next_profile = NULL;
}

void pb_profile_change(struct pb_device *dev, struct pb_profile *profile)
{
    if (!pb_serve_accesses(dev)) {
        pb_profile_put(dev, profile);
        return;
    }
    pb_profile_unref(dev->next_profile);
    dev->next_profile = profile;
}

void pb_profile_settle(struct pb_device *dev)
{
    struct pb_profile *next = dev->next_profile;

    dev->next_profile = NULL;
    if (next)
        pb_profile_put(dev, next);
}

void pb_profile_unprepare(struct pb_device *dev)
{
    pb_profile_unref(dev->prepared);
    pb_profile_unref(dev->prepared_from);
    dev->prepared = NULL;
    dev->prepared_from = NULL;
}

int pb_profile_plug(struct pb_device *dev, char *why, size_t why_size)
{
    pb_hooks_free(dev->hooks);
    dev->hooks = NULL;
    if (dev->profile->binding_count == 0)
        return 0; /* most devices have none: 4 KiB less for each */
    return pb_hooks_new(dev->profile, &dev->hooks, why, why_size);
}

void pb_profile_unplug(struct pb_device *dev)
{
    pb_hooks_free(dev->hooks);
    dev->hooks = NULL;
    dev->view.map = NULL;
}

struct pb_assign_rule pb_profile_assign(const struct pb_device *dev)
{
    struct pb_assign_rule rule = { .assign = dev->policy.assign, .reason = "", .quirk = "" };
    const struct pb_traits *traits = dev->profile ? &dev->profile->traits : NULL;

    if (dev->policy.has_assign) {
        rule.by_operator = true;
        if (rule.assign != PB_ASSIGN_ALLOW)
            rule.reason = "the configuration says so";
    } else if (traits && traits->set[PB_TRAIT_ASSIGN]) {
        rule.assign = traits->assign;
        rule.reason = traits->reason[PB_TRAIT_ASSIGN] ? traits->reason[PB_TRAIT_ASSIGN] : "";
        rule.quirk = traits->origin[PB_TRAIT_ASSIGN] ? traits->origin[PB_TRAIT_ASSIGN] : "";
    }
    return rule;
}

static bool forbidden(const struct pb_device *dev, enum pb_reset_method method)
{
    return dev->profile && (dev->profile->traits.no_reset & 1U << method);
}

struct method_list {
    const struct pb_device *dev;
    bool must; /* also methods that the device does not have */
    char *text;
};

static void add_method(void *ctx, enum pb_reset_method method)
{
    const struct method_list *list = ctx;
    size_t used = strlen(list->text);

    if (forbidden(list->dev, method) ||
        (!list->must && !has_word(list->dev->facts.reset_methods, reset_names[method])))
        return;
    (void)snprintf(list->text + used, PB_RESET_METHODS_TEXT - used, "%s%s", used ? " " : "",
                   reset_names[method]);
}

/*
 * The kernel refuses a list with a method that the device does not have. An operator's list is
 * handed over as it is, so that the refusal is seen; a quirk's is for many devices.
 */
int pb_profile_reset_methods(const struct pb_device *dev, char ret[PB_RESET_METHODS_TEXT])
{
    const struct pb_traits *traits = dev->profile ? &dev->profile->traits : NULL;
    struct method_list list = { .dev = dev, .must = dev->policy.reset_method[0], .text = ret };

    ret[0] = '\0';
    if (list.must) {
        each_method(dev->policy.reset_method, add_method, &list);
    } else if (traits && traits->reset_method_count) {
        for (unsigned i = 0; i < traits->reset_method_count; i++)
            add_method(&list, (enum pb_reset_method)traits->reset_method[i]);
    } else if (traits && traits->no_reset) {
        each_method(dev->facts.reset_methods, add_method, &list);
    } else {
        return 0;
    }
    return ret[0] ? 0 : -ENOTTY;
}

bool pb_profile_may_reset_by(const struct pb_device *dev, enum pb_reset_method method)
{
    char list[PB_RESET_METHODS_TEXT];

    if ((method != PB_RESET_BY_FLR && method != PB_RESET_BY_AF_FLR) || forbidden(dev, method) ||
        pb_profile_reset_methods(dev, list) != 0)
        return false;
    return has_word(dev->facts.reset_methods, reset_names[method]) &&
           (!list[0] || has_word(list, reset_names[method]));
}

/*
 * Does another device that we know have the line? Its user would feel what this one does to it. The
 * host's other devices are not looked at.
 */
static bool line_shared(const struct pb_device *dev)
{
    const struct pb_device *other;

    TAILQ_FOREACH (other, &dev->b->devices, link) {
        if (other != dev && other->known && other->facts.irq == dev->facts.irq)
            return true;
    }
    return false;
}

bool pb_profile_line(const struct pb_device *dev)
{
    uint32_t gsi = dev->facts.irq;

    /* 255 is what firmware writes for "no connection" (PCI Local Bus 3.0, 6.2.4). */
    if (gsi == 0 || gsi == 255 || dev->facts.virtual_function)
        return false;
    switch (dev->profile->traits.intx) {
    case PB_INTX_DENY:
        return false;
    case PB_INTX_WARN:
        return !line_shared(dev);
    case PB_INTX_ALLOW:
    default:
        return true;
    }
}
