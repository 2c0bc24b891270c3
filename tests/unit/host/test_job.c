/* SPDX-License-Identifier: MIT */
/* What jobs do to sysfs, in which order, and how they undo it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "host/bind.h"
#include "host/job.h"
#include "host/remember.h"
#include "kernel.h"

#define NIC            "0000:03:00.0"
#define SET(attribute) ("devices/" NIC "/" attribute)
#define BUS(file)      (file "=" NIC)

static const char *const claimed[] = {
    SET("driver_override=pci-stub"), BUS("drivers/e1000e/unbind"), SET("enable=1"),
    SET("power/control=on"),         BUS("drivers_probe"),
};
#define CLAIMED claimed[0], claimed[1], claimed[2], claimed[3], claimed[4]

static struct pb_wire_reply reply;
static int fd;
static bool force;

/* Only modprobe is exec'ed here: "loads" the module, as the log tells. */
int __wrap_execl(const char *path, const char *arg, ...);

int __wrap_execl(const char *path, const char *arg, ...)
{
    unsigned i = atomic_fetch_add(&kernel->writes, 1);
    const char *quiet, *module;
    va_list ap;

    va_start(ap, arg);
    quiet = va_arg(ap, const char *);
    module = va_arg(ap, const char *);
    va_end(ap);
    (void)snprintf(kernel->log[i], sizeof(kernel->log[i]), "%s %s %s", path, quiet, module);
    kernel_add_driver(strcmp(module, "xen-pciback") == 0 ? "pciback" : module);
    _exit(0);
}

static int setup(void **state)
{
    fd = -1;
    force = false;
    return kernel_setup(state);
}

static int teardown(void **state)
{
    if (fd >= 0)
        (void)close(fd);
    return kernel_teardown(state);
}

static int run(enum pb_job_kind kind, const char *driver, const char *method)
{
    struct pb_wire_request request = {
        .id = 5, .kind = (uint32_t)kind, .sbdf = kernel_nic, .force = force
    };

    (void)snprintf(request.driver, sizeof(request.driver), "%s", driver);
    (void)snprintf(request.method, sizeof(request.method), "%s", method);
    if (fd >= 0)
        (void)close(fd);
    kernel_forget_log();
    pb_job_run(&request, &kernel_options, &reply, &fd);
    assert_int_equal(reply.id, 5);
    assert_true(reply.rc != 0 || !reply.reason[0]);
    assert_true(reply.rc == 0 || reply.reason[0]);
    return reply.rc;
}

static int claim(const char *driver)
{
    return run(PB_JOB_CLAIM, driver, "");
}

static int release(void)
{
    return run(PB_JOB_RELEASE, "", "");
}

static void refuse(const char *path, int error)
{
    (void)snprintf(kernel->refuse, sizeof(kernel->refuse), "%s", path);
    kernel->refuse_errno = error;
}

/* As kernel_setup() made it. */
static void assert_untouched(void)
{
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "(null)");
    assert_string_equal(kernel_get(kernel_nic, "power/control"), "auto");
    assert_string_equal(kernel_get(kernel_nic, "enable"), "1");
    assert_false(kernel_remembers(kernel_nic));
}

static void assert_says(const char *part)
{
    if (!strstr(reply.reason, part))
        fail_msg("\"%s\" does not say \"%s\"", reply.reason, part);
}

/* --- probe --- */

static void probe_reads_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_PROBE, "", ""), 0);
    assert_int_equal(reply.facts.device, 0x10d3);
    assert_int_equal(reply.facts.irq, 10);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_string_equal(reply.driver_now, "e1000e");
    assert_int_equal(fd, -1);
    kernel_assert_log(NULL);
    assert_untouched();
}

static void probe_tells_absent_from_unreadable(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "class", "purple\n");
    assert_int_equal(run(PB_JOB_PROBE, "", ""), -EPROTO);
    kernel_remove_device(kernel_nic);
    assert_int_equal(run(PB_JOB_PROBE, "", ""), -ENODEV);
    assert_says("not in the machine");
}

