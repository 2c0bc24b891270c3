/* SPDX-License-Identifier: MIT */
/*
 * why: everything that is known of a device and stands in the way of a guest, in one list. What
 * comes first has to be dealt with first. `blocks`: attach --claim would be refused without
 * --force.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/assign.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/strip.h"

struct answer {
    const struct pb_device *dev;
    const char *code; /* of the check under way */
    bool blocked;     /* by what was told before */
    void (*visit)(void *ctx, const struct pb_reason *reason);
    void *ctx;
};

__attribute__((format(printf, 4, 5))) static void say(struct answer *a, bool blocks,
                                                      const char *next, const char *fmt, ...)
{
    char text[400];
    struct pb_reason reason = { .code = a->code, .blocks = blocks, .text = text, .next = next };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    a->blocked = a->blocked || blocks;
    a->visit(a->ctx, &reason);
}

static bool is_claimed(const struct pb_device *dev)
{
    return dev->profile != NULL;
}

/* --- one check for each code --- */

static void absent(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->state == PB_DEVICE_ABSENT)
        say(a, true, "see `lspci -D`; a listed slot is claimed as soon as it appears", "%s",
            dev->cause[0] ? dev->cause : "it is not in the machine");
}

static void busy(struct answer *a)
{
    const struct pb_task *task = a->dev->task;

    if (task)
        say(a, true, "wait until it is done", "%s is under way%s (step: %s)", task->kind->name,
            task->undoing ? ", and is being undone" : "", task->kind->steps[task->at].name);
}

/* The cause itself has this code. */
static void by_cause(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->cause[0] && strcmp(dev->cause_code, a->code) == 0 && dev->state != PB_DEVICE_ABSENT)
        say(a, dev->state != PB_DEVICE_ASSIGNED, dev->cause_next, "%s", dev->cause);
}

static bool has_own_code(const struct pb_device *dev);

/* What it failed by, or only how it came back from its guest. */
static void journal_lost(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->cause[0] && strcmp(dev->cause_code, a->code) == 0)
        say(a, dev->state == PB_DEVICE_FAILED, dev->cause_next, "%s", dev->cause);
}

static void failed(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->state == PB_DEVICE_FAILED && !has_own_code(dev))
        say(a, true, dev->guest ? "detach it, then reset it" : "reset it, or release it", "%s",
            dev->cause[0] ? dev->cause : "it failed");
}

static void assigned(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->guest)
        say(a, true, "detach it first", "domain %u (%s) has it", dev->guest->domid,
            dev->guest->name);
}

/* H9: what it asks for has been met twice, and is not met again. */
static void fenced(struct answer *a)
{
    const struct pb_guest *g = a->dev->guest;

    if (g && g->fenced)
        say(a, true, "end the guest, or detach all of its devices; the log names the operation",
            "an operation of domain %u (%s) has ended the daemon twice: none of it is carried out",
            g->domid, g->name);
}

static void driver_lost(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->state == PB_DEVICE_PRESENT && strcmp(dev->cause_code, a->code) == 0)
        say(a, false, dev->cause_next[0] ? dev->cause_next : "release it again",
            "it was released, but its former driver is not back: %s", dev->cause);
}

static void unclaimed(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->state == PB_DEVICE_PRESENT)
        say(a, false, "claim it, or attach --claim", "it is not claimed: %s%s",
            dev->driver_now[0] ? "the host has it by driver " : "it has no driver",
            dev->driver_now);
}

static void tainted(struct answer *a)
{
    const struct pb_device *dev = a->dev;
    uint32_t owner = dev->guest ? dev->guest->domid : PB_TAINT_NOBODY; /* may have it again */
    char who[PB_TAINT_TEXT];

    if (!pb_taint_by_others(dev, owner))
        return;
    say(a, !dev->policy.reassign_while_alive,
        dev->taint.count == 1
            ? "attach it to that domain again, wait until it is gone, or attach --force"
            : "wait until they are gone, or attach --force",
        "it was taken from %s and may hold its memory%s",
        pb_taint_text(dev, owner, who, sizeof(who)),
        dev->policy.reassign_while_alive ? " (reassign_while_alive permits it)" : "");
}

