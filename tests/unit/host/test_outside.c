/* SPDX-License-Identifier: MIT */
/* Jobs that are of no single device. */
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
#include "kernel.h"

#define NIC    "0000:03:00.0"
#define BEFORE "driver=e1000e\noverride=\npower=auto\nenabled=0\n"
#define THIS   "boot=" KERNEL_BOOT_ID "\nchosen=0\n"
#define OTHER  "boot=9\nchosen=0\n"

static struct pb_wire_request request;
static struct pb_wire_reply reply;
static struct pb_host_options options;

static int setup(void **state)
{
    int rc = kernel_setup(state);

    memset(&request, 0, sizeof(request));
    options = kernel_options;
    return rc;
}

static int run(enum pb_job_kind kind)
{
    int fd;

    request.kind = (uint32_t)kind;
    pb_job_run(&request, &options, &reply, &fd);
    assert_int_equal(fd, -1);
    assert_true(reply.rc == 0 || (reply.reason[0] && reply.next[0]));
    return reply.rc;
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* --- what is there --- */

static void list(const char *slot)
{
    assert_true(pb_slot_parse(slot, &request.slot[0]));
    request.slot_count = 1;
    assert_int_equal(run(PB_JOB_LIST), 0);
}

static void a_star_lists_what_is_there_and_nothing_else(void **state)
{
    (void)state;
    kernel_put("sys/bus/pci/devices/0000:03:00.1/vendor", "0x8086\n");
    kernel_put("sys/bus/pci/devices/0000:03:1f.7/vendor", "0x8086\n");
    kernel_put("sys/bus/pci/devices/0001:03:00.0/vendor", "0x8086\n");
    kernel_put("sys/bus/pci/devices/0000:04:00.0/vendor", "0x8086\n");
    kernel_put("sys/bus/pci/devices/rubbish/vendor", "0x8086\n");
    list("0000:03:*.*");
    assert_int_equal(reply.listed_count, 3);
    assert_true(pb_sbdf_equal(reply.listed[0], kernel_nic));
    assert_int_equal(reply.listed[1].devfn, 0x01);
    assert_int_equal(reply.listed[2].devfn, 0xff);
    list("0000:03:00.*");
    assert_int_equal(reply.listed_count, 2);
    list("0000:05:*.*");
    assert_int_equal(reply.listed_count, 0);
}

/* --- remembered --- */

static void what_this_boot_claimed_is_listed_in_order(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_REMEMBERED), 0); /* without any directory */
    assert_int_equal(reply.listed_count, 0);
    kernel_put("lib/devices/0000:05:00.0", BEFORE "ids=8086:10d3\n" THIS); /* away now */
    kernel_put("lib/devices/" NIC, BEFORE "ids=8086:10d3\n" THIS);
    kernel_unset(kernel_nic, "driver");
    kernel_put("lib/devices/0000:04:00.0", BEFORE "ids=8086:10d3\n" OTHER);
    kernel_put("lib/devices/0000:06:00.0", "purple");
    kernel_put("lib/devices/0000:07:00.0.new", BEFORE "ids=8086:10d3\n" THIS);
    kernel_put("lib/devices/7:0.0", BEFORE "ids=8086:10d3\n" THIS);
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, 2);
    assert_true(pb_sbdf_equal(reply.listed[0], kernel_nic));
    assert_int_equal(reply.listed[1].bus, 5);
}

static void another_device_at_that_address_is_not_listed(void **state)
{
    (void)state;
    kernel_put("lib/devices/" NIC, BEFORE "ids=144d:a808\n" THIS);
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, 0);
}

static void one_that_was_given_back_by_hand_is_not_listed(void **state)
{
    (void)state;
    kernel_put("lib/devices/" NIC, BEFORE "ids=8086:10d3\n" THIS);
    assert_int_equal(run(PB_JOB_REMEMBERED), 0); /* e1000e has it */
    assert_int_equal(reply.listed_count, 0);
    kernel_unset(kernel_nic, "driver");
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, 1);
    kernel_put("lib/devices/" NIC, "driver=pci-stub\noverride=pci-stub\npower=auto\nenabled=0\n"
                                   "ids=8086:10d3\n" THIS);
    assert_int_equal(symlink("../drivers/pci-stub", kernel_path(kernel_nic, "driver")), 0);
    assert_int_equal(run(PB_JOB_REMEMBERED), 0); /* had been a stub's before */
    assert_int_equal(reply.listed_count, 1);
}

static void a_first_version_is_listed_while_the_device_differs(void **state)
{
    (void)state;
    kernel_put("lib/devices/" NIC, BEFORE); /* as after a reboot */
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, 0);
    kernel_set(kernel_nic, "driver_override", "pci-stub\n");
    kernel_unset(kernel_nic, "driver");
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, 1);
}

static void a_full_list_is_cut(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PB_LISTED_MAX + 8; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "lib/devices/0001:%02x:%02x.0", i >> 5, i & 0x1f);
        kernel_put(path, BEFORE "ids=8086:10d3\n" THIS);
    }
    assert_int_equal(run(PB_JOB_REMEMBERED), 0);
    assert_int_equal(reply.listed_count, PB_LISTED_MAX);
}