/* --- claim --- */

static void claim_goes_in_order_and_reads_after_enable(void **state)
{
    struct pb_remembered was;
    uint8_t bytes[4];

    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(CLAIMED, NULL);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_string_equal(reply.driver_now, "pci-stub");
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_int_equal(reply.facts.irq, 21); /* the routed line */
    assert_int_equal(pb_remember_load(kernel_lib, NIC, &was), 0);
    assert_string_equal(was.driver, "e1000e");
    assert_string_equal(was.override, "");
    assert_string_equal(was.power, "auto");
    assert_false(was.enabled); /* its driver's doing */
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, 4, 0), 4);
    assert_int_equal(pb_le32(bytes), 0x10d38086);
    assert_int_equal(pwrite(fd, "\x34\x12", 2, 0x3c), 2);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void a_driverless_device_is_claimed_and_given_back_so(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "driver");
    kernel_set(kernel_nic, "enable", "0\n");
    kernel_set(kernel_nic, "driver_override", "vfio-pci\n");
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(claimed[0], claimed[2], claimed[3], claimed[4], NULL);
    assert_string_equal(reply.driver_before, "");
    assert_int_equal(release(), 0);
    kernel_assert_log(BUS("drivers/pci-stub/unbind"), SET("enable=0"),
                      SET("driver_override=vfio-pci"), SET("power/control=auto"), NULL);
    assert_string_equal(kernel_driver(kernel_nic), "");
    assert_string_equal(kernel_get(kernel_nic, "enable"), "0");
    assert_false(kernel_remembers(kernel_nic));
}

static void somebody_elses_enable_is_kept(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "driver");
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(claimed[0], claimed[3], claimed[4], NULL);
    assert_int_equal(release(), 0);
    assert_string_equal(kernel_get(kernel_nic, "enable"), "1");
}