static void used_by_host(struct answer *a)
{
    const struct pb_surroundings *around = &a->dev->surroundings;

    if (a->dev->known && around->uses)
        say(a, !is_claimed(a->dev), "claim --force, if the host can do without it",
            "the host itself uses it: %s",
            around->uses_text[0] ? around->uses_text : "for its disks, network or console");
}

static void pluggable(struct answer *a)
{
    if (a->dev->known && a->dev->surroundings.port[0])
        say(a, !is_claimed(a->dev), "claim --force, and never pull it before `release`",
            "it can be pulled out of port %s, which crashes the host while a guest has it",
            a->dev->surroundings.port);
}

static void virtual_function(struct answer *a)
{
    const struct pb_device *dev = a->dev;
    char text[PB_SBDF_TEXT];
    bool known = dev->surroundings.has_physical_function;

    if (!dev->known || !dev->facts.virtual_function || strcmp(dev->policy.driver, "pciback") == 0)
        return;
    say(a, !is_claimed(dev), "set `driver` to pciback, or claim --force",
        "it is a virtual function%s%s, whose driver can remove it: that crashes the host while a "
        "guest has it",
        known ? " of " : "",
        known ? pb_sbdf_format(dev->surroundings.physical_function, text) : "");
}

static void has_virtual_functions(struct answer *a)
{
    if (a->dev->known && a->dev->surroundings.virtual_functions)
        say(a, !is_claimed(a->dev), "write 0 to its sriov_numvfs first",
            "%u virtual functions of it are enabled", a->dev->surroundings.virtual_functions);
}

static void assign_denied(struct answer *a)
{
    struct pb_assign_rule rule = pb_profile_assign(a->dev);

    if (rule.assign != PB_ASSIGN_DENY)
        return;
    if (rule.by_operator)
        say(a, true, "change `assign` of the device in the configuration",
            "the configuration denies assigning it");
    else
        say(a, true, "attach --force when that is acceptable", "quirk %s: %s", rule.quirk,
            rule.reason);
}

static void assign_warned(struct answer *a)
{
    struct pb_assign_rule rule = pb_profile_assign(a->dev);

    if (rule.assign != PB_ASSIGN_WARN)
        return;
    if (rule.by_operator)
        say(a, true, "attach --force when that is acceptable",
            "the configuration warns of assigning it");
    else
        say(a, false, "", "quirk %s: %s", rule.quirk, rule.reason);
}

/* Neighbours that share this: who has them, and what follows. */
static void shares(struct answer *a, enum pb_share share, bool blocks, const char *next,
                   const char *what)
{
    const struct pb_device *dev = a->dev;
    char text[PB_SBDF_TEXT], holder[PB_HOLDER_TEXT];

    for (unsigned i = 0; dev->known && i < dev->surroundings.neighbour_count; i++) {
        const struct pb_neighbour *n = &dev->surroundings.neighbour[i];
        bool idle = pb_groups_is_idle(dev->b, n);

        if (n->shares & 1U << share)
            say(a, blocks && !idle, idle ? "" : next, "it shares %s with %s: %s", what,
                pb_sbdf_format(n->sbdf, text), pb_groups_holder(dev->b, n, holder, sizeof(holder)));
    }
}

static bool is_allowed(const struct pb_device *dev)
{
    return dev->policy.has_assign && dev->policy.assign == PB_ASSIGN_ALLOW;
}

static void shares_requester(struct answer *a)
{
    shares(a, PB_SHARE_REQUESTER, !is_allowed(a->dev),
           "give both to one guest, or claim that one too",
           "its requester id (each can reach the other's memory)");
}

static void shares_page(struct answer *a)
{
    shares(a, PB_SHARE_PAGE, !is_allowed(a->dev), "give both to one guest, or claim that one too",
           "a page of memory (XSA-461)");
}

static void shares_line(struct answer *a)
{
    shares(a, PB_SHARE_LINE, false, "use MSI, or move one of both to another slot",
           "an interrupt line (XSA-461: each can keep the other's from working)");
}

static void shares_reset(struct answer *a)
{
    shares(a, PB_SHARE_RESET, false, "claim that one too: until then no bus reset is tried",
           "its bus reset");
}

static void more_neighbours(struct answer *a)
{
    if (a->dev->known && a->dev->surroundings.more_neighbours)
        say(a, false, "look at `lspci -tv`", "it has more neighbours than are listed here");
}

