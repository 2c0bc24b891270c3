/* SPDX-License-Identifier: MIT */
#include "quirk/reset.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "quirk/services.h"

struct part {
    struct pb_plugin *plugin;
    struct pcibackd_device dev;
};

struct pb_reset_hooks {
    const struct pb_facts *facts;
    const struct pb_reset_io *io;
    unsigned count;
    unsigned asked; /* parts whose before_reset is over: those whose after_reset is due */
    bool decoding;  /* we turned memory decode on */
    struct {
        volatile uint8_t *at;
        size_t length;
    } bar[PB_PCI_BARS];
    struct part part[PB_RESET_PLUGINS_MAX];
};

static bool may_sleep;

__attribute__((format(printf, 3, 4))) static void say(char *why, size_t why_size, const char *fmt,
                                                      ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
}

/* --- registers --- */

int pb_reset_config_read(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                         uint32_t *ret_value)
{
    const struct pb_reset_hooks *h = dev->resetting;

    if (!h)
        return -EPERM;
    if ((size != 1 && size != 2 && size != 4) || offset % size ||
        offset + size > h->facts->config_size)
        return -EINVAL;
    return h->io->config_read(h->io->ctx, offset, size, ret_value);
}

int pb_reset_config_write(const struct pcibackd_device *dev, uint16_t offset, uint8_t size,
                          uint32_t value)
{
    const struct pb_reset_hooks *h = dev->resetting;

    if (!h)
        return -EPERM;
    if ((size != 1 && size != 2 && size != 4) || offset % size ||
        offset + size > h->facts->config_size)
        return -EINVAL;
    return h->io->config_write(h->io->ctx, offset, size, value);
}

/* Is the memory where the kernel put it? A device that was just reset has no addresses. */
static int check_address(const struct pb_reset_hooks *h, unsigned bar)
{
    const struct pb_resource *r = &h->facts->resource[bar];
    const unsigned at = PCI_BAR0 + 4 * bar;
    uint32_t low, high = 0;
    int rc;

    if (h->facts->virtual_function)
        return 0; /* its addresses are in the physical function */
    rc = h->io->config_read(h->io->ctx, at, 4, &low);
    if (rc == 0 && (r->flags & PB_RES_MEM_64) && bar + 1 < PB_PCI_BARS)
        rc = h->io->config_read(h->io->ctx, at + 4, 4, &high);
    if (rc)
        return rc;
    return ((uint64_t)high << 32 | (low & ~PB_RES_BAR_BITS)) == r->start ? 0 : -ENXIO;
}

/* A function without decode may answer an access with a fatal error (CVE-2020-12888). */
static int turn_decode_on(struct pb_reset_hooks *h, unsigned bar)
{
    uint32_t command;
    int rc = h->io->config_read(h->io->ctx, PCI_COMMAND, 2, &command);

    if (rc)
        return rc;
    if (command == UINT16_MAX)
        return -ENXIO;
    rc = check_address(h, bar);
    if (rc || (command & PCI_COMMAND_MEMORY) || h->facts->virtual_function)
        return rc;
    rc = h->io->config_write(h->io->ctx, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
    h->decoding |= rc == 0;
    return rc;
}

static int turn_decode_off(struct pb_reset_hooks *h)
{
    uint32_t command;
    int rc;

    if (!h->decoding)
        return 0;
    h->decoding = false;
    rc = h->io->config_read(h->io->ctx, PCI_COMMAND, 2, &command);
    if (rc || command == UINT16_MAX || !(command & PCI_COMMAND_MEMORY))
        return rc;
    return h->io->config_write(h->io->ctx, PCI_COMMAND, 2, command & ~PCI_COMMAND_MEMORY);
}

static int reach(struct pb_reset_hooks *h, unsigned bar, uint64_t offset, unsigned size,
                 volatile uint8_t **ret)
{
    const struct pb_resource *r = &h->facts->resource[bar < PB_PCI_BARS ? bar : 0];
    uint64_t length = r->end - r->start + 1;
    int rc;

    if (bar >= PB_PCI_BARS || (size != 1 && size != 2 && size != 4 && size != 8) || offset % size)
        return -EINVAL;
    if (!(r->flags & PB_RES_MEM) || (r->flags & (PB_RES_DISABLED | PB_RES_UNSET)) ||
        r->end <= r->start || offset > length || length - offset < size)
        return -ENXIO;
    if (!h->bar[bar].at) {
        h->bar[bar].at = h->io->bar_map(h->io->ctx, bar, &h->bar[bar].length);
        if (!h->bar[bar].at)
            return errno ? -errno : -ENXIO;
    }
    if (offset > h->bar[bar].length || h->bar[bar].length - offset < size)
        return -ENXIO;
    rc = turn_decode_on(h, bar);
    if (rc == 0)
        *ret = h->bar[bar].at + offset;
    return rc;
}

int pb_reset_bar_read(const struct pcibackd_device *dev, unsigned bar, uint64_t offset,
                      unsigned size, uint64_t *ret_value)
{
    volatile uint8_t *at = NULL;
    int rc = dev->resetting ? reach(dev->resetting, bar, offset, size, &at) : -EPERM;

    if (rc || !at)
        return rc;
    if (size == 8)
        *ret_value = *(volatile uint64_t *)(volatile void *)at;
    else if (size == 4)
        *ret_value = *(volatile uint32_t *)(volatile void *)at;
    else if (size == 2)
        *ret_value = *(volatile uint16_t *)(volatile void *)at;
    else
        *ret_value = *at;
    return 0;
}

int pb_reset_bar_write(const struct pcibackd_device *dev, unsigned bar, uint64_t offset,
                       unsigned size, uint64_t value)
{
    volatile uint8_t *at = NULL;
    int rc = dev->resetting ? reach(dev->resetting, bar, offset, size, &at) : -EPERM;

    if (rc || !at)
        return rc;
    if (size == 8)
        *(volatile uint64_t *)(volatile void *)at = value;
    else if (size == 4)
        *(volatile uint32_t *)(volatile void *)at = (uint32_t)value;
    else if (size == 2)
        *(volatile uint16_t *)(volatile void *)at = (uint16_t)value;
    else
        *at = (uint8_t)value;
    return 0;
}

void pb_reset_sleep(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    while (may_sleep && nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* --- life --- */

/* "DIR/NAME.so" in its parts. */
static int open_part(struct part *part, const struct pb_reset_plugin *plugin, bool any_owner,
                     const struct pb_facts *facts, char *why, size_t why_size)
{
    char dir[sizeof(plugin->path)], name[PB_PLUGIN_NAME_MAX + 1];
    const char *end = memchr(plugin->path, '\0', sizeof(plugin->path)), *slash;
    const char *const dirs[] = { dir };
    size_t n;
    int rc;

    slash = end ? strrchr(plugin->path, '/') : NULL;
    n = slash ? (size_t)(end - slash) - 1 : 0;
    if (n <= 3 || n - 3 > PB_PLUGIN_NAME_MAX || strcmp(end - 3, ".so") != 0 ||
        !memchr(plugin->params, '\0', sizeof(plugin->params))) {
        say(why, why_size, "this is no plugin's path, or its params do not end");
        return -EINVAL;
    }
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - plugin->path), plugin->path);
    (void)snprintf(name, sizeof(name), "%.*s", (int)(n - 3), slash + 1);
    rc = pb_plugin_open(dirs, 1, any_owner, name, &part->plugin, why, why_size);
    if (rc)
        return rc;
    rc = pb_plugin_load(part->plugin, why, why_size);
    if (rc == 0) {
        rc = pb_device_init(&part->dev, pb_plugin_name(part->plugin), facts, 0, plugin->params);
        if (rc)
            say(why, why_size, "plugin %s: params: %s", name, strerror(-rc));
    }
    if (rc)
        pb_plugin_unref(part->plugin);
    return rc;
}

int pb_reset_hooks_open(const struct pb_reset_plugin *plugins, unsigned count, bool any_owner,
                        const struct pb_facts *facts, const struct pb_reset_io *io,
                        struct pb_reset_hooks **ret, char *why, size_t why_size)
{
    struct pb_reset_hooks *h;
    int rc = 0;

    if (count > PB_RESET_PLUGINS_MAX) {
        say(why, why_size, "%u plugins, more than %u", count, PB_RESET_PLUGINS_MAX);
        return -EINVAL;
    }
    h = calloc(1, sizeof(*h));
    if (!h) {
        say(why, why_size, "out of memory");
        return -ENOMEM;
    }
    h->facts = facts;
    h->io = io;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = open_part(&h->part[i], &plugins[i], any_owner, facts, why, why_size);
        if (rc == 0)
            h->count++;
    }
    if (rc)
        pb_reset_hooks_close(h);
    else
        *ret = h;
    return rc;
}