static void driver_none_leaves_it_without_one(void **state)
{
    (void)state;
    assert_int_equal(claim("none"), 0);
    kernel_assert_log(SET("driver_override=none"), claimed[1], claimed[2], claimed[3], NULL);
    assert_string_equal(reply.driver_now, "");
    assert_true(fd >= 0);
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void a_restart_keeps_what_is_remembered(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(claimed[0], claimed[3], NULL); /* never unbound: a guest may have it */
    assert_string_equal(reply.driver_before, "e1000e");
    assert_string_equal(reply.driver_now, "pci-stub");
    assert_int_equal(reply.facts.irq, 21);
    assert_true(fd >= 0);
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void a_restart_that_fails_leaves_it_with_us(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    refuse("driver_override", EACCES);
    assert_int_equal(claim("pci-stub"), -EACCES);
    kernel_assert_log(claimed[0], NULL);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_true(kernel_remembers(kernel_nic));
    refuse("", 0);
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void bound_by_others_before_it_is_routed_anew(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "driver");
    kernel_set(kernel_nic, "enable", "0\n");
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    assert_int_equal(symlink("../drivers/pci-stub", kernel_path(kernel_nic, "driver")), 0);
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(claimed[0], BUS("drivers/pci-stub/unbind"), claimed[2], claimed[3],
                      claimed[4], NULL);
    assert_int_equal(reply.facts.irq, 21);
    assert_int_equal(release(), 0);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "pci-stub");
}

static void another_stub_driver_takes_over(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_add_driver("vfio-pci");
    assert_int_equal(claim("vfio-pci"), 0);
    assert_string_equal(kernel_driver(kernel_nic), "vfio-pci");
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void a_driver_that_binds_late_is_waited_for(void **state)
{
    (void)state;
    kernel->late = true;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(CLAIMED, NULL);
    assert_string_equal(reply.driver_now, "pci-stub");
}

static void a_driver_that_does_not_take_it_undoes_everything(void **state)
{
    (void)state;
    (void)snprintf(kernel->picky, sizeof(kernel->picky), "pci-stub");
    assert_int_equal(claim("pci-stub"), -EINVAL);
    assert_says("driver pci-stub does not take it");
    kernel_assert_log(CLAIMED, BUS("drivers/pci-stub/bind"), SET("enable=0"),
                      SET("driver_override="), SET("power/control=auto"), BUS("drivers_probe"),
                      NULL);
    assert_int_equal(fd, -1);
    assert_string_equal(reply.driver_now, "e1000e");
    assert_untouched();
}

static void the_first_reason_is_told_when_undoing_fails_too(void **state)
{
    (void)state;
    (void)snprintf(kernel->picky, sizeof(kernel->picky), "pci-stub");
    refuse("drivers_probe", EIO); /* pci-stub does not get it, and e1000e not back */
    (void)unlink(kernel_path(kernel_nic, "natural"));
    assert_int_equal(claim("pci-stub"), -EINVAL);
    assert_says("driver pci-stub does not take it");
    assert_true(kernel_remembers(kernel_nic)); /* release tries again */
    refuse("", 0);
    kernel_set(kernel_nic, "natural", "e1000e\n");
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void each_step_that_fails_undoes_those_before(void **state)
{
    static const struct {
        const char *path;
        int error;
        const char *says;
    } steps[] = {
        { "driver_override", EPERM, "driver_override cannot be written" },
        { "drivers/e1000e/unbind", EBUSY, "driver e1000e does not let go" },
        { "enable", EIO, "it cannot be enabled" },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(steps); i++) {
        refuse(steps[i].path, steps[i].error);
        assert_int_equal(claim("pci-stub"), -steps[i].error);
        assert_says(steps[i].says);
        assert_int_equal(fd, -1);
        refuse("", 0);
        assert_int_equal(release(), 0); /* where even undoing was refused, the next one does it */
        assert_untouched();
    }
}

static void a_device_that_goes_while_claimed_is_ENODEV_or_unreadable(void **state)
{
    (void)state;
    kernel_remove_device(kernel_nic);
    assert_int_equal(claim("pci-stub"), -ENODEV);
    assert_says("not in the machine");
    kernel_assert_log(NULL);
    assert_false(kernel_remembers(kernel_nic));
}

static void a_missing_stub_driver_is_named(void **state)
{
    (void)state;
    assert_int_equal(claim("vfio-platform"), -ENOENT);
    assert_says("vfio-platform");
    assert_non_null(strstr(reply.next, "modprobe vfio-platform"));
    assert_string_equal(pb_bind_module("pciback"), "xen-pciback"); /* what modprobe knows */
    assert_untouched();
}

static void a_known_stub_driver_is_loaded_by_its_modules_name(void **state)
{
    (void)state;
    assert_int_equal(claim("pciback"), 0);
    assert_string_equal(kernel->log[0], "/sbin/modprobe -q xen-pciback");
    assert_string_equal(kernel_driver(kernel_nic), "pciback");
}

static void bridges_are_refused_untouched(void **state)
{
    (void)state;
    kernel_set_config(kernel_nic, 0x0e, 1, 0x81); /* multifunction, a bridge's header */
    assert_int_equal(claim("pci-stub"), -EOPNOTSUPP);
    assert_says("bridges cannot be assigned");
    kernel_assert_log(NULL);
    kernel_set_config(kernel_nic, 0x0e, 1, 0x80);
    kernel_set(kernel_nic, "class", "0x060100\n"); /* ISA: an ordinary header */
    assert_int_equal(claim("pci-stub"), -EOPNOTSUPP);
    kernel_assert_log(NULL);
    assert_untouched();
    kernel_set(kernel_nic, "class", "0x020000\n");
    assert_int_equal(claim("pci-stub"), 0);
}

static void H1_a_device_that_can_be_pulled_out_is_refused_unless_forced(void **state)
{
    (void)state;
    kernel_add_port(0x0102, 0x40);
    assert_int_equal(claim("pci-stub"), -EACCES);
    assert_says("0000:00:1c.0");
    kernel_assert_log(NULL);
    assert_untouched();
    force = true;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(CLAIMED, NULL);
}

static void H1_a_virtual_function_is_refused_unless_pciback_holds_it_or_forced(void **state)
{
    (void)state;
    assert_int_equal(symlink("../0000:02:00.0", kernel_path(kernel_nic, "physfn")), 0);
    assert_int_equal(claim("pci-stub"), -EACCES);
    assert_says("physical function's driver");
    kernel_assert_log(NULL);
    assert_untouched();
    assert_int_equal(claim("pciback"), 0);
    assert_int_equal(run(PB_JOB_RELEASE, "", ""), 0);
    force = true;
    assert_int_equal(claim("pci-stub"), 0);
}

static void nothing_is_changed_that_cannot_be_remembered(void **state)
{
    char path[160];

    (void)state;
    refuse(NIC ".new", ENOSPC);
    assert_int_equal(claim("pci-stub"), -ENOSPC);
    assert_says(kernel_lib);
    kernel_assert_log(NULL);
    assert_untouched();
    refuse("", 0);
    (void)snprintf(path, sizeof(path), "%s/devices/" NIC, kernel_lib);
    assert_int_equal(mkdir(path, 0700), 0); /* not ours */
    assert_int_equal(claim("pci-stub"), -EPROTO);
    assert_says("not readable as ours");
    kernel_assert_log(NULL);
    assert_int_equal(rmdir(path), 0);
    assert_untouched();
}

static void H19_a_claim_without_the_whole_config_is_refused(void **state)
{
    (void)state;
    kernel_add_device(kernel_nic, 64);
    assert_int_equal(claim("pci-stub"), -EPERM);
    kernel_assert_log(NULL);
}

/* --- release --- */

static void release_gives_driver_and_override_back(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(release(), 0);
    kernel_assert_log(BUS("drivers/pci-stub/unbind"), SET("enable=0"), SET("driver_override="),
                      SET("power/control=auto"), BUS("drivers_probe"), NULL);
    assert_string_equal(reply.driver_now, "e1000e");
    assert_untouched();
}

static void release_of_what_was_not_taken_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(release(), 0);
    kernel_assert_log(NULL);
    assert_string_equal(reply.driver_now, "e1000e");
    assert_untouched();
}

static void a_former_driver_that_is_gone_is_told_and_still_remembered(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_remove_driver("e1000e");
    assert_int_equal(release(), -ENOENT);
    assert_says("e1000e");
    assert_string_equal(reply.driver_now, "");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "(null)");
    assert_true(kernel_remembers(kernel_nic));
    kernel_add_driver("e1000e");
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void it_is_forgotten_only_when_all_is_back(void **state)
{
    static const char *const steps[] = { "pci-stub/unbind", "driver_override" };

    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(steps); i++) {
        refuse(steps[i], EIO);
        assert_int_equal(release(), -EIO);
        assert_true(kernel_remembers(kernel_nic));
    }
    refuse("", 0);
    (void)snprintf(kernel->picky, sizeof(kernel->picky), "e1000e");
    assert_int_equal(release(), -EINVAL);
    assert_says("its driver e1000e does not take it back");
    assert_true(kernel_remembers(kernel_nic));
    kernel->picky[0] = '\0';
    assert_int_equal(release(), 0);
    assert_untouched();
}

static void release_of_an_absent_device_forgets_it(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_remove_device(kernel_nic);
    assert_int_equal(release(), -ENODEV);
    assert_false(kernel_remembers(kernel_nic));
}

/* --- reset --- */

static void reset_sets_and_restores_the_method(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_RESET, "", "bus"), 0);
    kernel_assert_log(SET("reset_method=bus"), SET("reset=1"), SET("reset_method=flr bus"), NULL);
    assert_int_equal(pb_le32(reply.facts.config), 0x10d38086);
    assert_int_equal(reply.facts.config_size, PB_CONFIG_SIZE_PCIE);
    assert_int_equal(run(PB_JOB_RESET, "", ""), 0);
    kernel_assert_log(SET("reset=1"), NULL);
}

