/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "pci/regs.h"

/* Where the ordinary device has its capabilities: clear of what any quirk names. */
#define PM   0xa8
#define VPD  0xb0
#define MSIX 0xb8
#define MSI  0xd0
#define ATS  0x148

static void put(struct pb_facts *facts, unsigned at, unsigned size, uint32_t value)
{
    pb_le_put(facts->config + at, size, value);
}

static void resource(struct pb_facts *facts, unsigned i, unsigned at, uint32_t start, uint32_t size)
{
    facts->resource[i] =
        (struct pb_resource){ .start = start, .end = start + size - 1, .flags = PB_RES_MEM };
    put(facts, at, 4, start);
}

static void ordinary(struct pb_facts *facts)
{
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(facts, PCI_CAPABILITIES, 1, PM);
    put(facts, PM, 4, 0xf803b001); /* PME from each state; next: VPD */
    put(facts, VPD, 4, 0x0000b803);
    put(facts, MSIX, 4, 0x0003d011);
    put(facts, MSI, 4, 0x00800005);
    put(facts, 0x100, 4, 0x14810001); /* AER */
    put(facts, ATS, 4, 0x0001000f);
}

/* A conventional card without capabilities. */
static void bare(struct pb_facts *facts)
{
    facts->config_size = PB_CONFIG_SIZE_PCI;
}

static void ehci(struct pb_facts *facts)
{
    facts->config_size = PB_CONFIG_SIZE_PCI;
    put(facts, 0x68, 4, 0x01000001); /* owned by the system */
    put(facts, 0x6c, 4, 0xc0080000);
}

static void pcix(struct pb_facts *facts)
{
    facts->config_size = PB_CONFIG_SIZE_PCI;
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(facts, PCI_CAPABILITIES, 1, 0xd0);
    put(facts, 0xd0, 4, 0x0022e001);
    put(facts, 0xe0, 4, 0x00220007);
}

static void i219(struct pb_facts *facts)
{
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(facts, PCI_CAPABILITIES, 1, 0xc8);
    put(facts, 0xc8, 4, 0x0023d001);
    put(facts, 0xd0, 4, 0x00800005); /* the list ends here … */
    put(facts, 0xe0, 4, 0x03060013); /* … although there is this */
}

static void qat_vf(struct pb_facts *facts)
{
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(facts, PCI_CAPABILITIES, 1, 0xb0);
    put(facts, 0xb0, 4, 0x00800005);
    put(facts, 0x50, 4, 0x00020010);
}

static void vf_82599(struct pb_facts *facts)
{
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(facts, PCI_CAPABILITIES, 1, 0x70);
    put(facts, 0x70, 4, 0x0002a011);
    put(facts, 0xa0, 4, 0x00020010);
}

static void vmd(struct pb_facts *facts)
{
    ordinary(facts);
    for (unsigned i = 0; i < 16; i++)
        facts->config[0x18 + i] = (uint8_t)(0xa0 + i);
}

static void igd(struct pb_facts *facts)
{
    ordinary(facts);
    put(facts, 0x50, 2, 0x02c1);
    put(facts, 0x5c, 4, 0x7c800001);
    put(facts, 0xfc, 4, 0x7a123018);
}

void sample_facts(const struct sample *sample, struct pb_facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sbdf = (struct pb_sbdf){ .bus = 3 };
    ret->vendor = sample->vendor;
    ret->device = sample->device;
    ret->class_code = sample->class_code;
    ret->revision = sample->revision;
    ret->subsystem_vendor = sample->subsystem_vendor;
    ret->subsystem_device = sample->subsystem_device;
    ret->irq = 17;
    ret->config_size = PB_CONFIG_SIZE_PCIE;
    (void)strcpy(ret->reset_methods, "device_specific flr af_flr pm bus");
    put(ret, 0, 4, (uint32_t)sample->device << 16 | sample->vendor);
    put(ret, PCI_REVISION, 4, sample->class_code << 8 | sample->revision);
    put(ret, PCI_INTERRUPT_LINE, 2, 0x010b);
    resource(ret, 0, PCI_BAR0, 0xfe000000, 0x10000);
    resource(ret, PB_PCI_ROM, PCI_ROM_ADDRESS, 0xfd000000, 0x10000);
    (sample->shape ? sample->shape : ordinary)(ret);
}

