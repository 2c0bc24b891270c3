/* SPDX-License-Identifier: MIT */
/* Resets: plugins before and after them, and the time that a device needs. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "host/job.h"
#include "kernel.h"
#include "plugins/fake.h"

#define NIC            "0000:03:00.0"
#define SET(attribute) ("devices/" NIC "/" attribute)
#define SETTLE_MS      12345

static struct fake *f, *f2;
static struct pb_wire_request request;
static struct pb_wire_reply reply;
static unsigned settled; /* times */

int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);

/* The time that a device needs passes at once, and then it answers again. */
int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    if (t->tv_sec != SETTLE_MS / 1000)
        return __real_nanosleep(t, left);
    assert_int_equal(t->tv_nsec, SETTLE_MS % 1000 * 1000000);
    kernel_set_config(kernel_nic, 0, 4, 0x10d38086);
    kernel_set_config(kernel_nic, 8, 4, 0x02000003);
    settled++;
    return 0;
}

static struct fake *control(const char *name)
{
    char path[256];
    struct fake *ret;
    void *library;

    (void)snprintf(path, sizeof(path), PB_FIXTURE_DIR "/%s.so", name);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ret = library ? dlsym(library, "fake") : NULL;
    assert_non_null(ret);
    memset(ret, 0, sizeof(*ret));
    return ret;
}

static int setup(void **state)
{
    f = control("fake");
    f2 = control("fake2");
    settled = 0;
    memset(&request, 0, sizeof(request));
    request.kind = PB_JOB_RESET;
    request.sbdf = kernel_nic;
    return kernel_setup(state);
}

static void add_plugin(const char *name, const char *params)
{
    struct pb_reset_plugin *p = &request.plugin[request.plugin_count++];

    (void)snprintf(p->path, sizeof(p->path), PB_FIXTURE_DIR "/%s.so", name);
    (void)snprintf(p->params, sizeof(p->params), "%s", params);
}

static int reset(void)
{
    int fd;

    kernel_forget_log();
    pb_job_run(&request, &kernel_options, &reply, &fd);
    assert_int_equal(fd, -1);
    assert_true(reply.rc == 0 || reply.reason[0]);
    return reply.rc;
}

static void assert_says(const char *part)
{
    if (!strstr(reply.reason, part))
        fail_msg("\"%s\" does not say \"%s\"", reply.reason, part);
}

/* --- plugins --- */

static unsigned writes_before, writes_after;

static void count_writes(const struct pcibackd_device *dev, const char *callback)
{
    (void)dev;
    if (strcmp(callback, "before_reset") == 0)
        writes_before = atomic_load(&kernel->writes);
    if (strcmp(callback, "after_reset") == 0)
        writes_after = atomic_load(&kernel->writes);
}

static void plugins_run_before_and_after_the_kernels_reset(void **state)
{
    (void)state;
    add_plugin("fake", "{}");
    add_plugin("fake2", "{}");
    f->call = count_writes;
    assert_int_equal(reset(), 0);
    kernel_assert_log(SET("reset=1"), NULL);
    assert_int_equal(f->befores, 1);
    assert_int_equal(f->afters, 1);
    assert_int_equal(f2->afters, 1);
    assert_int_equal(writes_before, 0);
    assert_int_equal(writes_after, 1);
    assert_int_equal(f->told, 0);
    assert_int_equal(f->unloads, 1);
    assert_int_equal(pb_le32(reply.facts.config), 0x10d38086);
}

static void a_device_that_its_plugin_has_reset_is_not_reset_again(void **state)
{
    (void)state;
    add_plugin("fake", "{\"before_reset\":1}");
    (void)snprintf(request.method, sizeof(request.method), "bus");
    request.settle_ms = SETTLE_MS;
    assert_int_equal(reset(), 0);
    kernel_assert_log(NULL);
    assert_int_equal(f->afters, 1);
    assert_int_equal(settled, 1);
    /* Nor does the kernel need to have a method for it. */
    kernel_unset(kernel_nic, "reset");
    kernel_unset(kernel_nic, "reset_method");
    assert_int_equal(reset(), 0);
}

/* Larger packets than the port above sends are a fatal error, which reaches the host. */
static void after_a_plugins_own_reset_device_and_link_control_are_as_at_claim(void **state)
{
    uint8_t *image = request.image;

    (void)state;
    request.image_size = PB_CONFIG_SIZE_PCIE;
    pb_le_put(image, 4, 0x10d38086);
    pb_le_put(image + 6, 2, 0x0010); /* it has capabilities */
    image[0x34] = 0x40;
    pb_le_put(image + 0x40, 4, 0x00020010); /* PCI Express, version 2 */
    pb_le_put(image + 0x48, 2, 0xa030);     /* a reset that is asked for is not restored */
    pb_le_put(image + 0x50, 2, 0x0040);
    pb_le_put(image + 0x68, 2, 0x0009);
    for (unsigned i = 0; i < 2; i++) {
        request.plugin_count = 0;
        add_plugin("fake", i ? "{}" : "{\"before_reset\":1}");
        kernel_set_config(kernel_nic, 0x48, 2, 0x2010);
        kernel_set_config(kernel_nic, 0x50, 2, 0);
        kernel_set_config(kernel_nic, 0x68, 2, 0);
        assert_int_equal(reset(), 0);
        /* the kernel restores what it resets */
        assert_int_equal(pb_le16(reply.facts.config + 0x48), i ? 0x2010 : 0x2030);
        assert_int_equal(pb_le16(reply.facts.config + 0x50), i ? 0 : 0x0040);
        assert_int_equal(pb_le16(reply.facts.config + 0x68), i ? 0 : 0x0009);
    }
}

