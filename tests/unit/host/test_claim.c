/* SPDX-License-Identifier: MIT */
/* Claims that are refused, that others disturb, and that another boot or a boot script began. */
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
#include "host/job.h"
#include "host/remember.h"
#include "kernel.h"

#define NIC            "0000:03:00.0"
#define SET(attribute) ("devices/" NIC "/" attribute)
#define BUS(file)      (file "=" NIC)
#define MARK           "boot/" NIC
#define FILE_OF_NIC    "lib/devices/" NIC
#define BEFORE         "driver=e1000e\noverride=\npower=auto\nenabled=0\n"
#define OTHER_BOOT     "boot=99999999-2222-3333-4444-555555555555\nchosen=0\n"
#define THIS_BOOT      "boot=" KERNEL_BOOT_ID "\nchosen=0\n"

static struct pb_wire_reply reply;
static int fd;
static bool force;

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

static int run(enum pb_job_kind kind, const char *driver)
{
    struct pb_wire_request request = { .kind = (uint32_t)kind, .sbdf = kernel_nic, .force = force };

    (void)snprintf(request.driver, sizeof(request.driver), "%s", driver);
    if (fd >= 0)
        (void)close(fd);
    kernel_forget_log();
    pb_job_run(&request, &kernel_options, &reply, &fd);
    assert_true(reply.rc == 0 || reply.reason[0]);
    assert_true(reply.rc != 0 || !reply.reason[0]);
    return reply.rc;
}

static int claim(const char *driver)
{
    return run(PB_JOB_CLAIM, driver);
}

static int release(void)
{
    return run(PB_JOB_RELEASE, "");
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void assert_native(void)
{
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "(null)");
    assert_false(kernel_remembers(kernel_nic));
}

static void without_driver(void)
{
    kernel_unset(kernel_nic, "driver");
    kernel_set(kernel_nic, "enable", "0\n");
}

/* --- refusals --- */

static void put_root_file_system_on_it(void)
{
    kernel_put("sys/bus/pci/devices/" NIC "/nvme/nvme0/nvme0n1/nvme0n1p2/dev", "259:2\n");
    kernel_link("sys/dev/block/259:2", "sys/bus/pci/devices/" NIC "/nvme/nvme0/nvme0n1/nvme0n1p2");
    kernel_put("proc/1/mountinfo", "20 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n");
}

static void what_the_host_needs_is_refused_with_reason_and_cure(void **state)
{
    (void)state;
    put_root_file_system_on_it();
    assert_int_equal(claim("pci-stub"), -EACCES);
    assert_string_equal(reply.reason, "the root file system is on it (nvme0n1p2)");
    assert_says(reply.next, "--force");
    kernel_assert_log(NULL);
    assert_native();
    force = true;
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(reply.surroundings.uses, 1U << PB_USE_ROOT);
}

static void what_was_claimed_by_force_is_claimed_again_without(void **state)
{
    (void)state;
    put_root_file_system_on_it();
    force = true;
    assert_int_equal(claim("pci-stub"), 0);
    force = false;
    assert_int_equal(claim("pci-stub"), 0); /* a restart */
    assert_int_equal(release(), 0);
    assert_int_equal(claim("pci-stub"), -EACCES);
}

static void H12_a_physical_function_with_virtual_ones_is_refused_unless_forced(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "sriov_numvfs", "4\n");
    assert_int_equal(claim("pci-stub"), -EACCES);
    assert_says(reply.reason, "4 virtual functions");
    assert_says(reply.next, "sriov_numvfs");
    assert_native();
    kernel_set(kernel_nic, "sriov_numvfs", "0\n");
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(release(), 0);
    kernel_set(kernel_nic, "sriov_numvfs", "4\n");
    force = true;
    assert_int_equal(claim("pci-stub"), 0);
}

static void H1_refusals_say_what_next(void **state)
{
    (void)state;
    kernel_add_port(0x0102, 0x40);
    assert_int_equal(claim("pci-stub"), -EACCES);
    assert_says(reply.next, "--force");
    assert_string_equal(reply.surroundings.port, "0000:00:1c.0");
}

static void a_change_of_driver_that_fails_leaves_it_with_us(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(claim("vfio-platform"), -ENOENT); /* a guest may have it now */
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_true(kernel_remembers(kernel_nic));
    assert_int_equal(release(), 0);
    assert_native();
}

/* --- each driver --- */

static void pciback_that_has_it_already_routed_it_itself(void **state)
{
    (void)state;
    without_driver();
    kernel_add_driver("pciback");
    kernel_set(kernel_nic, "driver_override", "pciback\n");
    kernel_set(kernel_nic, "irq", "21\n");
    assert_int_equal(symlink("../drivers/pciback", kernel_path(kernel_nic, "driver")), 0);
    assert_int_equal(claim("pciback"), 0);
    kernel_assert_log(SET("driver_override=pciback"), SET("power/control=on"), NULL);
    assert_string_equal(reply.driver_before, "pciback");
    assert_int_equal(reply.facts.irq, 21);
    assert_int_equal(release(), 0);
    assert_string_equal(kernel_driver(kernel_nic), "pciback");
    assert_false(kernel_remembers(kernel_nic));
}