/* ---- what a quirk does -------------------------------------------------------------------------
 */

/* The quirk decided this trait, and says why. */
static void decided(const struct pb_profile *p, const struct sample *s, enum pb_trait trait)
{
    assert_true(p->traits.set[trait]);
    assert_string_equal(p->traits.origin[trait], s->id);
    assert_non_null(p->traits.reason[trait]);
    assert_non_null(p->traits.file[trait]);
}

static void assigned(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_ASSIGN);
    assert_int_equal(p->traits.assign, s->want);
}

static void intx_is_warned_of(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_INTX);
    assert_int_equal(p->traits.intx, PB_INTX_WARN);
    assert_int_equal(p->map->value[PCI_INTERRUPT_PIN], 1); /* it can still be used */
}

static void intx_stays_enabled(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_INTX_WITH_MSI);
    assert_true(p->traits.keep_intx);
}

static void resets_never(const struct pb_profile *p, const struct sample *s)
{
    assert_true(p->traits.set[PB_TRAIT_NO_RESET]);
    assert_int_equal(p->traits.no_reset, s->want);
}

static void resets_by(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_RESET_METHOD);
    for (unsigned i = 0; i < p->traits.reset_method_count; i++)
        assert_int_equal(p->traits.reset_method[i], s->want >> (8 * i) & 0xff);
    assert_int_equal(s->want >> (8 * p->traits.reset_method_count), 0xff);
}

static void waits_after_reset(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_RESET_DELAY);
    assert_int_equal(p->traits.reset_delay_ms, s->want);
}

static void waits_for_d3(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_D3_DELAY);
    assert_int_equal(p->map->d3_delay_ms, s->want);
}

static void ends_at(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_CONFIG_SIZE);
    assert_int_equal(p->map->size, s->want);
}

static void vpd_ends_at(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_VPD_SIZE);
    assert_int_equal(p->map->vpd_end, s->want);
    assert_int_equal(p->caps.seen.vpd, VPD);
}

static void has_class(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_CLASS);
    assert_int_equal(pb_le32(p->map->value + PCI_REVISION), s->want << 8 | s->revision);
}

static void has_no_rom(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_ROM);
    assert_int_equal(p->map->bar[PB_PCI_ROM].type_mask, 0);
    assert_int_equal(pb_le32(p->map->value + PCI_ROM_ADDRESS), 0);
    assert_int_equal(pb_le32(p->map->fixed + PCI_ROM_ADDRESS), UINT32_MAX);
}

static const struct pb_cap_seen *cap(const struct pb_profile *p, bool extended, uint16_t id,
                                     enum pb_cap_how how)
{
    for (unsigned i = 0; i < p->caps.count; i++) {
        const struct pb_cap_seen *c = &p->caps.cap[i];

        if (c->id == id && c->extended == extended && c->how == how)
            return c;
    }
    fail_msg("no capability 0x%x that is %d", id, (int)how);
    return NULL;
}

/* Hidden: not in the list, and no byte of it shows. */
static void hides(const struct pb_profile *p, const struct sample *s, bool extended, uint16_t id)
{
    const struct pb_cap_seen *c = cap(p, extended, id, PB_CAP_HIDDEN);
    const struct pb_layout *seen = &p->caps.seen;

    if (c->edit)
        assert_string_equal(c->edit->origin, s->id);
    for (unsigned i = 0; i < seen->cap_count && !extended; i++)
        assert_int_not_equal(seen->cap[i].id, id);
    for (unsigned i = 0; i < seen->ext_count && extended; i++)
        assert_int_not_equal(seen->ext[i].id, id);
    for (unsigned at = c->offset; at < (unsigned)c->offset + c->size; at++) {
        assert_int_equal(p->map->fixed[at], 0xff);
        assert_int_equal(p->map->value[at], 0);
    }
}

static void hides_standard(const struct pb_profile *p, const struct sample *s)
{
    hides(p, s, false, (uint16_t)s->want);
    assert_non_null(cap(p, false, (uint16_t)s->want, PB_CAP_HIDDEN)->edit);
}

static void hides_extended(const struct pb_profile *p, const struct sample *s)
{
    hides(p, s, true, (uint16_t)s->want);
    assert_non_null(cap(p, true, (uint16_t)s->want, PB_CAP_HIDDEN)->edit);
}

