/* SPDX-License-Identifier: MIT */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

struct fake fake;

static void call(const struct pcibackd_device *dev, const char *callback)
{
    if (fake.call)
        fake.call(dev, callback);
}

/* A test in another process says it in the parameters: a number, or "image", the byte at 0x48. */
static int answer(const struct pcibackd_device *dev, const char *param, int rc)
{
    const char *text = fake.host->param(dev, param);

    if (text && strcmp(text, "image") == 0)
        return -(int)fake.host->image(dev, 0x48, 1);
    return text ? (int)strtol(text, NULL, 0) : rc;
}

static int load(const struct pcibackd_host *host)
{
    fake.host = host;
    fake.loads++;
    call(NULL, "load");
    return fake.load_rc;
}

static void unload(void)
{
    fake.unloads++;
    call(NULL, "unload");
}

static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    fake.attaches++;
    call(dev, "attach");
    *ret_state = (void *)(uintptr_t)fake.attaches;
    return fake.attach_rc;
}

static void detach(const struct pcibackd_device *dev, void *state)
{
    fake.detaches++;
    fake.state = state;
    call(dev, "detach");
}

static int on_access(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    fake.accesses++;
    fake.last = *access;
    fake.state = state;
    return fake.access ? fake.access(dev, state, access) : PCIBACKD_PASS;
}

static int before_reset(const struct pcibackd_device *dev)
{
    fake.befores++;
    call(dev, "before_reset");
    return answer(dev, "before_reset", fake.before_rc);
}

static int after_reset(const struct pcibackd_device *dev, int rc)
{
    fake.afters++;
    fake.told = rc;
    call(dev, "after_reset");
    return answer(dev, "after_reset", fake.after_rc);
}

static void stats(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx)
{
    (void)state;
    call(dev, "stats");
    stat(ctx, "accesses", fake.accesses);
    stat(ctx, "attaches", fake.attaches);
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD,       .flags = FAKE_FLAGS,
    .name = FAKE_NAME,          .load = load,
    .unload = unload,           .attach = attach,
    .detach = detach,           .read = on_access,
    .write = on_access,         .before_reset = before_reset,
    .after_reset = after_reset, .stats = stats,
};
