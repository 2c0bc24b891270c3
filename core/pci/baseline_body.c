/* SPDX-License-Identifier: MIT */
/*
 * The baseline's capabilities: what a guest may do with the registers of those that we know.
 *
 * Status registers are locked although nothing opens them: in permissive mode they would go back
 * as read when the guest writes beside them, and hardware would clear their errors.
 */
#include "pci/baseline.h"

#include "base/bytes.h"
#include "pci/regs.h"

static const struct pb_rule pm_rules[] = {
    { .offset = PCI_PM_PMC,
      .name = "PMC",
      .size = 2,
      .fixed = ALL16,
      .image = ALL16 & ~PCI_PM_PMC_PME,
      .swallow = true,
      .origin = "pm",
      .why = "no PME: a guest cannot receive it, and it would wake the host" },
    { .offset = PCI_PM_CTRL,
      .name = "PMCSR",
      .size = 2,
      .hw = ALL16 & ~(PCI_PM_CTRL_DATA_SEL | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_PME_ENABLE),
      .write = PCI_PM_CTRL_DATA_SEL,
      .w1c = PCI_PM_CTRL_PME_STATUS,
      .fixed = PCI_PM_CTRL_PME_ENABLE,
      .lock = PCI_PM_CTRL_PME_ENABLE,
      .effect = PB_EFFECT_PM_CONTROL,
      .origin = "pm",
      .why = "power states the device supports, with the delays they need" },
    { .offset = PCI_PM_BRIDGE,
      .name = "PMCSR_BSE",
      .size = 1,
      .hw = ALL8,
      .lock = ALL8,
      .swallow = true,
      .origin = "pm",
      .why = "bridge extensions: read-only in a type 0 function" },
    { .offset = PCI_PM_DATA,
      .name = "PM_DATA",
      .size = 1,
      .hw = ALL8,
      .lock = ALL8,
      .swallow = true,
      .origin = "pm",
      .why = "read-only in hardware; shows what Data_Select chose" },
};

static const struct pb_rule vpd_rules[] = {
    { .offset = PCI_VPD_ADDR,
      .name = "VPD_ADDRESS",
      .size = 2,
      .hw = PCI_VPD_ADDR_F,
      .write = PCI_VPD_ADDR_MASK,
      .lock = PCI_VPD_ADDR_F,
      .effect = PB_EFFECT_VPD_ADDRESS,
      .origin = "vpd",
      .why = "starts a read; F set would start a write of the device's EEPROM" },
    { .offset = PCI_VPD_DATA,
      .name = "VPD_DATA",
      .size = 4,
      .hw = ALL32,
      .lock = ALL32,
      .swallow = true,
      .origin = "vpd",
      .why = "the answer of a read; writes of VPD are refused at its address" },
};

static const struct pb_rule msi_rules[] = {
    { .offset = PCI_MSI_FLAGS,
      .name = "MSI_CONTROL",
      .size = 2,
      .hw = ALL16,
      .effect = PB_EFFECT_MSI_CONTROL,
      .origin = "msi",
      .why = "the guest asks for MSI by an operation; Xen writes this register" },
};

/* address, upper address if there is one, data */
static const struct pb_rule msi_message_rule = {
    .name = "MSI_MESSAGE",
    .size = 4,
    .fixed = ALL32,
    .lock = ALL32,
    .origin = "msi",
    .why = "address and data are Xen's: a guest that writes them can raise any interrupt, and one "
           "that reads them learns the host's vectors",
};

static const struct pb_rule msi_mask_rule = {
    .name = "MSI_MASK",
    .size = 4,
    .hw = ALL32,
    .lock = ALL32,
    .origin = "msi",
    .why = "masks are Xen's; pending bits are read-only in hardware",
};