static void no_reset(struct answer *a)
{
    const struct pb_device *dev = a->dev;
    char methods[PB_RESET_METHODS_TEXT], why[100] = "it has no reset method";

    if (!dev->known || dev->policy.reset == PB_RESET_NONE)
        return;
    if (!dev->facts.reset_methods[0] || pb_strip_reset_methods(dev, methods, why, sizeof(why)) != 0)
        say(a, dev->policy.reset == PB_RESET_REQUIRED,
            "set `reset` of the device, or give it to "
            "one guest only",
            "it cannot be reset between two guests: %s", why);
}

/* What became of the configuration's wish, of which no verb has told anybody. */
static void assignment(struct answer *a)
{
    const char *outcome = "";
    const char *guest = pb_assign_of_device(a->dev, &outcome);

    if (!guest || a->dev->guest)
        return;
    if (strcmp(outcome, "done") == 0)
        say(a, false, "attach it by hand", "%s had it: it is assigned anew when that starts anew",
            guest);
    else
        say(a, false, "", "its assignment to %s: %s", guest, outcome);
}

/* libxl believes that it is free (H4). */
static void unreserved(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->state == PB_DEVICE_ASSIGNED && !dev->reserved && !dev->guest->xl)
        say(a, false, "keep xl away from it", "it is not reserved in /libxl/pci");
}

static void note(struct answer *a)
{
    const struct pb_device *dev = a->dev;

    if (dev->cause[0] && !dev->cause_code[0] && dev->state != PB_DEVICE_FAILED &&
        dev->state != PB_DEVICE_ABSENT)
        say(a, false, "", "%s", dev->cause);
}

static void ready(struct answer *a)
{
    if (a->dev->state == PB_DEVICE_CLAIMED && !a->blocked)
        say(a, false, "pcibackctl attach GUEST DEVICE", "it is claimed, and free");
}

/* The codes. Their order is that of the answer. */
static const struct {
    const char *code;
    void (*check)(struct answer *a);
} checks[] = {
    { "absent", absent },
    { "busy", busy },
    { "removed-in-use", by_cause },
    { "wrong-identity", by_cause },
    { "owned-before", by_cause },
    { "refused-claim", by_cause },
    { "claim-failed", by_cause },
    { "stolen", by_cause },
    { "reset-changed-it", by_cause },
    { "journal-lost", journal_lost },
    { "failed", failed },
    { "fenced", fenced },
    { "assigned", assigned },
    { "driver-lost", driver_lost },
    { "unclaimed", unclaimed },
    { "tainted", tainted },
    { "assign-denied", assign_denied },
    { "quarantine-missing", by_cause },
    { "used-by-host", used_by_host },
    { "pluggable", pluggable },
    { "virtual-function", virtual_function },
    { "has-virtual-functions", has_virtual_functions },
    { "shares-requester", shares_requester },
    { "shares-page", shares_page },
    { "assign-warned", assign_warned },
    { "no-reset", no_reset },
    { "shares-line", shares_line },
    { "shares-reset", shares_reset },
    { "more-neighbours", more_neighbours },
    { "unreserved", unreserved },
    { "assignment", assignment },
    { "note", note },
    { "ready", ready },
};

static bool has_own_code(const struct pb_device *dev)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(checks); i++) {
        if ((checks[i].check == by_cause || checks[i].check == journal_lost) &&
            strcmp(checks[i].code, dev->cause_code) == 0)
            return dev->cause[0] != '\0';
    }
    return false;
}

const char *pb_why_code(const char *text)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(checks); i++) {
        if (strcmp(checks[i].code, text) == 0)
            return checks[i].code;
    }
    return "";
}

bool pb_backend_why(const struct pb_backend *b, const char *dev,
                    void (*visit)(void *ctx, const struct pb_reason *reason), void *ctx,
                    struct pb_failure *failure)
{
    struct answer answer = { .dev = pb_device_known(b, dev, failure), .visit = visit, .ctx = ctx };

    if (!answer.dev)
        return false;
    for (size_t i = 0; i < PB_ARRAY_SIZE(checks); i++) {
        answer.code = checks[i].code;
        checks[i].check(&answer);
    }
    return true;
}
