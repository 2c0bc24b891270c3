/* SPDX-License-Identifier: MIT */
#include "base/cycles.h"
#include "base/log.h"

#define SCALE_MIN     UINT64_C(655)     /* 100 GHz */
#define SCALE_MAX     UINT64_C(6553600) /* 10 MHz */
#define LEARN_MAX_NS  UINT64_C(1000000000)
#define CYCLES_MAX    (UINT64_C(1) << 40) /* times SCALE_MAX is less than 2^63 */
#define CHANGE_AT_ONE 8u                  /* by an eighth: one jump of the counter may be in it */

static void learn(struct pb_cycle_clock *c, uint64_t ns, uint64_t cycles)
{
    uint64_t scale, step = c->scale / CHANGE_AT_ONE;

    if (ns > LEARN_MAX_NS || cycles == 0 || cycles >= CYCLES_MAX)
        return;
    scale = (ns << 16) / cycles;
    if (scale < SCALE_MIN || scale > SCALE_MAX)
        return;
    if (c->scale && scale < c->scale - step)
        scale = c->scale - step;
    else if (c->scale && scale > c->scale + step)
        scale = c->scale + step;
    c->scale = (uint32_t)scale;
}

static uint64_t tell(struct pb_cycle_clock *c, uint64_t ns)
{
    if (ns > c->told_ns)
        c->told_ns = ns;
    return c->told_ns;
}

static uint64_t set_right(struct pb_cycle_clock *c, uint64_t cycles)
{
    uint64_t now = pb_now_ns(), since = now - c->base_ns;

    if (c->base_ns && since < PB_CYCLE_LEARN_NS && cycles >= c->base_cycles)
        return tell(c, now);
    if (c->base_ns && cycles > c->base_cycles)
        learn(c, since, cycles - c->base_cycles);
    c->base_ns = now;
    c->base_cycles = cycles;
    return tell(c, now);
}

uint64_t pb_cycle_clock_ns(struct pb_cycle_clock *c)
{
    uint64_t cycles = pb_cycles(), passed = cycles - c->base_cycles, ns;

    if (!c->scale || cycles <= c->base_cycles || passed >= CYCLES_MAX)
        return set_right(c, cycles);
    ns = passed * c->scale >> 16;
    return ns < PB_CYCLE_EXACT_NS ? tell(c, c->base_ns + ns) : set_right(c, cycles);
}