static const struct pb_rule msix_rules[] = {
    { .offset = PCI_MSIX_FLAGS,
      .name = "MSIX_CONTROL",
      .size = 2,
      .hw = ALL16,
      .effect = PB_EFFECT_MSIX_CONTROL,
      .origin = "msix",
      .why = "the guest asks for MSI-X by an operation; Xen writes this register" },
    { .offset = PCI_MSIX_TABLE,
      .name = "MSIX_TABLE",
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "msix",
      .why = "read-only in hardware" },
    { .offset = PCI_MSIX_PBA,
      .name = "MSIX_PBA",
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "msix",
      .why = "read-only in hardware" },
};

static const struct pb_rule pcix_rules[] = {
    { .offset = PCI_PCIX_CMD,
      .name = "PCIX_COMMAND",
      .size = 2,
      .virt = PCI_PCIX_CMD_WRITABLE,
      .image = PCI_PCIX_CMD_WRITABLE,
      .hw = ALL16 & ~PCI_PCIX_CMD_WRITABLE,
      .origin = "pcix",
      .why = "drivers set read sizes and ordering; they shape a bus that others share" },
    { .offset = PCI_PCIX_STATUS,
      .name = "PCIX_STATUS",
      .size = 4,
      .hw = ALL32,
      .lock = ALL32,
      .swallow = true,
      .origin = "pcix",
      .why = "its error bits are the host's to clear" },
};

#define DEVCTL_WRITE (PCI_EXP_DEVCTL_RELAX | PCI_EXP_DEVCTL_NOSNOOP)
#define DEVCTL_VIRTUAL                                                                             \
    (PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_EXTTAG | PCI_EXP_DEVCTL_AUX | \
     PCI_EXP_DEVCTL_READREQ)

/* A control register of the link, the slot or the root, and its status. */
#define EXP_SHADOW(at, register_name, reason)                                              \
    {                                                                                      \
        .offset = (at), .name = (register_name), .size = 2, .virt = ALL16, .image = ALL16, \
        .origin = "exp", .why = (reason)                                                   \
    }
#define EXP_STATUS(at, register_name, bytes, bits)                                              \
    {                                                                                           \
        .offset = (at), .name = (register_name), .size = (bytes), .hw = (bits), .lock = (bits), \
        .swallow = true, .origin = "exp",                                                       \
        .why = "read live; events and errors are the host's to clear"                           \
    }

static const struct pb_rule exp_rules[] = {
    { .offset = PCI_EXP_DEVCAP,
      .name = "DEVCAP",
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "exp",
      .why = "read-only in hardware; Function Level Reset shows only where it would be carried "
             "out" },
    { .offset = PCI_EXP_DEVCTL,
      .name = "DEVCTL",
      .size = 2,
      .write = DEVCTL_WRITE,
      .virt = DEVCTL_VIRTUAL,
      .fixed = PCI_EXP_DEVCTL_PHANTOM | PCI_EXP_DEVCTL_FLR,
      .image = DEVCTL_VIRTUAL | PCI_EXP_DEVCTL_PHANTOM,
      .lock = PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM |
              PCI_EXP_DEVCTL_FLR,
      .effect = PB_EFFECT_EXP_CONTROL,
      .origin = "exp",
      .why = "drivers clear Relaxed Ordering and No Snoop for correctness; payload size must fit "
             "the path, phantom functions use other requester ids, a reset needs managing, and "
             "error messages go to the host" },
    { .offset = PCI_EXP_DEVSTA,
      .name = "DEVSTA",
      .size = 2,
      .hw = ALL16 & ~PCI_EXP_DEVSTA_ERRORS,
      .fixed = PCI_EXP_DEVSTA_ERRORS,
      .lock = ALL16,
      .swallow = true,
      .origin = "exp",
      .why = "Transactions Pending is read live; errors are reported to the host, which clears "
             "them" },
    EXP_SHADOW(PCI_EXP_LNKCTL, "LNKCTL", "the other end of the link is the host's"),
    EXP_STATUS(PCI_EXP_LNKSTA, "LNKSTA", 2, ALL16),
    EXP_SHADOW(PCI_EXP_SLTCTL, "SLTCTL", "a slot is the host's"),
    EXP_STATUS(PCI_EXP_SLTSTA, "SLTSTA", 2, ALL16),
    EXP_SHADOW(PCI_EXP_RTCTL, "RTCTL", "the root is the host's"),
    EXP_STATUS(PCI_EXP_RTSTA, "RTSTA", 4, ALL32),
    EXP_SHADOW(PCI_EXP_DEVCTL2, "DEVCTL2",
               "timeouts, atomics, LTR and OBFF must fit the path to the root"),
    EXP_STATUS(PCI_EXP_DEVSTA2, "DEVSTA2", 2, ALL16),
    EXP_SHADOW(PCI_EXP_LNKCTL2, "LNKCTL2", "the other end of the link is the host's"),
    EXP_STATUS(PCI_EXP_LNKSTA2, "LNKSTA2", 2, ALL16),
    EXP_SHADOW(PCI_EXP_SLTCTL2, "SLTCTL2", "a slot is the host's"),
    EXP_STATUS(PCI_EXP_SLTSTA2, "SLTSTA2", 2, ALL16),
};

