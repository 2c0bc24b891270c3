/* SPDX-License-Identifier: MIT */
#include "backend/groups.h"

#include <stdio.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "base/log.h"

#define SHARES(what) (1U << PB_SHARE_##what)

/* Who has one of these can reach what the other one's owner has. */
#define SHARES_REACH (SHARES(REQUESTER) | SHARES(PAGE))
/* Who has one of these can disturb the other one's owner. */
#define SHARES_DISTURB (SHARES(LINE) | SHARES(RESET))

/* A guest that it was taken from may still have it mapped, and with it the rest of the page (H7).
 */
static bool page_is_tainted(const struct pb_device *other, const struct pb_neighbour *n)
{
    return (n->shares & SHARES(PAGE)) && !other->policy.reassign_while_alive &&
           pb_device_tainted(other);
}

bool pb_groups_is_idle(const struct pb_backend *b, const struct pb_neighbour *n)
{
    const struct pb_device *other = pb_device_find(b, n->sbdf);

    return other && pb_device_is_idle(other) && !page_is_tainted(other, n);
}

/* Is it DOMID's, or was it so last? */
static bool is_of(const struct pb_backend *b, const struct pb_neighbour *n, uint32_t domid)
{
    const struct pb_device *other = pb_device_find(b, n->sbdf);

    if (!other)
        return false;
    if (other->guest)
        return other->guest->domid == domid;
    return pb_device_is_idle(other) && page_is_tainted(other, n) &&
           !pb_taint_by_others(other, domid);
}

static const struct pb_guest *guest_of(const struct pb_backend *b, const struct pb_neighbour *n)
{
    const struct pb_device *other = pb_device_find(b, n->sbdf);

    return other ? other->guest : NULL;
}

const char *pb_groups_holder(const struct pb_backend *b, const struct pb_neighbour *n, char *buf,
                             size_t size)
{
    const struct pb_device *other = pb_device_find(b, n->sbdf);
    const struct pb_guest *g = guest_of(b, n);
    char who[PB_TAINT_TEXT];

    if (g)
        (void)snprintf(buf, size, "domain %u (%s) has it", g->domid, g->name);
    else if (other && page_is_tainted(other, n))
        (void)snprintf(buf, size, "it was taken from %s",
                       pb_taint_text(other, PB_TAINT_NOBODY, who, sizeof(who)));
    else if (pb_groups_is_idle(b, n))
        (void)snprintf(buf, size, "it is claimed, and no guest's");
    else if (n->driver[0])
        (void)snprintf(buf, size, "driver %s has it", n->driver);
    else
        (void)snprintf(buf, size, "nobody has claimed it");
    return buf;
}

/* The first word for what makes N a danger. */
static const char *shared(const struct pb_neighbour *n, unsigned mask)
{
    static const char *const texts[PB_SHARE_COUNT] = {
        [PB_SHARE_RESET] = "its reset",        [PB_SHARE_REQUESTER] = "its requester id",
        [PB_SHARE_LINE] = "an interrupt line", [PB_SHARE_PAGE] = "a page of memory",
        [PB_SHARE_FUNCTION] = "its slot",
    };

    for (unsigned share = 0; share < PB_SHARE_COUNT; share++) {
        if (n->shares & mask & 1U << share)
            return texts[share];
    }
    return "nothing";
}

static void warn_of(const struct pb_device *dev, const struct pb_neighbour *n, unsigned mask)
{
    char text[PB_SBDF_TEXT], holder[PB_HOLDER_TEXT];

    pb_warn("%s: shares %s with %s: %s", pb_device_text(dev), shared(n, mask),
            pb_sbdf_format(n->sbdf, text), pb_groups_holder(dev->b, n, holder, sizeof(holder)));
}

enum pb_run pb_groups_check(struct pb_task *task)
{
    const struct pb_device *dev = task->dev;
    const struct pb_surroundings *around = &dev->surroundings;
    bool allowed =
        task->options.force || (dev->policy.has_assign && dev->policy.assign == PB_ASSIGN_ALLOW);
    char text[PB_SBDF_TEXT], holder[PB_HOLDER_TEXT];

    for (unsigned i = 0; i < around->neighbour_count; i++) {
        const struct pb_neighbour *n = &around->neighbour[i];
        const struct pb_device *other = pb_device_find(task->b, n->sbdf);
        const struct pb_guest *g = guest_of(task->b, n);

        if (!(n->shares & (SHARES_REACH | SHARES_DISTURB)) || pb_groups_is_idle(task->b, n) ||
            is_of(task->b, n, task->domid))
            continue;
        if (!(n->shares & SHARES_REACH) || allowed) {
            warn_of(dev, n, SHARES_REACH | SHARES_DISTURB);
            continue;
        }
        pb_fail(&task->failure, PB_FAIL_REFUSED, pb_device_text(dev),
                g                                   ? "give both to one guest, or attach --force"
                : other && pb_device_is_idle(other) ? "end that domain, or attach --force"
                                                    : "claim that one too, or attach --force",
                "it shares %s with %s: %s", shared(n, SHARES_REACH), pb_sbdf_format(n->sbdf, text),
                pb_groups_holder(task->b, n, holder, sizeof(holder)));
        return PB_RUN_FAIL;
    }
    if (around->more_neighbours)
        pb_warn("%s: it has more neighbours than can be looked at", pb_device_text(dev));
    return PB_RUN_NEXT;
}

enum pb_run pb_groups_check_release(struct pb_task *task)
{
    const struct pb_surroundings *around = &task->dev->surroundings;
    char text[PB_SBDF_TEXT], holder[PB_HOLDER_TEXT];

    for (unsigned i = 0; i < around->neighbour_count; i++) {
        const struct pb_neighbour *n = &around->neighbour[i];

        if (!(n->shares & SHARES_REACH) || !guest_of(task->b, n))
            continue;
        pb_fail(&task->failure, PB_FAIL_REFUSED, task->device_text,
                "detach that one first, or release --force", "it shares %s with %s: %s",
                shared(n, SHARES_REACH), pb_sbdf_format(n->sbdf, text),
                pb_groups_holder(task->b, n, holder, sizeof(holder)));
        return PB_RUN_FAIL;
    }
    return PB_RUN_NEXT;
}

void pb_groups_tell(const struct pb_device *dev)
{
    for (unsigned i = 0; i < dev->surroundings.neighbour_count; i++) {
        const struct pb_neighbour *n = &dev->surroundings.neighbour[i];

        if (n->shares & (SHARES_REACH | SHARES_DISTURB) && !pb_groups_is_idle(dev->b, n))
            warn_of(dev, n, SHARES_REACH | SHARES_DISTURB);
    }
}

const struct pb_neighbour *pb_groups_reset_victim(const struct pb_device *dev)
{
    for (unsigned i = 0; i < dev->surroundings.neighbour_count; i++) {
        const struct pb_neighbour *n = &dev->surroundings.neighbour[i];

        if (n->shares & SHARES(RESET) && !pb_groups_is_idle(dev->b, n))
            return n;
    }
    return NULL;
}
