/* SPDX-License-Identifier: MIT */
#include "quirk/lint.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "pci/regs.h"

#define ALL   0xffffffffu
#define NEVER true

/* SIZE may be more than a register: then the mask is for each dword. */
struct danger {
    enum pb_place_kind kind;
    uint16_t cap, offset;
    uint32_t mask;
    uint16_t size;
    bool never; /* the baseline locks these bits, or an effect keeps them (core/pci/baseline*.c) */
    const char *why;
};

/* The first row that fits counts, so what is never possible comes first. */
static const struct danger dangers[] = {
    { PB_AT_OFFSET, 0, PCI_COMMAND,
      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
          PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_RESERVED,
      2, NEVER, "decode, error reporting and INTX_DISABLE of COMMAND are the backend's" },
    { PB_AT_OFFSET, 0, PCI_BAR0, ALL, 24, NEVER,
      "a BAR that moves takes the addresses of other devices" },
    { PB_AT_OFFSET, 0, PCI_ROM_ADDRESS, ALL, 4, NEVER,
      "a ROM that moves takes the addresses of other devices" },
    { PB_AT_CAP, PCI_CAP_MSI, PCI_MSI_FLAGS, ALL, 2, NEVER,
      "Xen controls MSI; there is allow_interrupt_control in the configuration" },
    { PB_AT_CAP, PCI_CAP_MSI, PCI_MSI_BODY, ALL, 20, NEVER,
      "with MSI's address and data a guest can raise any interrupt" },
    { PB_AT_CAP, PCI_CAP_MSIX, PCI_MSIX_FLAGS, ALL, 10, NEVER,
      "Xen controls MSI-X; there is allow_interrupt_control in the configuration" },
    { PB_AT_CAP, PCI_CAP_PM, PCI_PM_CTRL, PCI_PM_CTRL_PME_ENABLE, 2, NEVER,
      "PME wakes the host, and no guest can receive it" },
    { PB_AT_CAP, PCI_CAP_VPD, PCI_VPD_ADDR, PCI_VPD_ADDR_F, 2, NEVER,
      "F starts a write of the device's EEPROM" },
    { PB_AT_CAP, PCI_CAP_VPD, PCI_VPD_DATA, ALL, 4, NEVER,
      "it is what a write of the device's EEPROM would store" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_DEVCTL,
      PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM | PCI_EXP_DEVCTL_FLR,
      2, NEVER,
      "error messages go to the host, payload size must fit the path, phantom functions use other "
      "requester ids, and a reset needs managing" },
    { PB_AT_CAP, PCI_CAP_AF, PCI_AF_CTRL, PCI_AF_CTRL_FLR, 1, NEVER, "a reset needs managing" },
    { PB_AT_EXT_CAP, PCI_EXT_AER, PCI_AER_UNCOR_STATUS, ALL, 0x30, NEVER,
      "AER: which errors reach the host is the host's to decide" },

    { PB_AT_OFFSET, 0, PCI_COMMAND,
      PCI_COMMAND_SPECIAL | PCI_COMMAND_VGA_PALETTE | PCI_COMMAND_WAIT | PCI_COMMAND_FAST_BACK, 2,
      false, "COMMAND decides what the device does on the bus" },
    { PB_AT_OFFSET, 0, PCI_INTERRUPT_LINE, ALL, 1, false, "the host keeps its routing there" },
    { PB_AT_CAP, PCI_CAP_PM, PCI_PM_CTRL, PCI_PM_CTRL_STATE | PCI_PM_CTRL_NO_SOFT_RST, 2, false,
      "power states need their delays, and registers are lost in D3" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_DEVCTL,
      PCI_EXP_DEVCTL_EXTTAG | PCI_EXP_DEVCTL_AUX | PCI_EXP_DEVCTL_READREQ, 2, false,
      "tags and read requests must fit the path, AUX power the slot" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_LNKCTL, ALL, 2, false,
      "Link Control is an agreement with the port above: ASPM, retraining, link disable" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_SLTCTL, ALL, 2, false, "Slot Control is the host's" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_RTCTL, ALL, 2, false, "Root Control is the host's" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_DEVCTL2, ALL, 2, false,
      "Device Control 2 must fit the path: completion timeout, atomics, LTR, OBFF, ARI" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_LNKCTL2, ALL, 2, false,
      "Link Control 2 sets the link's speed" },
    { PB_AT_CAP, PCI_CAP_EXP, PCI_EXP_SLTCTL2, ALL, 2, false, "Slot Control 2 is the host's" },
    { PB_AT_EXT_CAP, 0x02, 4, ALL, 0x7c, false, "virtual channels must fit the path" },
    { PB_AT_EXT_CAP, 0x0d, 4, ALL, 0x2c, false, "ACS keeps functions apart from one another" },
    { PB_AT_EXT_CAP, 0x12, 4, ALL, 0x2c, false, "multicast reaches other devices" },
    { PB_AT_EXT_CAP, 0x18, 4, ALL, 4, false, "latency tolerance is the host's to set" },
    { PB_AT_EXT_CAP, 0x1d, 4, ALL, 0x30, false, "DPC takes links down" },
    { PB_AT_EXT_CAP, 0x1e, 4, ALL, 0x10, false,
      "L1 substates are an agreement with the port above" },
    { PB_AT_EXT_CAP, 0x1f, 4, ALL, 8, false, "PTM is an agreement with the port above" },
};