static const struct pb_rule af_rules[] = {
    { .offset = PCI_AF_CAP,
      .name = "AF_CAP",
      .size = 1,
      .fixed = ALL8,
      .image = ALL8,
      .origin = "af",
      .why = "read-only in hardware; Function Level Reset shows only where it would be carried "
             "out" },
    { .offset = PCI_AF_CTRL,
      .name = "AF_CONTROL",
      .size = 1,
      .hw = ALL8 & ~PCI_AF_CTRL_FLR,
      .fixed = PCI_AF_CTRL_FLR,
      .lock = PCI_AF_CTRL_FLR,
      .effect = PB_EFFECT_AF_CONTROL,
      .origin = "af",
      .why = "a reset needs managing: registers and interrupts are lost in it" },
    { .offset = PCI_AF_STATUS,
      .name = "AF_STATUS",
      .size = 1,
      .hw = ALL8,
      .lock = ALL8,
      .swallow = true,
      .origin = "af",
      .why = "Transactions Pending is read live; read-only in hardware" },
};

#define AER_SHADOW(at, register_name)                                                      \
    {                                                                                      \
        .offset = (at), .name = (register_name), .size = 4, .virt = ALL32, .image = ALL32, \
        .lock = ALL32, .origin = "aer",                                                    \
        .why = "which errors reach the host, and how, is the host's to decide"             \
    }
#define AER_STATUS(at, register_name)                                                             \
    {                                                                                             \
        .offset = (at), .name = (register_name), .size = 4, .fixed = ALL32, .lock = ALL32,        \
        .swallow = true, .origin = "aer",                                                         \
        .why = "errors are reported to the host, which clears them; guests clear what they find " \
               "at start"                                                                         \
    }
#define AER_LIVE(at, register_name)                                                     \
    {                                                                                   \
        .offset = (at), .name = (register_name), .size = 4, .hw = ALL32, .lock = ALL32, \
        .origin = "aer", .why = "the log of the first error, and root registers"        \
    }

static const struct pb_rule aer_rules[] = {
    AER_STATUS(PCI_AER_UNCOR_STATUS, "UNCOR_STATUS"),
    AER_SHADOW(PCI_AER_UNCOR_MASK, "UNCOR_MASK"),
    AER_SHADOW(PCI_AER_UNCOR_SEVERITY, "UNCOR_SEVERITY"),
    AER_STATUS(PCI_AER_COR_STATUS, "COR_STATUS"),
    AER_SHADOW(PCI_AER_COR_MASK, "COR_MASK"),
    { .offset = PCI_AER_CONTROL,
      .name = "AER_CONTROL",
      .size = 4,
      .hw = ALL32 & ~PCI_AER_CONTROL_ENABLE,
      .virt = PCI_AER_CONTROL_ENABLE,
      .image = PCI_AER_CONTROL_ENABLE,
      .lock = ALL32,
      .origin = "aer",
      .why = "the other end must check the ECRC that this one generates" },
    AER_LIVE(PCI_AER_HEADER_LOG, "HEADER_LOG"),
    AER_LIVE(PCI_AER_HEADER_LOG + 4, "HEADER_LOG"),
    AER_LIVE(PCI_AER_HEADER_LOG + 8, "HEADER_LOG"),
    AER_LIVE(PCI_AER_HEADER_LOG + 12, "HEADER_LOG"),
    AER_LIVE(PCI_AER_ROOT_COMMAND, "ROOT_COMMAND"),
    AER_LIVE(PCI_AER_ROOT_STATUS, "ROOT_STATUS"),
};