static void has_no_msi(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_MSI);
    hides(p, s, false, PCI_CAP_MSI);
    assert_int_equal(p->caps.seen.msi, 0);
}

static void has_no_msix(const struct pb_profile *p, const struct sample *s)
{
    decided(p, s, PB_TRAIT_MSIX);
    hides(p, s, false, PCI_CAP_MSIX);
    assert_int_equal(p->caps.seen.msix, 0);
}

/* Linked at WANT's low byte with WANT's next as its id, at the end of the list. */
static void links(const struct pb_profile *p, const struct sample *s)
{
    const struct pb_cap_seen *c = cap(p, false, (uint16_t)(s->want >> 8), PB_CAP_LINKED);
    const struct pb_layout *seen = &p->caps.seen;
    const struct pb_cap *before = &seen->cap[seen->cap_count - 2];

    assert_string_equal(c->edit->origin, s->id);
    assert_int_equal(c->offset, s->want & 0xff);
    assert_int_equal(seen->cap[seen->cap_count - 1].offset, c->offset);
    assert_int_equal(before->id, PCI_CAP_MSI);
    assert_int_equal(p->map->value[before->offset + 1], c->offset);
    assert_int_equal(p->map->value[c->offset + 1], 0);
}

static uint8_t class_byte(const struct pb_map *map, char class, unsigned at)
{
    switch (class) {
    case 'w':
        return map->write[at];
    case 'c':
        return map->w1c[at];
    case 'v':
        return map->virt[at];
    case 'f':
        return map->fixed[at];
    default:
        fail_msg("no class '%c'", class);
        return 0;
    }
}

/* Each of the sample's bits has its class and value, and the quirk as its origin. */
static void has_bits(const struct pb_profile *p, const struct sample *s)
{
    for (const struct bits *b = s->bits; b->size; b++) {
        for (unsigned n = 0; n < 8U * b->size; n++) {
            unsigned at = b->offset + n / 8, bit = n % 8;
            const struct pb_rule *rule;

            if (!(b->mask >> n & 1))
                continue;
            rule = pb_rules_deciding(&p->rules, at, bit);
            assert_non_null(rule);
            assert_string_equal(rule->origin, s->id);
            assert_non_null(rule->why);
            assert_int_equal(class_byte(p->map, b->class, at) >> bit & 1, 1);
            if (b->class == 'v' || b->class == 'f')
                assert_int_equal(p->map->value[at] >> bit & 1, b->value >> n & 1);
        }
    }
}

/* No other bit of these registers may be written. */
static void has_only_bits(const struct pb_profile *p, const struct sample *s)
{
    has_bits(p, s);
    for (const struct bits *b = s->bits; b->size; b++) {
        uint32_t open = 0, named = 0;

        for (const struct bits *o = s->bits; o->size; o++) {
            if (o->offset == b->offset && o->class != 'f')
                named |= o->mask;
        }
        for (unsigned i = 0; i < b->size; i++)
            open |= (uint32_t)(p->map->write[b->offset + i] | p->map->w1c[b->offset + i] |
                               p->map->virt[b->offset + i])
                    << (8 * i);
        assert_int_equal(open, named);
    }
}

/* The capability's constant bytes, which the sample lists. */
static void adds(const struct pb_profile *p, const struct sample *s)
{
    const struct pb_cap_seen *c = cap(p, false, PCI_CAP_VENDOR, PB_CAP_ADDED);
    const struct pb_layout *seen = &p->caps.seen;

    assert_string_equal(c->edit->origin, s->id);
    assert_int_equal(c->offset, s->bits->offset);
    assert_int_equal(seen->cap[seen->cap_count - 1].offset, c->offset);
    has_only_bits(p, s);
}

static void has_no_pme(const struct pb_profile *p, const struct sample *s)
{
    has_bits(p, s);
    if (s->want)
        has_no_msi(p, s);
}

static void has_plugin(const struct pb_profile *p, const struct sample *s)
{
    assert_int_equal(p->binding_count, 1);
    assert_string_equal(p->binding[0]->quirk, s->id);
    assert_string_equal(pb_plugin_name(p->binding[0]->plugin), s->plugin);
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE && !s->bits; at++)
        assert_int_equal(p->binding[0]->mask[at], s->want);
    for (const struct bits *b = s->bits; b && b->size; b++)
        assert_int_equal(pb_le_get(p->binding[0]->mask + b->offset, b->size), b->mask);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