static void reset_with_an_impossible_method_is_not_tried(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_RESET, "", "acpi"), -EINVAL);
    assert_says("acpi");
    kernel_assert_log(SET("reset_method=acpi"), NULL);
}

static void a_failed_reset_restores_the_method_too(void **state)
{
    (void)state;
    refuse("/reset", EAGAIN);
    assert_int_equal(run(PB_JOB_RESET, "", "bus"), -EAGAIN);
    kernel_assert_log(SET("reset_method=bus"), SET("reset=1"), SET("reset_method=flr bus"), NULL);
}

static void a_device_that_cannot_be_reset_is_ENOTTY(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "reset");
    assert_int_equal(run(PB_JOB_RESET, "", ""), -ENOTTY);
    kernel_unset(kernel_nic, "reset_method");
    assert_int_equal(run(PB_JOB_RESET, "", "bus"), -ENOTTY);
}

static void a_device_dead_after_its_reset_is_ENODEV(void **state)
{
    (void)state;
    kernel->dies_in_reset = true;
    assert_int_equal(run(PB_JOB_RESET, "", ""), -ENODEV);
    assert_says("does not answer after the reset");
    kernel_remove_device(kernel_nic);
    assert_int_equal(run(PB_JOB_RESET, "", ""), -ENODEV);
}