static void a_plugin_that_fails_before_prevents_the_reset(void **state)
{
    (void)state;
    add_plugin("fake", "{}");
    add_plugin("fake2", "{\"before_reset\":-16}");
    assert_int_equal(reset(), -EBUSY);
    assert_says("plugin fake2: before_reset: Device or resource busy");
    kernel_assert_log(NULL);
    assert_int_equal(f->told, -EBUSY); /* what it began, it can undo */
    assert_int_equal(f2->afters, 0);
    assert_int_equal(f->unloads, 1);
}

static void a_plugin_that_fails_after_fails_the_reset(void **state)
{
    (void)state;
    add_plugin("fake", "{\"after_reset\":-5}");
    assert_int_equal(reset(), -EIO);
    assert_says("plugin fake: after_reset: Input/output error");
    kernel_assert_log(SET("reset=1"), NULL);
}

/* These say that the device has no method, and that it is stuck in the kernel. */
static void a_plugins_ENOTTY_and_ETIMEDOUT_are_its_own(void **state)
{
    static const int errors[] = { ENOTTY, ETIMEDOUT };

    (void)state;
    add_plugin("fake", "{}");
    for (size_t i = 0; i < PB_ARRAY_SIZE(errors); i++) {
        f->before_rc = -errors[i];
        assert_int_equal(reset(), -EIO);
        assert_says(strerror(errors[i]));
        f->before_rc = 0;
        f->after_rc = -errors[i];
        assert_int_equal(reset(), -EIO);
        assert_says(strerror(errors[i]));
        f->after_rc = 0;
    }
}

static void plugins_are_told_how_the_reset_went_and_its_reason_stays(void **state)
{
    (void)state;
    add_plugin("fake", "{\"after_reset\":-5}");
    (void)snprintf(kernel->refuse, sizeof(kernel->refuse), "/reset");
    kernel->refuse_errno = EAGAIN;
    assert_int_equal(reset(), -EAGAIN);
    assert_int_equal(f->told, -EAGAIN);
    assert_says("the kernel could not reset it");
}

static void a_plugin_that_cannot_be_opened_prevents_the_reset(void **state)
{
    (void)state;
    add_plugin("nobody", "{}");
    assert_int_equal(reset(), -ENOENT);
    assert_says("plugin nobody");
    kernel_assert_log(NULL);
    request.plugin_count = 0;
    add_plugin("fake", "{}");
    f->load_rc = -ENOSYS;
    assert_int_equal(reset(), -ENOSYS);
    assert_says("plugin fake: load");
    kernel_assert_log(NULL);
}

/* What the daemon looked at, we look at again: it may not be itself any more. */
static void the_helper_looks_at_owners_itself(void **state)
{
    char path[128];
    int in, out;
    char bytes[4096];
    ssize_t n;

    (void)state;
    /* Below /tmp, which everybody writes to. */
    (void)snprintf(path, sizeof(path), "%s/fake.so", kernel_dir);
    in = open(PB_FIXTURE_DIR "/fake.so", O_RDONLY | O_CLOEXEC);
    out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    (void)close(in);
    (void)close(out);
    add_plugin("fake", "{}");
    (void)snprintf(request.plugin[0].path, sizeof(request.plugin[0].path), "%s", path);
    kernel->check_owners = true;
    assert_int_equal(reset(), -EPERM);
    assert_says("not root's alone");
    kernel_assert_log(NULL);
    kernel->check_owners = false;
    assert_int_equal(reset(), 0);
}

/* --- what they reach --- */

static void reach(const struct pcibackd_device *dev, const char *callback)
{
    const struct pcibackd_host *host = f->host;
    uint64_t wide = 0;
    uint32_t value = 0;

    if (strcmp(callback, "before_reset") != 0)
        return;
    assert_int_equal(host->info(dev)->device, 0x10d3);
    assert_int_equal(host->image(dev, 0x48, 4), 0xcafe0048); /* at claim */
    assert_int_equal(host->config_read(dev, 0x48, 4, &value), 0);
    assert_int_equal(value, 0x4b4a4948); /* now */
    assert_int_equal(host->config_write(dev, 0x48, 2, 0x5555), 0);
    assert_int_equal(host->bar_read(dev, 0, 0x10, 4, &wide), 0);
    assert_int_equal(wide, 0x11223344);
    assert_int_equal(host->bar_write(dev, 0, 0x18, 8, UINT64_C(0x0102030405060708)), 0);
    assert_int_equal(host->bar_read(dev, 3, 0x8, 4, &wide), -ENOENT); /* no such file */
    assert_int_equal(host->config_read(dev, 4, 2, &value), 0);
    assert_int_equal(value & 2, 2);
}