/* --- Linux's backend --- */

#define BUS "sys/bus/xen-backend/"

static void the_kernel_stays_away_when_its_backend_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
    kernel_put(BUS "drivers_autoprobe", "1\n");
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
    kernel_put(BUS "drivers/vif/bind", "");
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
}

static void a_backend_that_is_not_kept_away_is_told_with_the_cure(void **state)
{
    (void)state;
    kernel_put(BUS "drivers/xen-pciback/bind", "");
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), -EBUSY); /* unreadable counts as on */
    kernel_put(BUS "drivers_autoprobe", "1\n");
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), -EBUSY);
    assert_says(reply.reason, "xen-pciback");
    assert_says(reply.next, "drivers_autoprobe");
    kernel_put(BUS "drivers_autoprobe", "0\n");
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
}

static void a_node_that_it_has_is_told_for_that_domain_only(void **state)
{
    (void)state;
    kernel_put(BUS "drivers_autoprobe", "0\n");
    kernel_put(BUS "devices/pci-7-0/driver/x", "");
    kernel_put(BUS "devices/pci-8-0/nodename", "");
    request.domid = 7;
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), -EBUSY);
    assert_says(reply.reason, "domain 7");
    assert_says(reply.next, "pci-7-0");
    request.domid = 8;
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
    request.domid = 0;
    assert_int_equal(run(PB_JOB_KERNEL_STAYS_AWAY), 0);
}

/* --- slots --- */

static void slot(const char *text)
{
    assert_true(pb_slot_parse(text, &request.slot[request.slot_count++]));
}

static const char *saved(void)
{
    static char text[512];
    char path[128];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/90-slots.json", kernel_config);
    f = fopen(path, "re");
    if (!f)
        return NULL;
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

static void slots_are_saved_for_everybody_to_read(void **state)
{
    char path[128];
    struct stat st;

    (void)state;
    slot("05:02.0");
    slot("0000:06:00.*");
    slot("0001:07:*.*");
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), 0);
    assert_string_equal(saved(), "{\n  \"slots\": [\n    \"0000:05:02.0\",\n    \"0000:06:00.*\",\n"
                                 "    \"0001:07:*.*\"\n  ]\n}\n");
    (void)snprintf(path, sizeof(path), "%s/90-slots.json", kernel_config);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    (void)snprintf(path, sizeof(path), "%s/.90-slots.json.new", kernel_config);
    assert_int_equal(access(path, F_OK), -1);
}

static void no_slots_are_no_file(void **state)
{
    (void)state;
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), 0); /* without any directory */
    slot("05:02.0");
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), 0);
    assert_non_null(saved());
    request.slot_count = 0;
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), 0);
    assert_null(saved());
}

static void slots_that_cannot_be_saved_leave_the_old_ones(void **state)
{
    char old[512];

    (void)state;
    slot("05:02.0");
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), 0);
    (void)snprintf(old, sizeof(old), "%s", saved());
    (void)snprintf(kernel->refuse, sizeof(kernel->refuse), ".90-slots.json.new");
    kernel->refuse_errno = ENOSPC;
    slot("06:02.0");
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), -ENOSPC);
    assert_says(reply.reason, "90-slots.json");
    assert_string_equal(saved(), old);
    options.config_dir = "";
    assert_int_equal(run(PB_JOB_SAVE_SLOTS), -EINVAL);
    assert_says(reply.reason, ".json");
}

static void more_slots_than_there_is_room_for_are_refused(void **state)
{
    int fd;

    (void)state;
    request.kind = PB_JOB_SAVE_SLOTS;
    request.slot_count = PB_SLOTS_SAVED_MAX + 1;
    pb_job_run(&request, &options, &reply, &fd);
    assert_int_equal(reply.rc, -EINVAL);
    request.kind = PB_JOB_LIST;
    request.slot_count = 2;
    pb_job_run(&request, &options, &reply, &fd);
    assert_int_equal(reply.rc, -EINVAL);
    request.kind = PB_JOB_PROBE;
    request.slot_count = 1;
    pb_job_run(&request, &options, &reply, &fd);
    assert_int_equal(reply.rc, -EINVAL);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, kernel_teardown)
    const struct CMUnitTest tests[] = {
        RULE(a_star_lists_what_is_there_and_nothing_else),
        RULE(what_this_boot_claimed_is_listed_in_order),
        RULE(another_device_at_that_address_is_not_listed),
        RULE(one_that_was_given_back_by_hand_is_not_listed),
        RULE(a_first_version_is_listed_while_the_device_differs),
        RULE(a_full_list_is_cut),
        RULE(the_kernel_stays_away_when_its_backend_is_not_there),
        RULE(a_backend_that_is_not_kept_away_is_told_with_the_cure),
        RULE(a_node_that_it_has_is_told_for_that_domain_only),
        RULE(slots_are_saved_for_everybody_to_read),
        RULE(no_slots_are_no_file),
        RULE(slots_that_cannot_be_saved_leave_the_old_ones),
        RULE(more_slots_than_there_is_room_for_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
