/* SPDX-License-Identifier: MIT */
#include "plugged.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "plugins/fake.h"
#include "quirk/hooks.h"

uint64_t now_ns;
struct pb_profile *profile;
struct pb_hooks *hooks;
struct fake *f, *f2, *raw, *tracer;
char why[400];
uint32_t add;
int verdict;

uint64_t __wrap_pb_now_ns(void);
uint64_t __wrap_pb_now_ms(void);

uint64_t __wrap_pb_now_ns(void)
{
    return now_ns;
}

uint64_t __wrap_pb_now_ms(void)
{
    return now_ns / 1000000;
}

/* --- profiles --- */

static struct pb_plugin *open_plugin(const char *name)
{
    const char *const dirs[] = { PB_FIXTURE_DIR };
    struct pb_plugin *plugin;

    assert_int_equal(pb_plugin_open(dirs, 1, true, name, &plugin, why, sizeof(why)), 0);
    return plugin;
}

/* A profile that only tests free. */
struct pb_profile *new_profile(void)
{
    struct pb_profile *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->refs = 1000;
    p->facts.sbdf.bus = 3;
    p->facts.vendor = 0x8086;
    p->facts.device = 0x10d3;
    p->facts.class_code = 0x020000;
    p->facts.config_size = PB_CONFIG_SIZE_PCIE;
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++)
        p->facts.config[i] = (uint8_t)(i ^ i >> 8);
    return p;
}

void free_profile(struct pb_profile *p)
{
    assert_int_equal(p->refs, 1000); /* whoever took a reference gave it back */
    for (unsigned i = 0; i < p->binding_count; i++) {
        pb_plugin_unref(p->binding[i]->plugin);
        free(p->binding[i]);
    }
    free(p);
}

struct pb_binding *plug(struct pb_profile *p, const char *name, const char *params)
{
    struct pb_binding *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    b->plugin = open_plugin(name);
    b->quirk = "some-quirk";
    b->params = params;
    p->binding[p->binding_count++] = b;
    return b;
}

void own(struct pb_binding *b, unsigned offset, unsigned size, uint32_t mask)
{
    pb_le_put(b->mask + offset, size, mask);
}

static struct fake *control(const char *name)
{
    char path[256];
    struct fake *ret;
    void *library;

    (void)snprintf(path, sizeof(path), PB_FIXTURE_DIR "/%s.so", name);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays, for its counters */
    ret = library ? dlsym(library, "fake") : NULL;
    assert_non_null(ret);
    memset(ret, 0, sizeof(*ret));
    return ret;
}

int setup(void **state)
{
    (void)state;
    now_ns = UINT64_C(1000000000);
    f = control("fake");
    f2 = control("fake2");
    raw = control("fake-raw");
    tracer = control("fake-trace");
    add = 0;
    verdict = PCIBACKD_PASS;
    hooks = NULL;
    profile = new_profile();
    why[0] = '\0';
    return 0;
}

int teardown(void **state)
{
    (void)state;
    pb_hooks_free(hooks);
    free_profile(profile);
    return 0;
}

void start(void)
{
    assert_int_equal(pb_hooks_new(profile, &hooks, why, sizeof(why)), 0);
    assert_non_null(hooks);
}

void assert_why(const char *part)
{
    if (!strstr(why, part))
        fail_msg("\"%s\" does not say \"%s\"", why, part);
}

/* --- accesses --- */

uint32_t handled, denied;

uint32_t write_it(unsigned offset, unsigned size, uint32_t value)
{
    pb_hooks_write(hooks, offset, size, &value, &handled, &denied);
    return value;
}

uint32_t read_it(unsigned offset, unsigned size, uint32_t hardware, uint32_t value)
{
    pb_hooks_read(hooks, offset, size, hardware, &value);
    return value;
}

int answering(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    (void)dev;
    (void)state;
    access->value |= add;
    return verdict;
}

int slow(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    (void)dev;
    (void)state;
    (void)access;
    now_ns += 1001000;
    return PCIBACKD_PASS;
}

int just_fast(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    (void)dev;
    (void)state;
    (void)access;
    now_ns += 1000000;
    return PCIBACKD_PASS;
}

static void copy_view(void *ctx, const struct pb_hook_view *view)
{
    struct pb_hook_view *views = ctx;

    while (views->plugin)
        views++;
    *views = *view;
}

struct pb_hook_view view_of(unsigned number)
{
    struct pb_hook_view views[PB_BINDINGS_MAX + 1];

    memset(views, 0, sizeof(views));
    pb_hooks_each(hooks, copy_view, views);
    assert_non_null(views[number].plugin);
    return views[number];
}