/* Bits of the register at AT that ROW is about, whose bytes are those from START to END. */
static uint32_t bits_of_row(const struct danger *row, unsigned start, unsigned end, unsigned at,
                            unsigned size)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < size; i++) {
        unsigned byte = at + i;

        if (byte >= start && byte < end)
            bits |= (row->mask >> 8 * ((byte - start) % 4) & 0xff) << 8 * i;
    }
    return bits;
}

const char *pb_lint_danger(const struct pb_place *place, unsigned size, uint32_t bits,
                           bool *ret_never)
{
    const char *why;

    *ret_never = true;
    if (bits && place->kind != PB_AT_OFFSET &&
        pb_caps_hidden_by_default(place->kind == PB_AT_EXT_CAP, place->cap, &why))
        return why;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(dangers); i++) {
        const struct danger *row = &dangers[i];

        if (row->kind != place->kind || (row->kind != PB_AT_OFFSET && row->cap != place->cap) ||
            !(bits & bits_of_row(row, row->offset, (unsigned)row->offset + row->size, place->offset,
                                 size)))
            continue;
        *ret_never = row->never;
        return row->why;
    }
    *ret_never = false;
    return NULL;
}

static bool row_applies(const struct danger *row, const struct pb_facts *facts,
                        const struct pb_cap *cap, unsigned at, unsigned size, uint32_t bits)
{
    unsigned start = cap->offset + (unsigned)row->offset, end = start + row->size;
    unsigned cap_end;

    if (row->kind == PB_AT_OFFSET)
        return bits & bits_of_row(row, start, end, at, size);
    /* Capabilities come in several lengths; what is behind one is not its register. */
    cap_end = cap->offset + pb_cap_length(facts, row->kind == PB_AT_EXT_CAP, cap->id, cap->offset);
    return cap->id == row->cap &&
           (bits & bits_of_row(row, start, end < cap_end ? end : cap_end, at, size));
}

const char *pb_lint_danger_at(const struct pb_facts *facts, const struct pb_layout *layout,
                              unsigned offset, unsigned size, uint32_t bits, bool *ret_never)
{
    static const struct pb_cap header = { 0 };

    *ret_never = false;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(dangers); i++) {
        const struct danger *row = &dangers[i];
        const struct pb_cap *cap = &header;
        unsigned count = 1;

        if (row->kind != PB_AT_OFFSET) {
            cap = row->kind == PB_AT_CAP ? layout->cap : layout->ext;
            count = row->kind == PB_AT_CAP ? layout->cap_count : layout->ext_count;
        }
        for (unsigned n = 0; n < count; n++) {
            if (!row_applies(row, facts, &cap[n], offset, size, bits))
                continue;
            *ret_never = row->never;
            return row->why;
        }
    }
    return NULL;
}

/* A manifest under inspection. */
struct lint {
    const struct pb_quirk *quirk;
    pb_lint_fn problem;
    void *ctx;
};

__attribute__((format(printf, 5, 6))) static void
report(const struct lint *lint, bool error, const char *key, size_t index, const char *fmt, ...)
{
    char reason[300], text[700];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
    if (key)
        (void)snprintf(text, sizeof(text), "%.300s: /quirks/%zu/%s/%zu: %s",
                       lint->quirk->manifest->path, lint->quirk->index, key, index, reason);
    else
        (void)snprintf(text, sizeof(text), "%.300s: /quirks/%zu: %s", lint->quirk->manifest->path,
                       lint->quirk->index, reason);
    lint->problem(lint->ctx, error, text);
}

static bool overlap(const struct pb_place *a, unsigned a_size, const struct pb_place *b,
                    unsigned b_size)
{
    return a->kind == b->kind && (a->kind == PB_AT_OFFSET || a->cap == b->cap) &&
           a->offset < b->offset + b_size && b->offset < a->offset + a_size;
}