void pb_reset_hooks_close(struct pb_reset_hooks *hooks)
{
    if (!hooks)
        return;
    while (hooks->count > 0) {
        struct part *part = &hooks->part[--hooks->count];

        pb_device_fini(&part->dev);
        pb_plugin_unref(part->plugin);
    }
    free(hooks);
}

static void enter(struct pb_reset_hooks *h, struct part *part)
{
    part->dev.resetting = h;
    may_sleep = true;
}

/* RC is the callback's; decode goes back to what it was, whatever that is. */
static int leave(struct pb_reset_hooks *h, struct part *part, const char *callback, int rc,
                 char *why, size_t why_size)
{
    int off;

    may_sleep = false;
    part->dev.resetting = NULL;
    off = turn_decode_off(h);
    if (rc < 0) {
        say(why, why_size, "plugin %s: %s: %s", part->dev.plugin, callback, strerror(-rc));
    } else if (off) {
        say(why, why_size, "plugin %s: decode cannot be turned off again: %s", part->dev.plugin,
            strerror(-off));
        rc = off;
    }
    return rc;
}

int pb_reset_hooks_before(struct pb_reset_hooks *hooks, char *why, size_t why_size)
{
    int rc = 0;

    for (hooks->asked = 0; rc == 0 && hooks->asked < hooks->count; hooks->asked++) {
        struct part *part = &hooks->part[hooks->asked];
        const struct pcibackd_plugin *ops = pb_plugin_ops(part->plugin);

        if (!ops->before_reset)
            continue;
        enter(hooks, part);
        rc = ops->before_reset(&part->dev);
        if (rc > 0 && rc != PCIBACKD_RESET_DONE)
            rc = -EPROTO;
        rc = leave(hooks, part, "before_reset", rc, why, why_size);
        if (rc < 0)
            return rc; /* what it began itself, it undoes itself */
    }
    hooks->asked = hooks->count;
    return rc;
}

int pb_reset_hooks_after(struct pb_reset_hooks *hooks, int rc, char *why, size_t why_size)
{
    int first = 0;

    while (hooks->asked > 0) {
        struct part *part = &hooks->part[--hooks->asked];
        const struct pcibackd_plugin *ops = pb_plugin_ops(part->plugin);
        char text[160];
        int r;

        if (!ops->after_reset)
            continue;
        enter(hooks, part);
        r = ops->after_reset(&part->dev, rc);
        r = leave(hooks, part, "after_reset", r > 0 ? -EPROTO : r, text, sizeof(text));
        if (r && first == 0) {
            first = r;
            say(why, why_size, "%s", text);
        }
    }
    return first;
}