static void vfio_pci_does_not_let_it_sleep(void **state)
{
    (void)state;
    kernel_add_driver("vfio-pci");
    (void)snprintf(kernel->sleepy, sizeof(kernel->sleepy), "vfio-pci");
    assert_int_equal(claim("vfio-pci"), 0);
    kernel_assert_log(SET("driver_override=vfio-pci"), BUS("drivers/e1000e/unbind"),
                      SET("enable=1"), SET("power/control=on"), BUS("drivers_probe"),
                      SET("power/control=on"), NULL);
    assert_string_equal(kernel_get(kernel_nic, "power/control"), "on");
    assert_int_equal(release(), 0);
    assert_native();
}

static void none_keeps_every_driver_away_also_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(claim("none"), 0);
    assert_int_equal(claim("none"), 0);
    kernel_assert_log(SET("driver_override=none"), SET("power/control=on"), NULL);
    assert_string_equal(reply.driver_now, "");
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(release(), 0);
    assert_native();
}

static void command_as_the_host_had_it_survives_a_restart(void **state)
{
    (void)state;
    kernel_set_config(kernel_nic, 4, 2, 0x0547); /* MSI is in use, SERR and PARITY are on */
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(reply.host_command, 0x0147);
    kernel_set_config(kernel_nic, 4, 2, 0x0403); /* as we leave it after a guest */
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(reply.host_command, 0x0147);
    assert_int_equal(release(), 0);
}

/* --- others who bind --- */

static void a_driver_that_others_bind_meanwhile_is_taken_off_again(void **state)
{
    (void)state;
    kernel_add_driver("vfio-pci");
    (void)snprintf(kernel->thief, sizeof(kernel->thief), "vfio-pci");
    kernel->thefts = 1;
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "pci-stub");
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_driver_that_others_bind_before_it_is_enabled_is_taken_off_too(void **state)
{
    (void)state;
    kernel_add_driver("vfio-pci");
    (void)snprintf(kernel->thief, sizeof(kernel->thief), "vfio-pci");
    kernel->thieves_are_early = true;
    kernel->thefts = 1;
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_int_equal(reply.facts.irq, 21); /* routed all the same */
    assert_int_equal(release(), 0);
    kernel->thefts = 1;
    assert_int_equal(claim("none"), 0);
    assert_string_equal(kernel_driver(kernel_nic), "");
}

