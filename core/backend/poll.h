/* SPDX-License-Identifier: MIT */
/*
 * Does it pay to look at a guest's flag instead of waiting for its event? Pure: what happened, and
 * when, goes in; the decision comes out. Times are nanoseconds of one clock that never goes back.
 *
 * A try begins when enough operations came shortly after the answer to the one before, and ends
 * when a window passes without an operation. One that brought too little doubles what the next one
 * has to wait for, so that polling where it cannot help (the guest's only processor is the one that
 * looks) costs almost nothing; one that paid takes that back.
 */
#ifndef PB_BACKEND_POLL_H
#define PB_BACKEND_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define PB_POLL_NEEDED_MAX 512u              /* operations by event before a try, at most */
#define PB_POLL_HITS       2u                /* that a try has to bring to have paid */
#define PB_POLL_JUDGED     64u               /* that it has to bring to say how fast polling is */
#define PB_POLL_HITS_MAX   4096u             /* then one comes by event, for the comparison */
#define PB_POLL_REACH_NS   UINT64_C(2000000) /* one that comes later is not of the same burst */
#define PB_POLL_WINDOW_NS  UINT64_C(20000)   /* no shorter one */
#define PB_POLL_CREDIT_NS  UINT64_C(250000000)
#define PB_POLL_WORTH_NS   UINT64_C(50000) /* of waiting for an operation that costs no credit */

struct pb_poll {
    bool on;
    uint64_t until_ns;    /* while on: the end of the window */
    uint64_t answered_ns; /* the last answer; 0: none */
    uint64_t woken_ns;    /* usually, from answer to answer, by events; 0: unknown */
    uint64_t polled_ns;   /* and when they are found by looking */
    /* what it may still wait in vain: comes back at half of the time that passes */
    uint64_t credit_ns, credit_at_ns;
    uint32_t seen;   /* operations by event that a poll might have found, since the last try */
    uint32_t needed; /* of those for the next try */
    uint32_t hits;   /* operations of this try */
};

/* For a guest that has just connected. */
void pb_poll_init(struct pb_poll *p);

/*
 * OPS operations (at least one) were answered by NOW; until they were found, SPUN was spent on
 * looking. CEILING is the longest window, 0: none. True: look until p->until_ns; false: wait for
 * the event.
 */
bool pb_poll_answered(struct pb_poll *p, uint64_t now, unsigned ops, uint64_t spun,
                      uint64_t ceiling);
/* While on: p->until_ns has passed, SPUN was spent. Now the event is waited for. */
void pb_poll_missed(struct pb_poll *p, uint64_t spun);
/* While on: something else keeps the guest from being looked at, which says nothing of polling. */
void pb_poll_end(struct pb_poll *p);

#endif
