/* SPDX-License-Identifier: MIT */
/* A structure with something wrong in it, as SHAPE_… say. */
#include "pcibackd/plugin.h"

#ifndef SHAPE_MAGIC
#define SHAPE_MAGIC PCIBACKD_PLUGIN_MAGIC
#endif
#ifndef SHAPE_MAJOR
#define SHAPE_MAJOR PCIBACKD_ABI_MAJOR
#endif
#ifndef SHAPE_MINOR
#define SHAPE_MINOR PCIBACKD_ABI_MINOR
#endif
#ifndef SHAPE_SIZE
#define SHAPE_SIZE sizeof(struct pcibackd_plugin)
#endif
#ifndef SHAPE_FLAGS
#define SHAPE_FLAGS 0
#endif

/* clang's red zones would count as a part of the symbol. */
#ifdef __clang__
#define EXACT __attribute__((no_sanitize("address")))
#else
#define EXACT
#endif

#ifdef SHAPE_CALLBACKS
static void detach(const struct pcibackd_device *dev, void *state)
{
    (void)dev;
    (void)state;
}

static void stats(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx)
{
    (void)dev;
    (void)state;
    stat(ctx, "number", 1);
}
#endif

#if defined(SHAPE_FUNCTION)
PCIBACKD_EXPORT int pcibackd_plugin_(void) __asm__("pcibackd_plugin");
int pcibackd_plugin_(void)
{
    return 0;
}
#elif defined(SHAPE_STUMP)
/* Only as much as says which version it is. */
EXACT PCIBACKD_EXPORT const uint32_t pcibackd_plugin_[2] __asm__("pcibackd_plugin") = {
    SHAPE_MAGIC, SHAPE_MAJOR | SHAPE_MINOR << 16
};
#elif defined(SHAPE_NO_SYMBOL)
PCIBACKD_EXPORT const int something_else = 1;
#elif defined(SHAPE_UNDEFINED)
extern int nobody_defines_this(const struct pcibackd_host *host);
PCIBACKD_PLUGIN = { PCIBACKD_PLUGIN_HEAD, .name = SHAPE_NAME, .load = nobody_defines_this };
#else
EXACT PCIBACKD_PLUGIN = {
    SHAPE_MAGIC,      SHAPE_MAJOR,          SHAPE_MINOR,
    SHAPE_SIZE,       .flags = SHAPE_FLAGS, .name = SHAPE_NAME,
#ifdef SHAPE_CALLBACKS
    .detach = detach, .stats = stats,
#endif
};
#endif