static void one_that_others_take_each_time_is_named(void **state)
{
    (void)state;
    kernel_add_driver("vfio-pci");
    (void)snprintf(kernel->thief, sizeof(kernel->thief), "vfio-pci");
    kernel->thefts = 100;
    assert_int_equal(claim("pci-stub"), -EBUSY);
    assert_says(reply.reason, "driver vfio-pci takes it each time");
    assert_says(reply.next, "udev rule");
    assert_true(100 - kernel->thefts <= 8); /* and that is the end of it */
    kernel->thefts = 0;
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_driver_that_lets_go_by_itself_is_no_error(void **state)
{
    (void)state;
    kernel->lets_go_first = true; /* somebody else unbinds it a moment earlier */
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
}

static void one_that_is_taken_while_given_back_is_told(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    kernel_add_driver("vfio-pci");
    (void)snprintf(kernel->thief, sizeof(kernel->thief), "vfio-pci");
    kernel->thefts = 100;
    assert_int_equal(release(), -EBUSY);
    assert_says(reply.reason, "driver vfio-pci takes it each time before its own, e1000e");
    assert_true(kernel_remembers(kernel_nic));
    kernel->thefts = 0;
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_device_that_goes_in_the_middle_is_ENODEV_and_forgotten(void **state)
{
    static const char *const steps[] = { "unbind", "enable", "drivers_probe" };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(steps); i++) {
        (void)snprintf(kernel->pulled_at, sizeof(kernel->pulled_at), "%s", steps[i]);
        assert_int_equal(claim("pci-stub"), -ENODEV);
        assert_says(reply.reason, "it went while it was claimed");
        assert_false(kernel_remembers(kernel_nic));
        kernel->pulled_at[0] = '\0';
        kernel_add_device(kernel_nic, PB_CONFIG_SIZE_PCIE);
        kernel_bind(kernel_nic, "e1000e");
    }
    assert_int_equal(claim("pci-stub"), 0);
    (void)snprintf(kernel->pulled_at, sizeof(kernel->pulled_at), "driver_override");
    assert_int_equal(release(), -ENODEV);
    assert_says(reply.reason, "it went while it was given back");
    assert_false(kernel_remembers(kernel_nic));
}

/* --- other boots --- */

static void remembered(const char *text)
{
    kernel_put(FILE_OF_NIC, text);
}

static void the_file_of_another_boot_tells_the_driver_only(void **state)
{
    struct pb_remembered was;

    (void)state;
    remembered("driver=e1000e\noverride=vfio-pci\npower=on\nenabled=1\nids=8086:10d3\n" OTHER_BOOT);
    kernel_set(kernel_nic, "natural", "e1000e\n");
    without_driver();
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(pb_remember_load(kernel_lib, NIC, &was), 0);
    assert_string_equal(was.boot, KERNEL_BOOT_ID);
    assert_string_equal(was.override, "");
    assert_string_equal(was.power, "auto");
    assert_false(was.enabled);
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_driver_that_it_has_now_beats_what_another_boot_says(void **state)
{
    (void)state;
    remembered(
        "driver=vfio-pci\noverride=vfio-pci\npower=auto\nenabled=0\nids=8086:10d3\n" OTHER_BOOT);
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(release(), 0);
    assert_native();
}

static void release_changes_nothing_for_the_file_of_another_boot(void **state)
{
    (void)state;
    remembered(BEFORE "ids=8086:10d3\n" OTHER_BOOT);
    assert_int_equal(release(), 0);
    kernel_assert_log(NULL);
    assert_true(kernel_remembers(kernel_nic));
}

static void the_file_of_another_device_restores_nothing_and_says_so(void **state)
{
    (void)state;
    remembered("driver=nvme\noverride=\npower=auto\nenabled=0\nids=144d:a808\n" THIS_BOOT);
    assert_int_equal(release(), -ESTALE);
    assert_says(reply.reason, "another device (144d:a808)");
    kernel_assert_log(NULL);
    assert_int_equal(release(), 0);
    assert_native();
    remembered("driver=nvme\noverride=\npower=auto\nenabled=0\nids=144d:a808\n" THIS_BOOT);
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_file_of_the_first_version_is_still_good(void **state)
{
    (void)state;
    assert_int_equal(claim("pci-stub"), 0);
    remembered(BEFORE);
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(SET("driver_override=pci-stub"), SET("power/control=on"), NULL);
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_crash_between_two_steps_is_given_back_right(void **state)
{
    (void)state;
    /* remembered and overridden, and then the machine's helper died */
    remembered(BEFORE "ids=8086:10d3\n" THIS_BOOT);
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    assert_int_equal(release(), 0);
    assert_native();
    /* the same, unbound too */
    remembered(BEFORE "ids=8086:10d3\n" THIS_BOOT);
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    without_driver();
    assert_int_equal(release(), 0);
    assert_native();
}

/* --- boot scripts --- */

static void what_a_boot_script_kept_back_goes_to_the_kernels_choice(void **state)
{
    (void)state;
    without_driver();
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    kernel_put(MARK, "");
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "");
    assert_int_equal(claim("pci-stub"), 0); /* a restart forgets nothing of it */
    assert_int_equal(release(), 0);
    kernel_assert_log(BUS("drivers/pci-stub/unbind"), SET("enable=0"), SET("driver_override="),
                      SET("power/control=auto"), BUS("drivers_probe"), NULL);
    assert_string_equal(reply.driver_now, "e1000e");
    assert_native();
    /* the script's mark is used up: what anybody overrides now is his own */
    kernel_set(kernel_nic, "driver_override", "vfio-pci\n");
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(release(), 0);
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "vfio-pci");
}

/* The line is routed only between two drivers (the kernel's `enable` says busy while one is bound).
 */
static void a_stub_that_was_bound_at_boot_lets_go_once_for_the_line(void **state)
{
    (void)state;
    without_driver();
    kernel_set(kernel_nic, "irq", "10\n");
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    kernel_put(MARK, "");
    assert_int_equal(symlink("../drivers/pci-stub", kernel_path(kernel_nic, "driver")), 0);
    assert_int_equal(claim("pci-stub"), 0);
    kernel_assert_log(SET("driver_override=pci-stub"), BUS("drivers/pci-stub/unbind"),
                      SET("enable=1"), SET("power/control=on"), BUS("drivers_probe"), NULL);
    assert_int_equal(reply.facts.irq, 21);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_int_equal(claim("pci-stub"), 0); /* a restart */
    kernel_assert_log(SET("driver_override=pci-stub"), SET("power/control=on"), NULL);
    assert_int_equal(reply.facts.irq, 21);
    assert_int_equal(release(), 0);
    assert_native();
}

static void the_driver_that_another_boot_saw_is_told_and_the_kernel_chooses(void **state)
{
    (void)state;
    remembered("driver=igb\noverride=\npower=auto\nenabled=0\nids=8086:10d3\n" OTHER_BOOT);
    without_driver();
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    kernel_put(MARK, "");
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "igb");
    assert_int_equal(release(), 0);
    assert_native();
}

static void a_kernel_that_chooses_none_is_fine_too(void **state)
{
    (void)state;
    without_driver();
    kernel_set(kernel_nic, "natural", "\n");
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    kernel_put(MARK, "");
    assert_int_equal(claim("pci-stub"), 0);
    assert_int_equal(release(), 0);
    assert_string_equal(reply.driver_now, "");
    assert_string_equal(kernel_get(kernel_nic, "driver_override"), "(null)");
    assert_false(kernel_remembers(kernel_nic));
}

static void a_boot_script_that_came_too_late_changes_nothing(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "driver_override", "pci-stub\n"); /* e1000e has it already */
    kernel_put(MARK, "");
    assert_int_equal(claim("pci-stub"), 0);
    assert_string_equal(reply.driver_before, "e1000e");
    assert_int_equal(release(), 0);
    assert_native();
}