static void a_virtual_functions_ids_do_not_make_it_dead(void **state)
{
    (void)state;
    kernel_set_config(kernel_nic, 0, 4, UINT32_MAX);
    assert_int_equal(run(PB_JOB_RESET, "", ""), 0);
}

/* --- one access --- */

static int access_config(bool write, uint16_t offset, uint8_t size, uint32_t value)
{
    struct pb_wire_request request = { .kind = PB_WIRE_ACCESS,
                                       .sbdf = kernel_nic,
                                       .write = write,
                                       .offset = offset,
                                       .size = size,
                                       .value = value };

    pb_job_run(&request, &kernel_options, &reply, &fd);
    assert_int_equal(fd, -1);
    return reply.rc;
}

static void an_access_reads_writes_and_is_timed(void **state)
{
    (void)state;
    assert_int_equal(access_config(false, 0, 2, 0), 0);
    assert_int_equal(reply.value, 0x8086);
    assert_int_equal(access_config(true, 0x40, 4, 0xdeadbeef), 0);
    assert_int_equal(access_config(false, 0x40, 4, 0), 0);
    assert_int_equal(reply.value, 0xdeadbeef);
    assert_int_equal(access_config(false, 0x42, 1, 0), 0);
    assert_int_equal(reply.value, 0xad);
    kernel->step_us = 20000;
    assert_int_equal(access_config(false, 0, 2, 0), 0);
    assert_true(reply.took_us >= 20000);
}

static void an_access_that_is_not_possible_is_an_error(void **state)
{
    (void)state;
    kernel_add_device(kernel_nic, 64);
    assert_int_equal(access_config(false, 0x40, 4, 0), -EPERM); /* H19 */
    kernel_unset(kernel_nic, "config");
    assert_int_equal(access_config(false, 0, 4, 0), -ENOENT);
    assert_int_equal(mkfifo(kernel_path(kernel_nic, "config"), 0600), 0);
    assert_int_equal(access_config(true, 0, 4, 0), -ESPIPE);
}

static void claim_under_lockdown_is_refused_untouched(void **state)
{
    char path[160];
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/kernel", kernel_sysfs);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/kernel/security", kernel_sysfs);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/kernel/security/lockdown", kernel_sysfs);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("none [integrity] confidentiality\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(claim("pci-stub"), -EPERM);
    assert_says("locked down (none [integrity] confidentiality)");
    assert_untouched();
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("[none] integrity confidentiality\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(claim("pci-stub"), 0);
}