#define W4(at)                                                      \
    {                                                               \
        .offset = (at), .size = 4, .class = 'w', .mask = UINT32_MAX \
    }

static const struct bits tg3[] = {
    W4(0x68), W4(0x70), W4(0x78), W4(0x7c), W4(0x80), W4(0x84),
    W4(0x90), W4(0x98), W4(0x9c), W4(0xa0), W4(0xa4), { 0 },
};
static const struct bits tcsel[] = {
    { 0x44, 1, 'w', 0x07, 0 },
    { 0x48, 4, 'w', 0x40, 0 },
    { 0 },
};
static const struct bits ati_snoop[] = { { 0x42, 1, 'w', 0x07, 0 }, { 0 } };
static const struct bits nvidia_snoop[] = {
    { 0x4c, 1, 'w', 0x01, 0 },
    { 0x4d, 1, 'w', 0x01, 0 },
    { 0x4e, 1, 'w', 0x0f, 0 },
    { 0 },
};
static const struct bits pcs[] = { { 0x92, 2, 'w', 0x003f, 0 }, { 0 } };
static const struct bits uhci_legacy[] = {
    { 0xc0, 2, 'w', 0x2000, 0 },
    { 0xc0, 2, 'c', 0x8f00, 0 },
    { 0xc0, 2, 'f', 0x00bf, 0 },
    { 0xc4, 1, 'w', 0x03, 0 },
    { 0 },
};
static const struct bits ehci_legacy[] = {
    { 0x68, 4, 'v', 0x01000000, 0x01000000 },
    { 0x6c, 4, 'v', UINT32_MAX, 0 },
    { 0 },
};
static const struct bits pcix_command[] = { { 0xe2, 2, 'v', 0x007f, 0x0022 }, { 0 } };
static const struct bits igd_registers[] = {
    { 0x50, 2, 'f', 0xffff, 0x02c1 },
    { 0x5c, 4, 'f', UINT32_MAX, 0 },
    { 0xfc, 4, 'v', UINT32_MAX, 0 },
    { 0 },
};
/* what the plugins get: no classes */
static const struct bits igd_view[] = {
    { 0x50, 2, 'p', 0xffff, 0 },
    { 0x5c, 4, 'p', UINT32_MAX, 0 },
    { 0xfc, 4, 'p', UINT32_MAX, 0 },
    { 0 },
};
static const struct bits msi_message[] = {
    { MSI + 4, 4, 'p', UINT32_MAX, 0 },
    { MSI + 8, 4, 'p', UINT32_MAX, 0 },
    { MSI + 12, 2, 'p', 0xffff, 0 },
    { 0 },
};
static const struct bits no_pme[] = { { PM + PCI_PM_PMC, 2, 'f', 0xf800, 0 }, { 0 } };
static const struct bits no_d0_pme[] = { { PM + PCI_PM_PMC, 2, 'f', 0x0800, 0 }, { 0 } };
static const struct bits clique[] = {
    { 0xc8, 4, 'f', UINT32_MAX, 0x50080009 },
    { 0xcc, 4, 'f', UINT32_MAX, 0x00005032 },
    { 0 },
};
static const struct bits shadow[] = {
    { 0xe8, 4, 'f', UINT32_MAX, 0x01180009 },
    { 0xec, 4, 'f', UINT32_MAX, 0x53484457 },
    { 0xf0, 4, 'f', UINT32_MAX, 0xa3a2a1a0 },
    { 0xf4, 4, 'f', UINT32_MAX, 0xa7a6a5a4 },
    { 0xf8, 4, 'f', UINT32_MAX, 0xabaaa9a8 },
    { 0xfc, 4, 'f', UINT32_MAX, 0xafaeadac },
    { 0 },
};

#define NIC      0x020000
#define SATA     0x010601
#define NVME     0x010802
#define VGA      0x030000
#define HDA      0x040300
#define XHCI     0x0c0330
#define FW       0x0c0010
#define ACCEL    0x0b4000

#define BUS      (1U << PB_RESET_BY_BUS)
#define METHODS1 (0xff00U | PB_RESET_BY_DEVICE_SPECIFIC)