static void plugins_reach_registers_bars_and_the_image_of_claim(void **state)
{
    uint8_t bytes[8192] = { 0 };
    int fd;

    (void)state;
    kernel_set_config(kernel_nic, 4, 2, 0);
    kernel_set_config(kernel_nic, 0x10, 4, 0xfebc0000);
    kernel_set_config(kernel_nic, 0x1c, 4, 0xfebe0000);
    pb_le_put(bytes + 0x10, 4, 0x11223344);
    fd = open(kernel_path(kernel_nic, "resource0"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    (void)close(fd);
    add_plugin("fake", "{}");
    request.image_size = PB_CONFIG_SIZE_PCIE;
    pb_le_put(request.image + 0x48, 4, 0xcafe0048);
    f->call = reach;
    assert_int_equal(reset(), 0);
    assert_int_equal(f->befores, 1);
    fd = open(kernel_path(kernel_nic, "resource0"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, 8, 0x18), 8);
    (void)close(fd);
    assert_int_equal(pb_le32(bytes), 0x05060708);
    assert_int_equal(pb_le32(bytes + 4), 0x01020304);
    assert_int_equal(pb_le16(reply.facts.config + 0x48), 0x5555);
    assert_int_equal(pb_le16(reply.facts.config + 4), 0); /* decode is off again */
}

/* --- time --- */

static void after_a_reset_nothing_is_touched_until_the_device_has_settled(void **state)
{
    (void)state;
    kernel->dies_in_reset = true;
    assert_int_equal(reset(), -ENODEV);
    request.settle_ms = SETTLE_MS;
    assert_int_equal(reset(), 0);
    assert_int_equal(settled, 1);
    assert_int_equal(pb_le32(reply.facts.config), 0x10d38086);
    /* Not after one that did not happen. */
    kernel_unset(kernel_nic, "reset");
    assert_int_equal(reset(), -ENOTTY);
    assert_int_equal(settled, 1);
}

static void look_if_settled(const struct pcibackd_device *dev, const char *callback)
{
    uint32_t value = 0;

    if (strcmp(callback, "after_reset") != 0)
        return;
    assert_int_equal(f->host->config_read(dev, 0, 4, &value), 0);
    assert_int_equal(value, 0x10d38086);
}

static void plugins_find_a_device_that_has_settled(void **state)
{
    (void)state;
    kernel->dies_in_reset = true;
    request.settle_ms = SETTLE_MS;
    add_plugin("fake", "{}");
    f->call = look_if_settled;
    assert_int_equal(reset(), 0);
    assert_int_equal(f->afters, 1);
}

static void what_no_honest_daemon_asks_of_a_reset_is_refused(void **state)
{
    (void)state;
    request.settle_ms = 600001;
    assert_int_equal(reset(), -EINVAL);
    request.settle_ms = 0;
    request.plugin_count = PB_JOB_PLUGINS + 1;
    assert_int_equal(reset(), -EINVAL);
    request.plugin_count = 0;
    request.image_size = 300;
    assert_int_equal(reset(), -EINVAL);
    request.image_size = PB_CONFIG_SIZE_PCIE + 1;
    assert_int_equal(reset(), -EINVAL);
    request.image_size = 0;
    add_plugin("fake", "{}");
    request.kind = PB_JOB_PROBE; /* what has no use for plugins opens none */
    assert_int_equal(reset(), -EINVAL);
    assert_int_equal(f->loads, 0);
    request.kind = PB_JOB_RESET;
    memset(request.plugin[0].path, 'a', sizeof(request.plugin[0].path));
    assert_int_equal(reset(), -EINVAL);
    kernel_assert_log(NULL);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, kernel_teardown)
    const struct CMUnitTest tests[] = {
        RULE(plugins_run_before_and_after_the_kernels_reset),
        RULE(a_device_that_its_plugin_has_reset_is_not_reset_again),
        RULE(after_a_plugins_own_reset_device_and_link_control_are_as_at_claim),
        RULE(a_plugin_that_fails_before_prevents_the_reset),
        RULE(a_plugin_that_fails_after_fails_the_reset),
        RULE(a_plugins_ENOTTY_and_ETIMEDOUT_are_its_own),
        RULE(plugins_are_told_how_the_reset_went_and_its_reason_stays),
        RULE(a_plugin_that_cannot_be_opened_prevents_the_reset),
        RULE(the_helper_looks_at_owners_itself),
        RULE(plugins_reach_registers_bars_and_the_image_of_claim),
        RULE(after_a_reset_nothing_is_touched_until_the_device_has_settled),
        RULE(plugins_find_a_device_that_has_settled),
        RULE(what_no_honest_daemon_asks_of_a_reset_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
