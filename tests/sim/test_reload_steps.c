/* SPDX-License-Identifier: MIT */
/*
 * A reload in steps, and what may happen between two of them. Two guests have a device each: the
 * first of the list is the hostile guest's, the last is the other's.
 */
#include "hostile_world.h"

#include <string.h>

#include "backend/profile.h"
#include "quirk/set.h"

#define NIC_AT  0x68 /* no capability's */
#define DISK_AT 0x50
#define DISK    "0000:00:06.0"
#define NIC     "0000:00:05.0"

#define QUIRK(id, vendor, what)                                                           \
    "{ \"id\": \"" id "\", \"reason\": \"a test\", \"source\": \"https://example.org/\"," \
    " \"match\": { \"vendor\": \"" vendor "\" }, " what " }"
#define FIELD(at, value)                                                    \
    "\"fields\": [ { \"at\": \"" at "\", \"size\": 4, \"why\": \"a test\"," \
    " \"fixed\": \"0xffffffff\", \"value\": \"" value "\" } ]"
#define MANIFEST(quirks) "{ \"schema\": 1, \"quirks\": [ " quirks " ] }"

static const char good[] = MANIFEST(QUIRK("nic", "0x8086", FIELD("0x68", "0x11")) ", " QUIRK(
    "disk", "0x1b36", FIELD("0x50", "0x22")));
/* its capability lies upon another one */
static const char bad_for_the_last[] =
    MANIFEST(QUIRK("nic", "0x8086", FIELD("0x68", "0x11")) ", " QUIRK(
        "disk", "0x1b36",
        "\"capabilities\": { \"add\": [ { \"at\": \"0x84\","
        " \"id\": \"vendor\", \"bytes\": \"0000\" } ] }"));

static struct hostile *h;
static struct pb_device *disk;
static struct pb_reload *reload;
static struct pb_quirk_set *quirks;
static struct pb_policy *policy;
static unsigned visits[2]; /* nic, disk */

static int setup(void **state)
{
    assert_int_equal(hostile_setup(state), 0);
    h = *state;
    disk = TAILQ_FIRST(&pb_guest_find(h->b, OTHER)->devices);
    return 0;
}

static void begin(const char *manifest)
{
    static const struct pb_quirk_sources sources = { .any_owner = true };

    quirks = pb_quirk_set_parse(manifest, strlen(manifest), "50-test.json", &sources);
    assert_non_null(quirks);
    assert_int_equal(pb_quirk_set_errors(quirks), 0);
    policy = pb_policy_copy(h->b->policy);
    assert_non_null(policy);
    reload = pb_backend_reload_begin(h->b, policy, quirks);
    assert_non_null(reload);
    memset(visits, 0, sizeof(visits));
}

static void visit(void *ctx, const struct pb_device_view *view, const struct pb_profile *from,
                  const struct pb_profile *to)
{
    (void)ctx;
    assert_ptr_not_equal(from, to);
    visits[pb_sbdf_equal(view->sbdf, disk->sbdf)]++;
}

static int step(unsigned max)
{
    char why[480] = "";
    int rc = pb_backend_reload_step(reload, max, visit, NULL, why, sizeof(why));

    assert_true(rc < 0 ? strstr(why, "\"disk\" of 50-test.json") != NULL : why[0] == '\0');
    return rc;
}

static void discard(void)
{
    pb_backend_reload_discard(reload);
    pb_policy_free(policy);
    free(policy);
    pb_quirk_set_unref(quirks);
    assert_null(h->dev->prepared);
    assert_null(disk->prepared);
}

static uint32_t read_nic(void)
{
    assert_int_equal(hostile_access(h, false, NIC_AT, 4, 0), 0);
    return h->last.value;
}

/* What DEV's rules are, as a guest of its own would be told. */
static uint32_t rule_of(const struct pb_device *dev, unsigned at)
{
    return pb_le_get(dev->profile->map->fixed + at, 4) &
           pb_le_get(dev->profile->map->value + at, 4);
}

static void ended(void *ctx, const struct pb_failure *failure)
{
    if (failure)
        fail_msg("%s: %s", failure->device, failure->reason);
    *(bool *)ctx = true;
}

static void wait_for(const bool *flag)
{
    for (unsigned i = 0; i < 100000 && !*flag; i++)
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(*flag);
}

static void end_guest(void)
{
    sim_domain_destroy(h->w, h->dom, true);
    h->dom = h->other;
    for (unsigned i = 0; i < 100000 && (h->dev->guest || h->dev->task); i++)
        ev_run(h->loop, EVRUN_ONCE);
    assert_int_equal(h->dev->state, PB_DEVICE_CLAIMED);
}

static void claim_anew(void)
{
    bool released = false, claimed = false;

    pb_backend_release(h->b, NIC, false, ended, &released);
    wait_for(&released);
    pb_backend_claim(h->b, NIC, false, ended, &claimed);
    wait_for(&claimed);
}