/* A daemon that was taken over asks for anything: none of it may leave the device's directory. */
static void what_no_honest_daemon_asks_is_refused(void **state)
{
    static const struct {
        uint8_t size;
        uint16_t offset;
    } cycles[] = { { 0, 0 }, { 3, 0 }, { 8, 0 }, { 255, 0 }, { 4, 2 }, { 2, 1 }, { 4, 4096 } };
    struct pb_wire_request request = { .kind = PB_JOB_CLAIM, .sbdf = kernel_nic };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(cycles); i++) {
        assert_int_equal(access_config(false, cycles[i].offset, cycles[i].size, 0), -EINVAL);
        assert_int_equal(access_config(true, cycles[i].offset, cycles[i].size, 0), -EINVAL);
    }
    assert_int_equal(claim(""), -EINVAL);
    assert_int_equal(claim("../../../x"), -EACCES);
    assert_int_equal(claim("pci-stub\n"), -EACCES);
    assert_int_equal(claim("e1000e"), -EACCES); /* a driver, but nobody configured it */
    assert_int_equal(run(PB_JOB_RESET, "", "flr\nbus"), -EINVAL);
    assert_int_equal(run(PB_JOB_RESET, "", "wish"), -EINVAL);
    assert_int_equal(run(PB_JOB_RESET, "", "flr bu"), -EINVAL);
    memset(request.driver, 'a', sizeof(request.driver));
    pb_job_run(&request, &kernel_options, &reply, &fd);
    assert_int_equal(reply.rc, -EINVAL);
    assert_untouched();
    assert_int_equal(kernel->writes, 0);
}

static int ask(const struct pb_wire_request *request)
{
    pb_job_run(request, &kernel_options, &reply, &fd);
    assert_true(fd < 0);
    assert_true(reply.reason[0]);
    return reply.rc;
}

static void a_plugin_from_elsewhere_is_refused(void **state)
{
    static const char *const paths[] = { "/tmp/x.so",
                                         PB_FIXTURE_DIR "/../x.so",
                                         PB_FIXTURE_DIR "/sub/x.so",
                                         PB_FIXTURE_DIR "x.so",
                                         "fake.so",
                                         "" };
    struct pb_wire_request request = { .kind = PB_JOB_RESET,
                                       .sbdf = kernel_nic,
                                       .plugin_count = 1 };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(paths); i++) {
        (void)snprintf(request.plugin[0].path, sizeof(request.plugin[0].path), "%s", paths[i]);
        assert_int_equal(ask(&request), -EACCES);
        assert_says("not in a directory");
    }
    memset(request.plugin[0].path, '/', sizeof(request.plugin[0].path));
    assert_int_equal(ask(&request), -EINVAL);
    request.plugin_count = PB_JOB_PLUGINS + 1;
    assert_int_equal(ask(&request), -EINVAL);
    assert_untouched();
    assert_int_equal(kernel->writes, 0);
}

static void slots_that_are_no_addresses_are_refused(void **state)
{
    static const struct pb_slot bad[] = { { .device = 32 },
                                          { .device = -2 },
                                          { .device = 1, .function = 8 },
                                          { .device = 1, .function = -2 },
                                          { .device = -1, .function = 0 } };
    struct pb_wire_request request = { .kind = PB_JOB_SAVE_SLOTS, .slot_count = 1 };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        request.kind = PB_JOB_SAVE_SLOTS;
        request.slot[0] = bad[i];
        assert_int_equal(ask(&request), -EINVAL);
        request.kind = PB_JOB_LIST;
        assert_int_equal(ask(&request), -EINVAL);
    }
    request.kind = PB_JOB_SAVE_SLOTS;
    request.slot[0] = (struct pb_slot){ .bus = 1 };
    request.slot_count = PB_SLOTS_SAVED_MAX + 1;
    assert_int_equal(ask(&request), -EINVAL);
}