/* --- open --- */

static void open_changes_nothing_and_hands_the_device_over(void **state)
{
    (void)state;
    kernel_add_driver("pciback");
    without_driver();
    assert_int_equal(symlink("../drivers/pciback", kernel_path(kernel_nic, "driver")), 0);
    assert_int_equal(run(PB_JOB_OPEN, ""), 0);
    kernel_assert_log(NULL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    assert_string_equal(reply.driver_now, "pciback");
    assert_int_equal(reply.facts.device, 0x10d3);
    assert_string_equal(reply.surroundings.path, NIC);
    assert_false(kernel_remembers(kernel_nic));
}

/* A journal that was lost must not cost the host what its driver had set. */
static void open_says_what_the_claim_of_this_boot_has_noted(void **state)
{
    (void)state;
    kernel_set_config(kernel_nic, 4, 2, 0x0547);
    assert_int_equal(run(PB_JOB_CLAIM, "pci-stub"), 0);
    kernel_set_config(kernel_nic, 4, 2, 0x0003);
    assert_int_equal(run(PB_JOB_OPEN, ""), 0);
    assert_int_equal(reply.host_command, 0x0147);
    assert_string_equal(reply.driver_before, "e1000e");
}

static void open_of_an_absent_device_or_a_bridge_is_refused(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "class", "0x060400\n");
    assert_int_equal(run(PB_JOB_OPEN, ""), -EOPNOTSUPP);
    kernel_remove_device(kernel_nic);
    assert_int_equal(run(PB_JOB_OPEN, ""), -ENODEV);
    assert_int_equal(fd, -1);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(what_the_host_needs_is_refused_with_reason_and_cure),
        RULE(what_was_claimed_by_force_is_claimed_again_without),
        RULE(H12_a_physical_function_with_virtual_ones_is_refused_unless_forced),
        RULE(H1_refusals_say_what_next),
        RULE(a_change_of_driver_that_fails_leaves_it_with_us),
        RULE(pciback_that_has_it_already_routed_it_itself),
        RULE(vfio_pci_does_not_let_it_sleep),
        RULE(command_as_the_host_had_it_survives_a_restart),
        RULE(none_keeps_every_driver_away_also_after_a_restart),
        RULE(a_driver_that_others_bind_meanwhile_is_taken_off_again),
        RULE(a_driver_that_others_bind_before_it_is_enabled_is_taken_off_too),
        RULE(one_that_others_take_each_time_is_named),
        RULE(a_driver_that_lets_go_by_itself_is_no_error),
        RULE(one_that_is_taken_while_given_back_is_told),
        RULE(a_device_that_goes_in_the_middle_is_ENODEV_and_forgotten),
        RULE(the_file_of_another_boot_tells_the_driver_only),
        RULE(a_driver_that_it_has_now_beats_what_another_boot_says),
        RULE(release_changes_nothing_for_the_file_of_another_boot),
        RULE(the_file_of_another_device_restores_nothing_and_says_so),
        RULE(a_file_of_the_first_version_is_still_good),
        RULE(a_crash_between_two_steps_is_given_back_right),
        RULE(what_a_boot_script_kept_back_goes_to_the_kernels_choice),
        RULE(a_stub_that_was_bound_at_boot_lets_go_once_for_the_line),
        RULE(the_driver_that_another_boot_saw_is_told_and_the_kernel_chooses),
        RULE(a_kernel_that_chooses_none_is_fine_too),
        RULE(a_boot_script_that_came_too_late_changes_nothing),
        RULE(open_changes_nothing_and_hands_the_device_over),
        RULE(open_says_what_the_claim_of_this_boot_has_noted),
        RULE(open_of_an_absent_device_or_a_bridge_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
