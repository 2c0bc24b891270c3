/* SPDX-License-Identifier: MIT */
/* Capability lists as a guest finds them, walked as a guest walks them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/caps.h"
#include "pci/regs.h"

static const struct pb_traits none;
static struct pb_facts facts;
static struct pb_layout layout;
static struct pb_caps caps;
static size_t bad;

/* A PCI Express function with extended capabilities that a guest must not have. */
#define EXT_DSN   0x140
#define EXT_ATS   0x150
#define EXT_SRIOV 0x160
#define EXT_VSEC  0x1a0
static void with_dangerous_ones(void)
{
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + EXT_DSN, 4, EXT_ATS << 20 | 0x10003);
    pb_le_put(facts.config + EXT_ATS, 4, EXT_SRIOV << 20 | 0x1000fU);
    pb_le_put(facts.config + EXT_ATS + 4, 4, 0x80000020);
    pb_le_put(facts.config + EXT_SRIOV, 4, EXT_VSEC << 20 | 0x10010U);
    memset(facts.config + EXT_SRIOV + 4, 0x11, 0x3c);
    pb_le_put(facts.config + EXT_VSEC, 4, 0x0001000b);
    pb_le_put(facts.config + EXT_VSEC + 4, 4, 0x01012345);
}

static void build(const struct pb_traits *traits, const struct pb_cap_edit *edits, size_t count)
{
    pb_test_device_free(dev);
    dev = pb_test_device_with(&facts, traits, edits, count);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(pb_caps_edit(&facts, &layout, traits, edits, count, &caps, &bad), 0);
}

static int refused(const struct pb_cap_edit *edits, size_t count)
{
    bad = 99;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    return pb_caps_edit(&facts, &layout, &none, edits, count, &caps, &bad);
}