const struct sample samples[] = {
    { "tg3-broadcom", 0x14e4, 0x1659, NIC, .check = has_only_bits, .bits = tg3 },
    { "tg3-syskonnect", 0x1148, 0x4400, NIC, .check = has_only_bits, .bits = tg3 },
    { "tg3-altima", 0x173b, 0x03eb, NIC, .check = has_only_bits, .bits = tg3 },
    { "tg3-apple", 0x106b, 0x1645, NIC, .check = has_only_bits, .bits = tg3 },

    { "intel-hda-tcsel", 0x8086, 0x2668, HDA, .check = has_only_bits, .bits = tcsel },
    { "ati-hda-snoop", 0x1002, 0x4383, HDA, .check = has_only_bits, .bits = ati_snoop },
    { "nvidia-hda-snoop", 0x10de, 0x0e0f, HDA, .check = has_only_bits, .bits = nvidia_snoop },
    { "intel-ahci-pcs", 0x8086, 0x2922, SATA, .check = has_only_bits, .bits = pcs },
    { "intel-uhci-legacy", 0x8086, 0x2934, 0x0c0300, .shape = bare, .check = has_only_bits,
      .bits = uhci_legacy },
    { "intel-ehci-legacy", 0x8086, 0x293a, 0x0c0320, .shape = ehci, .check = has_only_bits,
      .bits = ehci_legacy },
    { "hp-nc340t-pcix-command", 0x8086, 0x10b5, NIC, .shape = pcix, .check = has_only_bits,
      .bits = pcix_command },
    { "igd-registers", 0x8086, 0x5912, VGA, .shape = igd, .check = has_only_bits,
      .bits = igd_registers },

    { "i219-lm-link-af", 0x8086, 0x550a, NIC, .shape = i219, .check = links, .want = 0x13e0 },
    { "i219-v-link-af", 0x8086, 0x15bc, NIC, .revision = 0x10, .shape = i219, .check = links,
      .want = 0x13e0 },
    { "qat-dh895xcc-vf-link-exp", 0x8086, 0x0443, ACCEL, .shape = qat_vf, .check = links,
      .want = 0x1050 },
    { "82599-vf-hide-exp", 0x8086, 0x10ed, NIC, .shape = vf_82599, .check = hides_standard,
      .want = PCI_CAP_EXP },
    { "vmd-shadow-registers", 0x8086, 0x9a0b, 0x010400, .shape = vmd, .check = adds,
      .bits = shadow },
    { "nvidia-gpudirect-clique", 0x10de, 0x1eb8, 0x030200, .check = adds, .bits = clique },

    { "citrine-config-size", 0x1014, 0x028c, 0x010400, .check = ends_at, .want = 0xa0 },
    { "nfp-config-size", 0x19ee, 0x6000, NIC, .check = ends_at, .want = 0x600 },

    { "megaraid-vpd", 0x1000, 0x005d, 0x010400, .check = hides_standard, .want = PCI_CAP_VPD },
    { "attansic-vpd", 0x1969, 0x1026, NIC, .check = hides_standard, .want = PCI_CAP_VPD },
    { "chelsio-t3-vpd-size", 0x1425, 0x0031, NIC, .check = vpd_ends_at, .want = 8192 },
    { "chelsio-t4-vpd-size", 0x1425, 0x5410, NIC, .check = vpd_ends_at, .want = 2048 },

    { "pericom-no-msi-no-pme", 0x12d8, 0x400e, 0x0c0310, .check = has_no_pme, .want = 1,
      .bits = no_pme },
    { "asmedia-no-d0-pme", 0x1b21, 0x2142, XHCI, .check = has_no_pme, .bits = no_d0_pme },
    { "amd-sb600-no-msi", 0x1002, 0x4389, 0x0c0310, .check = has_no_msi },
    { "broadcom-intx-with-msi", 0x14e4, 0x1669, NIC, .check = intx_stays_enabled },
    { "ati-sata-intx-with-msi", 0x1002, 0x4391, SATA, .check = intx_stays_enabled },
    { "attansic-intx-with-msi", 0x1969, 0x1063, NIC, .check = intx_stays_enabled },
    { "attansic-qca-intx-with-msi", 0x1969, 0x1091, NIC, .revision = 0x17,
      .check = intx_stays_enabled },
    { "chelsio-t3-intx", 0x1425, 0x0030, NIC, .check = intx_is_warned_of },
    { "ralink-rt2800-intx", 0x1814, 0x0601, 0x028000, .check = intx_is_warned_of },
    { "ceton-infinitv-intx", 0x1b7c, 0x0004, 0x040000, .check = intx_is_warned_of },
    { "creative-x-fi-intx", 0x1102, 0x000b, 0x040100, .check = intx_is_warned_of },
    { "realtek-8169-intx", 0x10ec, 0x8169, NIC, .check = intx_is_warned_of },
    { "i40e-intx", 0x8086, 0x1572, NIC, .check = intx_is_warned_of },
    { "mellanox-connectx-intx", 0x15b3, 0x1003, NIC, .check = intx_is_warned_of },
    { "mellanox-connectx4-intx", 0x15b3, 0x1013, NIC, .check = intx_is_warned_of },

    { "bcm57810-rom", 0x14e4, 0x168e, NIC, .check = has_no_rom },
    { "i210-rom", 0x8086, 0x1533, NIC, .check = has_no_rom },
    { "apex-class", 0x1ac1, 0x089a, 0x0000ff, .check = has_class, .want = 0x0880ff },
    { "tw686x-class", 0x1797, 0x6869, 0, .check = has_class, .want = 0x048001 },
    { "ncr-53c810-class", 0x1000, 0x0001, 0, .revision = 1, .check = has_class, .want = 0x010000 },
    { "amd-dwc-usb-class", 0x1022, 0x163a, XHCI, .check = has_class, .want = 0x0c03fe },

    { "amd-gpu-no-ats", 0x1002, 0x7340, VGA, .check = hides_extended, .want = 0x0f },
    { "amd-raven-no-ats", 0x1002, 0x15d8, VGA, .revision = 0xcf, .subsystem_vendor = 0xea50,
      .subsystem_device = 0xcc10, .check = hides_extended, .want = 0x0f },
    { "intel-e2000-no-ats", 0x8086, 0x145c, NIC, .revision = 0x1f, .check = hides_extended,
      .want = 0x0f },
    { "ar928x-no-msix", 0x168c, 0x002a, 0x028000, .check = has_no_msix },

    { "intel-ax2xx-msix-page", 0x8086, 0x2723, 0x028000, .check = assigned,
      .want = PB_ASSIGN_WARN },
    { "ati-config-mirror", 0x1002, 0x68f9, VGA, .check = assigned, .want = PB_ASSIGN_WARN },
    { "nvidia-config-mirror", 0x10de, 0x1eb8, 0x030200, .check = assigned, .want = PB_ASSIGN_WARN },
    { "realtek-8168-msix-door", 0x10ec, 0x8168, NIC, .check = assigned, .want = PB_ASSIGN_WARN },
    { "qat-deny", 0x8086, 0x37c8, ACCEL, .check = assigned, .want = PB_ASSIGN_DENY },
    { "dsa-iax-deny", 0x8086, 0x0b25, 0x088000, .check = assigned, .want = PB_ASSIGN_DENY },
    { "ricoh-dma-alias", 0x1180, 0xe832, FW, .check = assigned, .want = PB_ASSIGN_WARN },
    { "glenfly-dma-alias", 0x6766, 0x3d40, HDA, .check = assigned, .want = PB_ASSIGN_WARN },
    { "marvell-sata-dma-alias", 0x1b4b, 0x9230, SATA, .check = assigned, .want = PB_ASSIGN_WARN },
    { "highpoint-dma-alias", 0x1103, 0x0642, SATA, .check = assigned, .want = PB_ASSIGN_WARN },
    { "jmicron-jmb388-dma-alias", 0x197b, 0x2392, 0x088000, .check = assigned,
      .want = PB_ASSIGN_WARN },
    { "plextor-m6e-dma-alias", 0x1c28, 0x0122, SATA, .check = assigned, .want = PB_ASSIGN_WARN },
    { "adaptec-3405-dma-alias", 0x9005, 0x0285, 0x010400, .subsystem_vendor = 0x9005,
      .subsystem_device = 0x02bb, .check = assigned, .want = PB_ASSIGN_WARN },
    { "xeon-phi-x200-dma-alias", 0x8086, 0x2260, ACCEL, .check = assigned, .want = PB_ASSIGN_WARN },
    { "radeon-reset-bug", 0x1002, 0x67b0, HDA, .check = assigned, .want = PB_ASSIGN_WARN },

    { "atheros-no-bus-reset", 0x168c, 0x003e, 0x028000, .check = resets_never, .want = BUS },
    { "qualcomm-no-bus-reset", 0x17cb, 0x1103, 0x028000, .check = resets_never, .want = BUS },
    { "nvidia-no-bus-reset", 0x10de, 0x237f, 0x030200, .check = resets_never, .want = BUS },
    { "ti-keystone-no-bus-reset", 0x104c, 0xb005, 0x048000, .check = resets_never, .want = BUS },
    { "asmedia-1164-no-bus-reset", 0x1b21, 0x1164, SATA, .check = resets_never, .want = BUS },
    { "ati-vga-no-pm-reset", 0x1002, 0x68f9, VGA, .check = resets_never,
      .want = 1U << PB_RESET_BY_PM },
    { "mellanox-spectrum-no-pm-reset", 0x15b3, 0xcb84, NIC, .check = resets_never,
      .want = 1U << PB_RESET_BY_PM },
    { "amd-no-flr", 0x1022, 0x149c, XHCI, .check = resets_never, .want = 1U << PB_RESET_BY_FLR },
    { "intel-82579-no-flr", 0x8086, 0x1502, NIC, .check = resets_never,
      .want = 1U << PB_RESET_BY_FLR | 1U << PB_RESET_BY_AF_FLR },
    { "solidrun-snet-no-flr", 0xd063, 0x1000, NIC, .revision = 1, .check = resets_never,
      .want = 1U << PB_RESET_BY_FLR },
    { "intel-dc-nvme-flr-delay", 0x8086, 0x0953, NVME, .check = waits_after_reset, .want = 250 },
    { "solidigm-p44-flr-delay", 0x025e, 0xf1ac, NVME, .check = waits_after_reset, .want = 250 },
    { "nvidia-hda-d3-delay", 0x10de, 0x0e0f, HDA, .check = waits_for_d3, .want = 20 },
    { "amd-ryzen-xhci-d3-delay", 0x1022, 0x1639, XHCI, .check = waits_for_d3, .want = 20 },
    { "82599-vf-reset", 0x8086, 0x10ed, NIC, .shape = vf_82599, .check = resets_by,
      .want = METHODS1 },
    { "igd-ivb-reset", 0x8086, 0x0166, VGA, .shape = igd, .check = resets_by, .want = METHODS1 },
    { "chelsio-t4-reset", 0x1425, 0x4401, NIC, .check = resets_by, .want = METHODS1 },
    { "hinic-vf-reset", 0x19e5, 0x375e, NIC, .check = resets_by, .want = METHODS1 },
    { "amd-vendor-reset", 0x1002, 0x687f, VGA, .check = resets_by,
      .want = 0xff0000U | PB_RESET_BY_BUS << 8 | PB_RESET_BY_DEVICE_SPECIFIC },
    { "samsung-sm961-quiesce", 0x144d, 0xa804, NVME, .check = has_plugin,
      .plugin = "nvme-quiesce" },
    { "nvme-quiesce-any", 0x1b36, 0x0010, NVME, .check = has_plugin, .plugin = "nvme-quiesce" },
    { "i219-lm-flr", 0x8086, 0x550a, NIC, .shape = i219, .check = has_plugin,
      .plugin = "i219-flr" },
    { "i219-v-flr", 0x8086, 0x15bc, NIC, .revision = 0x10, .shape = i219, .check = has_plugin,
      .plugin = "i219-flr" },
    { "igd-view", 0x8086, 0x5912, VGA, .shape = igd, .check = has_plugin, .bits = igd_view,
      .plugin = "igd-view" },
    { "wcn6855-msi-readback", 0x17cb, 0x1103, 0x028000, .check = has_plugin, .bits = msi_message,
      .plugin = "msi-real-readback" },
    { "trace", 0x8086, 0x10d3, NIC, .check = has_plugin, .want = 0xff, .plugin = "trace",
      .any_device = true },
    { "lsi-fw643-reset", 0x11c1, 0x5901, FW, .check = resets_by, .want = 0xff00U | PB_RESET_BY_PM },
};

const size_t sample_count = PB_ARRAY_SIZE(samples);
