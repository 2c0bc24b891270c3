/* SPDX-License-Identifier: MIT */
#include "backend/poll.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void pb_poll_init(struct pb_poll *p)
{
    *p = (struct pb_poll){ .needed = 1, .credit_ns = PB_POLL_CREDIT_NS };
}

/*
 * What is usual, not the mean: of what a machine's hiccups add to some samples only so much counts.
 */
static void learn(uint64_t *usual, uint64_t sample)
{
    if (*usual == 0)
        *usual = sample;
    else if (sample < *usual)
        *usual -= (*usual - sample) / 4;
    else
        *usual += smaller(sample - *usual, *usual) / 16;
}

/* All of the time between two answers is spent on looking: a little faster is not worth that. */
static bool is_faster(const struct pb_poll *p)
{
    return p->woken_ns == 0 || p->hits < PB_POLL_JUDGED ||
           p->polled_ns < p->woken_ns - p->woken_ns / 8;
}

static void end(struct pb_poll *p, bool paid)
{
    p->on = false;
    p->seen = 0;
    if (paid) {
        p->needed = 1;
    } else {
        p->needed = (uint32_t)smaller(p->needed * UINT64_C(2), PB_POLL_NEEDED_MAX);
        p->polled_ns = 0; /* the guest may have changed its pace: a whole window next time */
    }
}

void pb_poll_end(struct pb_poll *p)
{
    p->on = false;
}

static void pay(struct pb_poll *p, uint64_t now, uint64_t waited)
{
    uint64_t back = p->credit_at_ns ? (now - p->credit_at_ns) / 2 : 0;

    p->credit_ns = smaller(p->credit_ns + back, PB_POLL_CREDIT_NS);
    p->credit_at_ns = now;
    p->credit_ns -= smaller(p->credit_ns, waited);
}

/*
 * The first window is as long as it takes by event: whoever was asleep when his answer came needs
 * that long to ask again, and sleeps no more once his answers come at once.
 */
static void open_window(struct pb_poll *p, uint64_t now, uint64_t ceiling)
{
    uint64_t ns = p->polled_ns ? 4 * p->polled_ns : p->woken_ns + p->woken_ns / 4;

    if (ns < PB_POLL_WINDOW_NS)
        ns = PB_POLL_WINDOW_NS;
    p->until_ns = now + smaller(ns, ceiling);
}

bool pb_poll_answered(struct pb_poll *p, uint64_t now, unsigned ops, uint64_t spun,
                      uint64_t ceiling)
{
    uint64_t since = p->answered_ns ? now - p->answered_ns : UINT64_MAX;
    bool same_burst = since <= PB_POLL_REACH_NS;

    p->answered_ns = now;
    pay(p, now, spun > PB_POLL_WORTH_NS ? spun - PB_POLL_WORTH_NS : 0);
    if (same_burst)
        learn(p->on ? &p->polled_ns : &p->woken_ns, ops == 1 ? since : since / ops);
    if (p->on) {
        p->hits += ops;
        if (ceiling == 0 || p->credit_ns == 0)
            pb_poll_end(p);
        else if (!is_faster(p))
            end(p, false);
        else if (p->hits >= PB_POLL_HITS_MAX)
            end(p, true);
    } else if (same_burst && ceiling > 0) {
        p->seen = (uint32_t)smaller((uint64_t)p->seen + ops, PB_POLL_NEEDED_MAX);
        p->on = p->seen >= p->needed && p->credit_ns >= PB_POLL_CREDIT_NS / 2;
        p->hits = 0;
    }
    if (p->on)
        open_window(p, now, ceiling);
    return p->on;
}

void pb_poll_missed(struct pb_poll *p, uint64_t spun)
{
    p->credit_ns -= smaller(p->credit_ns, spun);
    end(p, p->hits >= PB_POLL_HITS && is_faster(p));
}