/* As it stands in memory: what is neither true nor false. */
static void a_flag_that_is_no_flag_is_refused(void **state)
{
    struct pb_wire_request request = { .kind = PB_JOB_CLAIM, .sbdf = kernel_nic };

    (void)state;
    (void)snprintf(request.driver, sizeof(request.driver), "pci-stub");
    memset(&request.force, 2, 1);
    assert_int_equal(ask(&request), -EINVAL);
    assert_untouched();
}

static void adopting_opens_and_reads_what_the_kernel_has_in_memory(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "resource"); /* nothing of it is needed */
    assert_int_equal(run(PB_JOB_ADOPT, "", ""), 0);
    assert_true(fd >= 0);
    assert_int_equal(reply.facts.vendor, 0x8086);
    assert_int_equal(reply.facts.device, 0x10d3);
    assert_string_equal(reply.driver_now, "e1000e");
    assert_int_equal(kernel->writes, 0);
    kernel_remove_device(kernel_nic);
    assert_int_equal(run(PB_JOB_ADOPT, "", ""), -ENODEV);
    assert_true(fd < 0);
}

static void an_unknown_job_is_EINVAL(void **state)
{
    (void)state;
    assert_int_equal(run((enum pb_job_kind)99, "", ""), -EINVAL);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(probe_reads_and_changes_nothing),
        RULE(probe_tells_absent_from_unreadable),
        RULE(claim_goes_in_order_and_reads_after_enable),
        RULE(a_driverless_device_is_claimed_and_given_back_so),
        RULE(somebody_elses_enable_is_kept),
        RULE(driver_none_leaves_it_without_one),
        RULE(a_restart_keeps_what_is_remembered),
        RULE(a_restart_that_fails_leaves_it_with_us),
        RULE(bound_by_others_before_it_is_routed_anew),
        RULE(another_stub_driver_takes_over),
        RULE(a_driver_that_binds_late_is_waited_for),
        RULE(a_driver_that_does_not_take_it_undoes_everything),
        RULE(the_first_reason_is_told_when_undoing_fails_too),
        RULE(each_step_that_fails_undoes_those_before),
        RULE(a_device_that_goes_while_claimed_is_ENODEV_or_unreadable),
        RULE(a_missing_stub_driver_is_named),
        RULE(a_known_stub_driver_is_loaded_by_its_modules_name),
        RULE(bridges_are_refused_untouched),
        RULE(H1_a_device_that_can_be_pulled_out_is_refused_unless_forced),
        RULE(H1_a_virtual_function_is_refused_unless_pciback_holds_it_or_forced),
        RULE(nothing_is_changed_that_cannot_be_remembered),
        RULE(H19_a_claim_without_the_whole_config_is_refused),
        RULE(release_gives_driver_and_override_back),
        RULE(release_of_what_was_not_taken_changes_nothing),
        RULE(a_former_driver_that_is_gone_is_told_and_still_remembered),
        RULE(it_is_forgotten_only_when_all_is_back),
        RULE(release_of_an_absent_device_forgets_it),
        RULE(reset_sets_and_restores_the_method),
        RULE(reset_with_an_impossible_method_is_not_tried),
        RULE(a_failed_reset_restores_the_method_too),
        RULE(a_device_that_cannot_be_reset_is_ENOTTY),
        RULE(a_device_dead_after_its_reset_is_ENODEV),
        RULE(a_virtual_functions_ids_do_not_make_it_dead),
        RULE(an_access_reads_writes_and_is_timed),
        RULE(an_access_that_is_not_possible_is_an_error),
        RULE(claim_under_lockdown_is_refused_untouched),
        RULE(what_no_honest_daemon_asks_is_refused),
        RULE(a_plugin_from_elsewhere_is_refused),
        RULE(slots_that_are_no_addresses_are_refused),
        RULE(a_flag_that_is_no_flag_is_refused),
        RULE(adopting_opens_and_reads_what_the_kernel_has_in_memory),
        RULE(an_unknown_job_is_EINVAL),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