/* ---- which of them a device gets ---------------------------------------------------------------
 */

struct body {
    bool extended;
    uint16_t id;
    const struct pb_rule *rules;
    size_t count;
};

#define BODY(extended, id, rules)                     \
    {                                                 \
        (extended), (id), rules, PB_ARRAY_SIZE(rules) \
    }

static const struct body bodies[] = {
    BODY(false, PCI_CAP_PM, pm_rules),     BODY(false, PCI_CAP_VPD, vpd_rules),
    BODY(false, PCI_CAP_MSI, msi_rules),   BODY(false, PCI_CAP_MSIX, msix_rules),
    BODY(false, PCI_CAP_PCIX, pcix_rules), BODY(false, PCI_CAP_EXP, exp_rules),
    BODY(false, PCI_CAP_AF, af_rules),     BODY(true, PCI_EXT_AER, aer_rules),
};

/* What is other for this device than the row says. */
static void tune(const struct pb_baseline *b, const struct body *body, struct pb_rule *rule)
{
    if (body->rules == exp_rules && rule->offset == PCI_EXP_DEVCAP &&
        !(b->flr >> PB_RESET_BY_FLR & 1))
        rule->image &= ~PCI_EXP_DEVCAP_FLR;
    if (body->rules == af_rules && rule->offset == PCI_AF_CAP &&
        !(b->flr >> PB_RESET_BY_AF_FLR & 1))
        rule->image &= ~PCI_AF_CAP_FLR;
}

/* A table that was made smaller: its size is the only bit of the register that hardware differs in.
 */
static void shrink_table(const struct pb_baseline *b, const struct pb_cap_seen *cap,
                         struct pb_rule *rule)
{
    uint32_t own = pb_le16(b->facts->config + cap->offset + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE;

    if (rule->effect != PB_EFFECT_MSIX_CONTROL || b->caps->seen.msix_vectors == own + 1)
        return;
    rule->hw &= ~PCI_MSIX_FLAGS_QSIZE;
    rule->fixed = PCI_MSIX_FLAGS_QSIZE;
    rule->value = b->caps->seen.msix_vectors - 1U;
    pb_baseline_blame(b, PB_TRAIT_MSIX_MAX_VECTORS, rule);
}

static void add_msi_body(struct pb_baseline *b)
{
    const struct pb_layout *seen = &b->caps->seen;
    unsigned message = seen->msi_64bit ? 3 : 2;

    for (unsigned i = 0; i < pb_layout_msi_dwords(seen); i++)
        pb_baseline_add(b, i < message ? &msi_message_rule : &msi_mask_rule,
                        seen->msi + PCI_MSI_BODY + 4 * i);
}

void pb_baseline_body(struct pb_baseline *b, const struct pb_cap_seen *cap)
{
    const struct body *body = NULL;

    for (size_t i = 0; i < PB_ARRAY_SIZE(bodies); i++) {
        if (bodies[i].extended == cap->extended && bodies[i].id == cap->id)
            body = &bodies[i];
    }
    if (!body)
        return;
    for (size_t i = 0; i < body->count; i++) {
        struct pb_rule rule = body->rules[i];

        /* what lies in the next capability is not this one's */
        if (rule.offset + rule.size > cap->size)
            continue;
        tune(b, body, &rule);
        shrink_table(b, cap, &rule);
        pb_baseline_add(b, &rule, cap->offset);
    }
    if (body->rules == msi_rules)
        add_msi_body(b);
}