static void a_step_compiles_so_many_and_guests_are_served_by_the_old_rules(void **state)
{
    (void)state;
    begin(good);
    assert_int_equal(read_nic(), 0);
    assert_int_equal(step(1), 1);
    assert_int_equal(visits[0] + visits[1], 1);
    assert_int_equal(read_nic(), 0);
    assert_int_equal(rule_of(h->dev, NIC_AT), 0);
    assert_int_equal(step(1), 0);
    assert_int_equal(visits[0], 1);
    assert_int_equal(visits[1], 1);
    assert_int_equal(read_nic(), 0);
    assert_int_equal(rule_of(disk, DISK_AT), 0);
    assert_int_equal(pb_backend_generation(h->b), 1);
    assert_int_equal(step(1), 0); /* nothing has changed since */
    assert_int_equal(visits[0] + visits[1], 2);
    pb_backend_reload_commit(reload);
    assert_int_equal(pb_backend_generation(h->b), 2);
    assert_int_equal(read_nic(), 0x11);
    assert_int_equal(rule_of(disk, DISK_AT), 0x22);
}

static void nothing_is_compiled_in_a_step_for_none(void **state)
{
    (void)state;
    begin(good);
    assert_int_equal(step(0), 1);
    assert_int_equal(visits[0] + visits[1], 0);
    discard();
}

static void one_that_fails_last_keeps_the_old_rules_for_all(void **state)
{
    const struct pb_profile *nic_had = h->dev->profile, *disk_had = disk->profile;

    (void)state;
    begin(bad_for_the_last);
    assert_int_equal(step(1), 1);
    assert_true(step(1) < 0);
    discard();
    assert_ptr_equal(h->dev->profile, nic_had);
    assert_ptr_equal(disk->profile, disk_had);
    assert_int_equal(pb_backend_generation(h->b), 1);
    assert_int_equal(read_nic(), 0);
    begin(good);
    assert_int_equal(step(9), 0);
    pb_backend_reload_commit(reload);
    assert_int_equal(read_nic(), 0x11);
}

static void discarding_half_way_changes_nothing(void **state)
{
    (void)state;
    begin(good);
    assert_int_equal(step(1), 1);
    discard();
    assert_int_equal(read_nic(), 0);
    assert_int_equal(pb_backend_generation(h->b), 1);
}

static void a_guest_that_ends_between_steps_leaves_its_device_to_the_new_rules(void **state)
{
    (void)state;
    begin(good);
    assert_int_equal(step(1), 1);
    end_guest();
    assert_int_equal(rule_of(h->dev, NIC_AT), 0);
    assert_int_equal(step(1), 0);
    pb_backend_reload_commit(reload);
    assert_int_equal(rule_of(h->dev, NIC_AT), 0x11);
    assert_int_equal(rule_of(disk, DISK_AT), 0x22);
}

static void a_device_that_is_claimed_anew_is_compiled_anew(void **state)
{
    (void)state;
    end_guest();
    begin(good);
    assert_int_equal(step(2), 0);
    claim_anew();
    assert_int_equal(rule_of(h->dev, NIC_AT), 0);
    assert_int_equal(step(1), 0);
    assert_int_equal(visits[0], 2);
    assert_int_equal(visits[1], 1);
    pb_backend_reload_commit(reload);
    assert_int_equal(rule_of(h->dev, NIC_AT), 0x11);
}

static void a_device_that_is_claimed_between_steps_is_compiled_too(void **state)
{
    bool released = false, claimed = false;

    (void)state;
    end_guest();
    pb_backend_release(h->b, NIC, false, ended, &released);
    wait_for(&released);
    begin(good);
    assert_int_equal(step(1), 0);
    assert_int_equal(visits[0], 0);
    pb_backend_claim(h->b, NIC, false, ended, &claimed);
    wait_for(&claimed);
    assert_int_equal(step(1), 0);
    assert_int_equal(visits[0], 1);
    pb_backend_reload_commit(reload);
    assert_int_equal(rule_of(h->dev, NIC_AT), 0x11);
}

static void a_device_that_is_released_between_steps_has_no_rules(void **state)
{
    bool released = false;

    (void)state;
    end_guest();
    begin(good);
    assert_int_equal(step(1), 1);
    pb_backend_release(h->b, NIC, false, ended, &released);
    wait_for(&released);
    assert_int_equal(step(1), 0);
    pb_backend_reload_commit(reload);
    assert_null(h->dev->profile);
    assert_int_equal(rule_of(disk, DISK_AT), 0x22);
}

/* Whoever commits does so at once; should something come between, no device has the old rules. */
static void a_claim_before_the_commit_is_compiled_by_it(void **state)
{
    (void)state;
    end_guest();
    begin(good);
    assert_int_equal(step(2), 0);
    claim_anew();
    pb_backend_reload_commit(reload);
    assert_int_equal(visits[0], 1);
    assert_int_equal(rule_of(h->dev, NIC_AT), 0x11);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, hostile_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_step_compiles_so_many_and_guests_are_served_by_the_old_rules),
        TEST(nothing_is_compiled_in_a_step_for_none),
        TEST(one_that_fails_last_keeps_the_old_rules_for_all),
        TEST(discarding_half_way_changes_nothing),
        TEST(a_guest_that_ends_between_steps_leaves_its_device_to_the_new_rules),
        TEST(a_device_that_is_claimed_anew_is_compiled_anew),
        TEST(a_device_that_is_claimed_between_steps_is_compiled_too),
        TEST(a_device_that_is_released_between_steps_has_no_rules),
        TEST(a_claim_before_the_commit_is_compiled_by_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