/* "pm@c8 msi@d0", as a guest would say. */
static const char *walk(void)
{
    static char text[1024];
    unsigned at, turns = 0;
    size_t n = 0;

    text[0] = '\0';
    if (!(pb_test_read(dev, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
        return "no list";
    for (at = pb_test_read(dev, PCI_CAPABILITIES, 1); at;
         at = pb_test_read(dev, (int32_t)at + 1, 1)) {
        const char *name = pb_cap_name(false, (uint16_t)pb_test_read(dev, (int32_t)at, 1));

        assert_true(at >= PCI_HEADER_END && at % 4 == 0 && turns++ < 48);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s@%x", n ? " " : "",
                              name ? name : "?", at);
    }
    return text;
}

static const char *walk_extended(void)
{
    static char text[1024];
    unsigned at = PCI_EXT_CAPABILITIES, turns = 0;
    size_t n = 0;

    text[0] = '\0';
    while (at) {
        uint32_t header = pb_test_read(dev, (int32_t)at, 4);
        const char *name = pb_cap_name(true, (uint16_t)header);

        assert_true(turns++ < 480);
        if (header == 0 || header == UINT32_MAX)
            break;
        if (header & 0xfffff)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s@%x", n ? " " : "",
                                  name ? name : "?", at);
        at = header >> 20 & 0xffc;
    }
    return text;
}

/* Neither permissive mode nor a later rule opens it. */
static void check_dead(unsigned from, unsigned end)
{
    dev->view.permissive = true;
    for (unsigned at = from; at < end; at++) {
        const struct pb_rule open = { .offset = (uint16_t)at, .size = 1, .write = 1 };

        assert_int_equal(pb_map_apply(dev->map, &open, 1, &bad), -EPERM);
        assert_int_equal(pb_test_read(dev, (int32_t)at, 1), 0);
        assert_int_equal(pb_test_write(dev, (int32_t)at, 1, 0xff), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
    dev->view.permissive = false;
}

/* ---- names and tables --------------------------------------------------------------------------
 */

static void every_name_finds_its_id_again(void **state)
{
    unsigned standard = 0, extended = 0;

    (void)state;
    for (unsigned id = 0; id <= UINT16_MAX; id++) {
        for (unsigned ext = 0; ext < 2; ext++) {
            const char *name = pb_cap_name(ext, (uint16_t)id);

            if (!name)
                continue;
            assert_int_equal(pb_cap_by_name(ext, name), id);
            standard += !ext;
            extended += ext;
        }
    }
    assert_true(standard >= 21 && extended >= 45);
    assert_int_equal(pb_cap_by_name(false, "msi"), PCI_CAP_MSI);
    assert_int_equal(pb_cap_by_name(true, "sriov"), 0x10);
    assert_int_equal(pb_cap_by_name(true, "phy16"), 0x26);
    assert_int_equal(pb_cap_by_name(false, "sriov"), -1);
    assert_int_equal(pb_cap_by_name(true, "msi"), -1);
    assert_int_equal(pb_cap_by_name(true, ""), -1);
    assert_null(pb_cap_name(false, 0x77));
}

static void what_is_hidden_by_default_has_a_reason(void **state)
{
    /* SLOTID, CHSWP, DBG, CCRC, SHPC, SSVID, AGP3, SECDEV */
    static const uint16_t standard[] = { 0x04, 0x06, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };
    /* RC link, internal link and events, RCRB, CAC, ARI, ATS, SR-IOV, MR-IOV, PRI, Resizable BAR,
     * secondary PCIe, PMUX, PASID, VF Resizable BAR */
    static const uint16_t extended[] = { 0x05, 0x06, 0x07, 0x0a, 0x0c, 0x0e, 0x0f, 0x10,
                                         0x11, 0x13, 0x15, 0x19, 0x1a, 0x1b, 0x24 };
    unsigned count = 0;

    (void)state;
    for (unsigned n = 0; n < PB_ARRAY_SIZE(standard) + PB_ARRAY_SIZE(extended); n++) {
        bool ext = n >= PB_ARRAY_SIZE(standard);
        uint16_t id = ext ? extended[n - PB_ARRAY_SIZE(standard)] : standard[n];
        const char *why = NULL;

        assert_true(pb_caps_hidden_by_default(ext, id, &why));
        assert_true(why && strlen(why) > 10);
    }
    for (unsigned id = 0; id <= 0xff; id++) {
        const char *why;

        count += pb_caps_hidden_by_default(false, (uint16_t)id, &why);
        count += pb_caps_hidden_by_default(true, (uint16_t)id, &why);
    }
    assert_int_equal(count, PB_ARRAY_SIZE(standard) + PB_ARRAY_SIZE(extended));
}

static void lengths_follow_what_the_capability_says(void **state)
{
    static const struct {
        bool extended;
        uint16_t id;
        uint32_t dword[3]; /* from the capability's start on */
        unsigned length;
    } shapes[] = {
        { false, PCI_CAP_MSI, { 0x00000000 }, 12 },
        { false, PCI_CAP_MSI, { 0x00800000 }, 16 },
        { false, PCI_CAP_MSI, { 0x01000000 }, 20 },
        { false, PCI_CAP_MSI, { 0x01800000 }, 24 },
        { false, PCI_CAP_EXP, { 0x00010000 }, 0x14 },
        { false, PCI_CAP_EXP, { 0x00910000 }, 0x0c },
        { false, PCI_CAP_EXP, { 0x00410000 }, 0x24 },
        { false, PCI_CAP_EXP, { 0x00020000 }, 0x3c },
        { false, PCI_CAP_PCIX, { 0 }, 8 },
        { false, PCI_CAP_PCIX, { 0x20000000 }, 24 },
        { false, 0x08, { 0x00000000 }, 28 },
        { false, 0x08, { 0x20000000 }, 24 },
        { false, 0x08, { 0xa8020000 }, 4 },
        { false, 0x08, { 0xa8000000 }, 12 },
        { false, 0x08, { 0x80000000 }, 8 },
        { false, 0x09, { 0x00140000 }, 20 },
        { false, 0x09, { 0x00000000 }, 4 },
        { false, 0x12, { 0, 0x4 }, 8 },
        { false, 0x12, { 0, 0xf }, 16 },
        { false, 0x14, { 0x00020000, 4, 0 }, 4 + 20 + 4 },
        { true, 0x02, { 0, 0 }, 28 },
        { true, 0x02, { 0, 7 }, 112 },
        { true, 0x05, { 0, 0x0200 }, 48 },
        { true, 0x0b, { 0, 0x01000000 }, 16 },
        { true, 0x23, { 0, 0xfff00000 }, 4095 },
        { true, 0x0d, { 0, 0x0800 }, 8 },
        { true, 0x0d, { 0, 0x2120 }, 16 },
        { true, 0x0d, { 0, 0x0020 }, 40 },
        { true, 0x15, { 0, 0, 0x40 }, 20 },
        { true, 0x16, { 0, 3 }, 20 },
        { true, 0x17, { 0, 0 }, 12 },
        { true, 0x17, { 0, 0x00030200 }, 20 },
        { true, 0x17, { 0, 0x00030400 }, 12 },
        { true, 0x10, { 0 }, 64 },
        { true, 0xfff0, { 0 }, 4 },
        { false, 0x77, { 0 }, 4 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(shapes); i++) {
        unsigned at = shapes[i].extended ? 0x100 : 0x40, length;

        memset(&facts, 0, sizeof(facts));
        for (unsigned n = 0; n < 3; n++)
            pb_le_put(facts.config + at + 4 * n, 4, shapes[i].dword[n]);
        length = pb_cap_length(&facts, shapes[i].extended, shapes[i].id, at);
        if (length != shapes[i].length)
            fail_msg("shape %zu: length %u", i, length);
    }
    /* at the end of the space there is only the dword that the header is in */
    memset(&facts, 0xff, sizeof(facts));
    for (unsigned id = 0; id <= 0xff; id++) {
        assert_true(pb_cap_length(&facts, false, (uint16_t)id, 0xfc) >= 4);
        assert_true(pb_cap_length(&facts, true, (uint16_t)id, 0xffc) >= 4);
    }
}

/* ---- lists -------------------------------------------------------------------------------------
 */

static void without_edits_the_list_is_the_devices(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    build(&none, NULL, 0);
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 msix@a0");
    assert_string_equal(walk_extended(), "aer@100 dsn@140");
    assert_int_equal(caps.count, 6);
    assert_int_equal(memcmp(&caps.seen, &layout, sizeof(layout)), 0);
    assert_int_equal(caps.cap[0].size, 8);
    assert_int_equal(caps.cap[2].size, 0x20); /* 3c by its version, but the space ends */
    assert_int_equal(caps.cap[4].size, 0x40); /* 48, but the next one begins */
}

static void dangerous_capabilities_are_not_in_the_guests_list(void **state)
{
    (void)state;
    with_dangerous_ones();
    build(&none, NULL, 0);
    assert_string_equal(walk_extended(), "aer@100 dsn@140 vsec@1a0");
    check_dead(EXT_ATS, EXT_ATS + 8);
    check_dead(EXT_SRIOV, EXT_SRIOV + 0x40);
    /* what lies between them is nobody's */
    pb_le_put(dev->hw.config + EXT_ATS + 8, 4, 0x12345678);
    assert_int_equal(pb_test_read(dev, EXT_ATS + 8, 4), 0x12345678);
    assert_int_equal(caps.count, 9);
    assert_int_equal(caps.cap[6].how, PB_CAP_HIDDEN);
    assert_null(caps.cap[6].edit);
}

static void a_hidden_first_extended_capability_leads_to_the_next(void **state)
{
    const struct pb_cap_edit aer = { .kind = PB_CAP_HIDE_EXT, .id = 1 };
    const struct pb_cap_edit all[] = { { .kind = PB_CAP_HIDE_EXT, .id = 1 },
                                       { .kind = PB_CAP_HIDE_EXT, .id = 3 } };

    (void)state;
    pb_test_e1000e(&facts);
    build(&none, &aer, 1);
    assert_int_equal(pb_test_read(dev, 0x100, 4), 0x14000000); /* id 0, version 0 */
    assert_string_equal(walk_extended(), "dsn@140");
    check_dead(0x104, 0x140);
    assert_ptr_equal(caps.cap[4].edit, &aer);
    build(&none, all, 2);
    assert_int_equal(pb_test_read(dev, 0x100, 4), 0);
    assert_string_equal(walk_extended(), "");
}

static void a_hidden_standard_capability_is_skipped(void **state)
{
    static const struct {
        uint16_t hide[4];
        const char *list;
    } cases[] = {
        { { PCI_CAP_PM }, "msi@d0 exp@e0 msix@a0" },
        { { PCI_CAP_EXP }, "pm@c8 msi@d0 msix@a0" },
        { { PCI_CAP_MSIX }, "pm@c8 msi@d0 exp@e0" },
        { { PCI_CAP_PM, PCI_CAP_MSI, PCI_CAP_EXP }, "msix@a0" },
        { { PCI_CAP_PM, PCI_CAP_MSI, PCI_CAP_EXP, PCI_CAP_MSIX }, "no list" },
        { { PCI_CAP_VPD }, "pm@c8 msi@d0 exp@e0 msix@a0" },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(cases); i++) {
        struct pb_cap_edit edits[4];
        size_t count = 0;

        while (count < 4 && cases[i].hide[count]) {
            edits[count] = (struct pb_cap_edit){ .kind = PB_CAP_HIDE, .id = cases[i].hide[count] };
            count++;
        }
        pb_test_e1000e(&facts);
        build(&none, edits, count);
        assert_string_equal(walk(), cases[i].list);
    }
    assert_int_equal(caps.seen.vpd, 0);
}

static void hidden_registers_read_zero_and_have_no_effects(void **state)
{
    const struct pb_cap_edit edits[] = { { .kind = PB_CAP_HIDE, .id = PCI_CAP_PM },
                                         { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSI },
                                         { .kind = PB_CAP_HIDE, .id = PCI_CAP_EXP },
                                         { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSIX } };

    (void)state;
    pb_test_e1000e(&facts);
    build(&none, edits, 4);
    dev->view.allow_interrupt_control = true;
    check_dead(E1000E_PM, E1000E_PM + 8);
    check_dead(E1000E_MSI, E1000E_MSI + 16);
    check_dead(E1000E_EXP, 0x100);
    check_dead(E1000E_MSIX, E1000E_MSIX + 12);
    assert_int_equal(pb_test_read(dev, PCI_CAPABILITIES, 1), 0);
    assert_int_equal(pb_test_read(dev, PCI_STATUS, 2), 0);
    assert_int_equal(caps.seen.pm | caps.seen.msi | caps.seen.exp | caps.seen.msix, 0);
    assert_int_equal(caps.seen.msix_vectors, 0);
    assert_int_equal(dev->map->flr, 0);
}

static void H16_the_devices_own_layout_stays_what_it_is(void **state)
{
    const struct pb_cap_edit edits[] = {
        { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSIX },
        { .kind = PB_CAP_ADD, .id = PCI_CAP_MSIX, .at = 0x40, .size = 12 }
    };
    struct pb_layout before;

    (void)state;
    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &before), 0);
    build(&none, edits, 2);
    assert_int_equal(memcmp(&before, &layout, sizeof(layout)), 0);
    /* and constant bytes that look like MSI-X are no interrupts */
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 msix@40");
    assert_int_equal(caps.seen.msix, 0);
    assert_int_equal(caps.seen.msix_vectors, 0);
}

static void the_later_edit_of_the_same_capability_wins(void **state)
{
    const struct pb_cap_edit edits[] = { { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSI },
                                         { .kind = PB_CAP_SHOW, .id = PCI_CAP_MSI },
                                         { .kind = PB_CAP_SHOW_EXT, .id = 0x0f },
                                         { .kind = PB_CAP_HIDE_EXT, .id = 0x0f },
                                         { .kind = PB_CAP_HIDE_EXT, .id = 0x03 } };

    (void)state;
    with_dangerous_ones();
    build(&none, edits, 5);
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 msix@a0");
    assert_string_equal(walk_extended(), "aer@100 vsec@1a0");
    assert_ptr_equal(caps.cap[1].edit, &edits[1]);
    assert_ptr_equal(caps.cap[6].edit, &edits[3]);
}

static void what_is_shown_although_dangerous_may_only_be_read(void **state)
{
    const struct pb_cap_edit edits[] = { { .kind = PB_CAP_SHOW_EXT, .id = 0x0f },
                                         { .kind = PB_CAP_SHOW_EXT, .id = 0x10 } };
    const struct pb_rule open = { .offset = EXT_SRIOV + 8, .size = 2, .write = 1 };

    (void)state;
    with_dangerous_ones();
    build(&none, edits, 2);
    assert_string_equal(walk_extended(), "aer@100 dsn@140 ats@150 sriov@160 vsec@1a0");
    assert_int_equal(pb_test_read(dev, EXT_ATS + 4, 4), 0x80000020);
    assert_int_equal(pb_test_read(dev, EXT_SRIOV + 8, 2), 0x1111);
    dev->view.permissive = true;
    for (int32_t at = EXT_ATS; at < EXT_SRIOV + 0x40; at += 4) {
        if (at >= EXT_ATS + 8 && at < EXT_SRIOV)
            continue;
        assert_int_equal(pb_test_write(dev, at, 4, 0xa5a5a5a5), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
    assert_int_equal(pb_map_apply(dev->map, &open, 1, &bad), -EPERM);
}

/* ---- linking and adding ------------------------------------------------------------------------
 */

/* An I219: AF at e0, which MSI at d0 does not lead to. */
static void i219(void)
{
    pb_test_e1000(&facts);
    memset(facts.config + 0xc8, 0, 0x38);
    facts.config[PCI_CAPABILITIES] = 0xc8;
    pb_le_put(facts.config + 0xc8, 4, 0xc823d001);
    pb_le_put(facts.config + 0xd0, 4, 0x00800005);
    pb_le_put(facts.config + 0xe0, 4, 0x03060013);
    (void)strcpy(facts.reset_methods, "af_flr pm");
}

static const struct pb_cap_edit link_af = {
    .kind = PB_CAP_LINK, .id = PCI_CAP_AF, .at = 0xe0, .after = PCI_CAP_MSI, .origin = "i219"
};

static void a_capability_without_a_list_is_linked(void **state)
{
    (void)state;
    i219();
    build(&none, &link_af, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0 af@e0");
    assert_int_equal(caps.seen.af, 0xe0);
    assert_int_equal(caps.cap[2].how, PB_CAP_LINKED);
    assert_int_equal(dev->map->flr, 1U << PB_RESET_BY_AF_FLR);
    /* its registers have their rules */
    assert_int_equal(pb_test_read(dev, 0xe0 + PCI_AF_CAP, 1), 3);
    assert_int_equal(dev->hw.count, 0);
}

static void a_device_that_is_not_as_expected_is_left_alone(void **state)
{
    struct pb_cap_edit edit = link_af;

    (void)state;
    i219();
    facts.config[0xe0] = 0x09; /* another one is there */
    build(&none, &link_af, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0");
    i219();
    edit.after = PCI_CAP_PM; /* which does not end the list */
    build(&none, &edit, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0");
    i219();
    facts.config[0xd1] = 0xe0; /* it is linked already */
    build(&none, &link_af, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0 af@e0");
    assert_int_equal(caps.cap[2].how, PB_CAP_OWN);
    edit.after = 0; /* whatever ends it */
    i219();
    build(&none, &edit, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0 af@e0");
    i219();
    facts.config[PCI_STATUS] = 0; /* even where there is no list at all */
    build(&none, &edit, 1);
    assert_string_equal(walk(), "af@e0");
    build(&none, &link_af, 1);
    assert_string_equal(walk(), "no list");
}

static void a_hidden_predecessor_does_not_end_the_list_otherwise(void **state)
{
    const struct pb_cap_edit edits[] = { { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSI }, link_af };

    (void)state;
    i219();
    build(&none, edits, 2);
    assert_string_equal(walk(), "pm@c8 af@e0");
}

static void a_link_or_an_addition_is_taken_back_by_hiding_it(void **state)
{
    const struct pb_cap_edit edits[] = {
        link_af,
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 8 },
        { .kind = PB_CAP_HIDE, .id = PCI_CAP_AF },
        { .kind = PB_CAP_HIDE, .id = 9 },
    };

    (void)state;
    i219();
    build(&none, edits, 4);
    assert_string_equal(walk(), "pm@c8 msi@d0");
    assert_int_equal(caps.count, 2);
    dev->hw.config[0x41] = 0x77;
    assert_int_equal(pb_test_read(dev, 0x41, 1), 0x77);
}

static void an_added_capability_is_constant_bytes(void **state)
{
    /* as VMD's shadow capability: a signature, then two BARs as the host sees them */
    struct pb_cap_edit edit = { .kind = PB_CAP_ADD,
                                .id = 9,
                                .at = 0x60,
                                .size = 24,
                                .bytes = { 0xee, 0xee, 24, 0, 'P', 'D', 'H', 'S' },
                                .copy = { { 8, 0x18, 8 }, { 16, 0x10, 4 } },
                                .origin = "vmd" };

    (void)state;
    pb_test_e1000e(&facts);
    build(&none, &edit, 1);
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 msix@a0 vendor@60");
    assert_int_equal(pb_test_read(dev, 0x60, 4), 0x00180009);
    assert_int_equal(pb_test_read(dev, 0x64, 4), 0x53484450);
    assert_int_equal(pb_test_read(dev, 0x68, 4), 0xc041);
    assert_int_equal(pb_test_read(dev, 0x6c, 4), 0xfebe0000);
    assert_int_equal(pb_test_read(dev, 0x70, 4), 0xfebc0000);
    assert_int_equal(pb_test_read(dev, 0x74, 4), 0);
    assert_int_equal(dev->hw.count, 0);
    dev->view.permissive = true;
    assert_int_equal(pb_test_run(dev, true, 0x64, 4, 0).denied, 0x53484450);
    /* an odd length */
    edit.size = 7;
    edit.copy[0].size = edit.copy[1].size = 0;
    build(&none, &edit, 1);
    assert_int_equal(pb_test_read(dev, 0x64, 4), 0x00484450);
    dev->hw.config[0x67] = 0x99;
    assert_int_equal(pb_test_read(dev, 0x67, 1), 0x99);
}

static void of_two_additions_at_one_place_the_later_one_counts(void **state)
{
    const struct pb_cap_edit edits[] = {
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 4, .bytes = { 0, 0, 1 } },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 4, .bytes = { 0, 0, 2 } },
    };

    (void)state;
    pb_test_e1000(&facts);
    build(&none, edits, 2);
    assert_string_equal(walk(), "pm@dc pcix@e4 vendor@40");
    assert_int_equal(pb_test_read(dev, 0x42, 1), 2);
}

static void an_addition_may_take_the_place_of_what_is_hidden(void **state)
{
    const struct pb_cap_edit edits[] = {
        { .kind = PB_CAP_HIDE, .id = PCI_CAP_MSIX },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0xa0, .size = 6, .bytes = { 0, 0, 6, 1, 2, 3 } },
    };

    (void)state;
    pb_test_e1000e(&facts);
    build(&none, edits, 2);
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 vendor@a0");
    assert_int_equal(pb_test_read(dev, 0xa4, 4), 0x00000302);
    check_dead(0xa6, 0xac);
}

static void edits_that_cannot_be_are_refused_and_named(void **state)
{
    static const struct pb_cap_edit wrong[] = {
        { .kind = (enum pb_cap_edit_kind)99 },
        { .kind = PB_CAP_LINK, .id = 9, .at = 0x3c },
        { .kind = PB_CAP_LINK, .id = 9, .at = 0x42 },
        { .kind = PB_CAP_LINK, .id = 0x109, .at = 0x40 },
        { .kind = PB_CAP_ADD, .id = 0xff, .at = 0x40, .size = 4 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 1 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = PB_CAP_BYTES_MAX + 1 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0xfc, .size = 5 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 8, .copy = { { 1, 0, 2 } } },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 8, .copy = { { 6, 0, 3 } } },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0x40, .size = 8, .copy = { { 4, 0xfe, 3 } } },
        /* upon what the device has: MSI-X at a0, PM at c8 */
        { .kind = PB_CAP_ADD, .id = 9, .at = 0xa8, .size = 4 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0xc0, .size = 9 },
        { .kind = PB_CAP_ADD, .id = 9, .at = 0xc8, .size = 2 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(wrong); i++) {
        const struct pb_cap_edit edits[] = { { .kind = PB_CAP_HIDE, .id = 3 }, wrong[i] };

        pb_test_e1000e(&facts);
        if (refused(edits, 2) != -EINVAL || bad != 1)
            fail_msg("edit %zu was not refused", i);
    }
    /* a linked one that its neighbours do not leave room for */
    i219();
    facts.config[0xd2] = 0x80;
    facts.config[0xd3] = 0x01; /* MSI with masks: 24 bytes, over e0 */
    assert_int_equal(refused(&link_af, 1), -EINVAL);
    assert_int_equal(bad, 0);
    /* or the end of the space */
    i219();
    facts.config[0xfc] = PCI_CAP_AF;
    assert_int_equal(
        refused(&(struct pb_cap_edit){ .kind = PB_CAP_LINK, .id = PCI_CAP_AF, .at = 0xfc }, 1),
        -EINVAL);
    /* more than there can be */
    i219();
    {
        static struct pb_cap_edit many[100];

        for (size_t i = 0; i < PB_ARRAY_SIZE(many); i++)
            many[i] = (struct pb_cap_edit){
                .kind = PB_CAP_ADD, .id = 9, .at = (uint8_t)(0x40 + 4 * (i % 48)), .size = 2
            };
        assert_int_equal(refused(many, PB_ARRAY_SIZE(many)), -EINVAL);
    }
}

/* ---- traits ------------------------------------------------------------------------------------
 */

static void denied_interrupts_are_hidden_whatever_edits_say(void **state)
{
    const struct pb_cap_edit edits[] = { { .kind = PB_CAP_SHOW, .id = PCI_CAP_MSI },
                                         { .kind = PB_CAP_SHOW, .id = PCI_CAP_MSIX } };
    struct pb_traits traits = { .deny_msi = true };

    (void)state;
    pb_test_e1000e(&facts);
    build(&traits, edits, 2);
    assert_string_equal(walk(), "pm@c8 exp@e0 msix@a0");
    assert_int_equal(caps.seen.msi, 0);
    check_dead(E1000E_MSI, E1000E_MSI + 16);
    traits.deny_msix = true;
    build(&traits, edits, 2);
    assert_string_equal(walk(), "pm@c8 exp@e0");
    assert_int_equal(caps.seen.msix | caps.seen.msix_vectors, 0);
}

static void a_table_is_shown_smaller_never_larger(void **state)
{
    struct pb_traits traits = { .msix_max_vectors = 3 };

    (void)state;
    pb_test_e1000e(&facts);
    build(&traits, NULL, 0);
    assert_int_equal(caps.seen.msix_vectors, 3);
    assert_int_equal(layout.msix_vectors, 5);
    assert_int_equal(pb_test_read(dev, E1000E_MSIX + 2, 2), 0x0002);
    pb_le_put(dev->hw.config + E1000E_MSIX + 2, 2, 0xc004); /* the other bits are live */
    assert_int_equal(pb_test_read(dev, E1000E_MSIX + 2, 2), 0xc002);
    /* a guest may write back what it reads */
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0xc002), PB_GUEST_OK);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    traits.msix_max_vectors = 2048;
    build(&traits, NULL, 0);
    assert_int_equal(caps.seen.msix_vectors, 5);
    assert_int_equal(pb_test_read(dev, E1000E_MSIX + 2, 2), 0x0004);
}

static void a_space_that_is_cut_short_has_no_capabilities_beyond(void **state)
{
    struct pb_traits traits = { .config_size = 0xd8 };

    (void)state;
    pb_test_e1000e(&facts);
    build(&traits, NULL, 0);
    assert_int_equal(dev->map->size, 0xd8);
    /* MSI at d0 would be cut in two, the rest lies outside */
    assert_string_equal(walk(), "pm@c8 msix@a0");
    assert_int_equal(caps.seen.ext_count, 0);
    traits.config_size = 0x140;
    build(&traits, NULL, 0);
    assert_string_equal(walk(), "pm@c8 msi@d0 exp@e0 msix@a0");
    assert_int_equal(pb_test_read(dev, 0x100, 4), 0x00010001);
    traits.config_size = 64;
    build(&traits, NULL, 0);
    assert_string_equal(walk(), "no list");
    traits.config_size = 8192; /* more than there is */
    build(&traits, NULL, 0);
    assert_int_equal(dev->map->size, PB_CONFIG_SIZE_PCIE);
    assert_string_equal(walk_extended(), "aer@100 dsn@140");
}

/* ---- whatever comes ----------------------------------------------------------------------------
 */

static void random_edits_of_random_devices_end(void **state)
{
    uint32_t seed = 0x9e3779b9;
    unsigned built = 0;

    (void)state;
    for (unsigned n = 0; n < 3000; n++) {
        struct pb_traits traits = { .config_size = (uint16_t)(pb_test_random(&seed) % 64 * 64) };
        struct pb_cap_edit edits[6];

        pb_test_e1000e(&facts);
        for (unsigned i = 0; i < 8; i++)
            facts.config[0x40 + pb_test_random(&seed) % 0x140] = (uint8_t)pb_test_random(&seed);
        for (unsigned i = 0; i < 6; i++) {
            uint32_t r = pb_test_random(&seed);

            edits[i] = (struct pb_cap_edit){ .kind = (enum pb_cap_edit_kind)(r % 6),
                                             .id = (uint16_t)(r >> 4 & 0x1f),
                                             .at = (uint8_t)(0x40 + (r >> 12) % 48 * 4),
                                             .size = (uint8_t)(2 + (r >> 20) % 16) };
        }
        if (pb_layout_read(&facts, &layout) < 0 ||
            pb_caps_edit(&facts, &layout, &traits, edits, n % 7, &caps, &bad) < 0)
            continue;
        for (unsigned i = 0; i < caps.count; i++)
            assert_true(caps.cap[i].offset + caps.cap[i].size <= PB_CONFIG_SIZE_PCIE);
        {
            struct pb_rules rules = { 0 };
            struct pb_map *map = NULL;
            int rc = pb_baseline_rules(&facts, &caps, &traits, &rules);

            assert_true(rc == 0 || rc == -EPROTO);
            if (rc == 0) {
                map = pb_map_compile(&facts, &caps, &traits, &rules, &rc, &bad);
                if (!map)
                    fail_msg("round %u: rule %zu does not fit: %d", n, bad, rc);
            }
            built += map != NULL;
            free(map);
            pb_rules_fini(&rules);
        }
    }
    assert_true(built > 300);
}

#define TEST(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_name_finds_its_id_again),
        TEST(what_is_hidden_by_default_has_a_reason),
        TEST(lengths_follow_what_the_capability_says),
        TEST(without_edits_the_list_is_the_devices),
        TEST(dangerous_capabilities_are_not_in_the_guests_list),
        TEST(a_hidden_first_extended_capability_leads_to_the_next),
        TEST(a_hidden_standard_capability_is_skipped),
        TEST(hidden_registers_read_zero_and_have_no_effects),
        TEST(H16_the_devices_own_layout_stays_what_it_is),
        TEST(the_later_edit_of_the_same_capability_wins),
        TEST(what_is_shown_although_dangerous_may_only_be_read),
        TEST(a_capability_without_a_list_is_linked),
        TEST(a_device_that_is_not_as_expected_is_left_alone),
        TEST(a_hidden_predecessor_does_not_end_the_list_otherwise),
        TEST(a_link_or_an_addition_is_taken_back_by_hiding_it),
        TEST(an_added_capability_is_constant_bytes),
        TEST(of_two_additions_at_one_place_the_later_one_counts),
        TEST(an_addition_may_take_the_place_of_what_is_hidden),
        TEST(edits_that_cannot_be_are_refused_and_named),
        TEST(denied_interrupts_are_hidden_whatever_edits_say),
        TEST(a_table_is_shown_smaller_never_larger),
        TEST(a_space_that_is_cut_short_has_no_capabilities_beyond),
        TEST(random_edits_of_random_devices_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