/* What links capabilities with one another is under "capabilities". */
static bool is_list(const struct pb_place *place)
{
    static const unsigned header[] = { [PB_AT_OFFSET] = 0, [PB_AT_CAP] = 2, [PB_AT_EXT_CAP] = 4 };

    return place->offset < header[place->kind];
}

static void lint_field(const struct lint *lint, size_t n)
{
    const struct pb_quirk_field *f = &lint->quirk->field[n];
    const char *danger;
    bool never;

    if (is_list(&f->at))
        report(lint, true, "fields", n,
               "is a capability's header: what is listed is said in \"capabilities\"");
    for (size_t i = 0; i < n; i++) {
        const struct pb_quirk_field *other = &lint->quirk->field[i];

        if (overlap(&f->at, f->size, &other->at, other->size))
            report(lint, true, "fields", n, "overlaps /quirks/%zu/fields/%zu", lint->quirk->index,
                   i);
    }
    danger = pb_lint_danger(&f->at, f->size, f->write | f->w1c, &never);
    if (danger && never)
        report(lint, true, "fields", n, "can never be opened: %s", danger);
    else if (danger && !lint->quirk->unsafe)
        report(lint, true, "fields", n, "is dangerous, which takes \"unsafe\": true: %s", danger);
}

static const char *edit_key(enum pb_cap_edit_kind kind)
{
    static const char *const keys[] = {
        [PB_CAP_HIDE] = "hide", [PB_CAP_HIDE_EXT] = "hide_extended",
        [PB_CAP_SHOW] = "show", [PB_CAP_SHOW_EXT] = "show_extended",
        [PB_CAP_LINK] = "link", [PB_CAP_ADD] = "add",
    };

    return keys[kind];
}

/* Edits of one kind follow one another, so its number in its list is easy to find. */
static size_t number_in_list(const struct pb_quirk *quirk, size_t n)
{
    size_t i = n;

    while (i > 0 && quirk->edit[i - 1].kind == quirk->edit[n].kind)
        i--;
    return n - i;
}

static void lint_edit(const struct lint *lint, size_t n)
{
    const struct pb_cap_edit *e = &lint->quirk->edit[n];
    size_t number = number_in_list(lint->quirk, n);
    char key[40];

    (void)snprintf(key, sizeof(key), "capabilities/%s", edit_key(e->kind));
    if ((e->kind == PB_CAP_SHOW || e->kind == PB_CAP_SHOW_EXT) && !lint->quirk->unsafe)
        report(lint, true, key, number,
               "shows what may be hidden for safety, which takes \"unsafe\": true");
    if (e->kind != PB_CAP_LINK && e->kind != PB_CAP_ADD)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct pb_cap_edit *o = &lint->quirk->edit[i];
        unsigned o_size = o->kind == PB_CAP_ADD ? o->size : 2;

        if ((o->kind == PB_CAP_LINK || o->kind == PB_CAP_ADD) && e->at < o->at + o_size &&
            o->at < e->at + (e->kind == PB_CAP_ADD ? e->size : 2))
            report(lint, true, key, number, "overlaps /quirks/%zu/capabilities/%s/%zu",
                   lint->quirk->index, edit_key(o->kind), number_in_list(lint->quirk, i));
    }
}

static void lint_plugin(const struct lint *lint)
{
    const struct pb_quirk_plugin *p = &lint->quirk->plugin;

    for (size_t n = 0; n < p->count; n++) {
        for (size_t i = 0; i < n; i++) {
            if (overlap(&p->reg[n].at, p->reg[n].size, &p->reg[i].at, p->reg[i].size))
                report(lint, true, "plugin/registers", n,
                       "overlaps /quirks/%zu/plugin/registers/%zu", lint->quirk->index, i);
        }
    }
}

static bool does_something(const struct pb_quirk *quirk)
{
    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++) {
        if (quirk->traits.set[i])
            return true;
    }
    return quirk->field_count || quirk->edit_count || quirk->plugin.name;
}

void pb_lint_manifest(const struct pb_manifest *manifest, pb_lint_fn problem, void *ctx)
{
    for (size_t i = 0; i < manifest->count; i++) {
        const struct lint lint = { &manifest->quirk[i], problem, ctx };

        for (size_t n = 0; n < lint.quirk->field_count; n++)
            lint_field(&lint, n);
        for (size_t n = 0; n < lint.quirk->edit_count; n++)
            lint_edit(&lint, n);
        lint_plugin(&lint);
        if (!does_something(lint.quirk))
            report(&lint, false, NULL, 0, "changes nothing");
    }
}
