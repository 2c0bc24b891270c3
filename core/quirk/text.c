/* SPDX-License-Identifier: MIT */
#include "quirk/text.h"

#include <stdio.h>

#include "base/bytes.h"

static const char *const trait_names[] = {
#define X(id, key, help) (key),
    PB_TRAITS(X)
#undef X
};

static const char *const method_names[] = {
#define X(id, name) (name),
    PB_RESET_METHODS(X)
#undef X
};

static const char *const class_names[PB_BITS_COUNT] = {
    [PB_BITS_HW] = "hw",           [PB_BITS_WRITE] = "write", [PB_BITS_W1C] = "w1c",
    [PB_BITS_VIRTUAL] = "virtual", [PB_BITS_FIXED] = "fixed",
};

const char *pb_text_trait_name(enum pb_trait trait)
{
    return trait_names[trait];
}

static const char *number(unsigned value, char *buf)
{
    (void)snprintf(buf, PB_TRAIT_TEXT_MAX, "%u", value);
    return buf;
}

static const char *ordered_methods(const struct pb_traits *t, char *buf)
{
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < t->reset_method_count && n < PB_TRAIT_TEXT_MAX; i++)
        n += (size_t)snprintf(buf + n, PB_TRAIT_TEXT_MAX - n, "%s%s", i ? " " : "",
                              method_names[t->reset_method[i]]);
    return buf;
}

static const char *set_of_methods(unsigned set, char *buf)
{
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < PB_RESET_METHOD_COUNT && n < PB_TRAIT_TEXT_MAX; i++) {
        if (set >> i & 1)
            n += (size_t)snprintf(buf + n, PB_TRAIT_TEXT_MAX - n, "%s%s", n ? " " : "",
                                  method_names[i]);
    }
    return buf;
}

const char *pb_text_trait(const struct pb_traits *traits, enum pb_trait trait,
                          char buf[PB_TRAIT_TEXT_MAX])
{
    static const char *const intx[] = { "allow", "warn", "deny" };
    static const char *const assign[] = { "allow", "warn", "deny" };

    switch (trait) {
    case PB_TRAIT_CONFIG_SIZE:
        return number(traits->config_size, buf);
    case PB_TRAIT_CLASS:
        (void)snprintf(buf, PB_TRAIT_TEXT_MAX, "0x%06x", traits->class_code);
        return buf;
    case PB_TRAIT_MSI:
        return traits->deny_msi ? "deny" : "allow";
    case PB_TRAIT_MSIX:
        return traits->deny_msix ? "deny" : "allow";
    case PB_TRAIT_MSIX_MAX_VECTORS:
        return number(traits->msix_max_vectors, buf);
    case PB_TRAIT_INTX:
        return intx[traits->intx];
    case PB_TRAIT_INTX_WITH_MSI:
        return traits->keep_intx ? "keep" : "disable";
    case PB_TRAIT_ROM:
        return traits->hide_rom ? "hide" : "show";
    case PB_TRAIT_VPD_SIZE:
        return number(traits->vpd_size, buf);
    case PB_TRAIT_RESET_METHOD:
        return ordered_methods(traits, buf);
    case PB_TRAIT_NO_RESET:
        return set_of_methods(traits->no_reset, buf);
    case PB_TRAIT_RESET_DELAY:
        return number(traits->reset_delay_ms, buf);
    case PB_TRAIT_D3_DELAY:
        return number(traits->d3_delay_ms, buf);
    case PB_TRAIT_ASSIGN:
        return assign[traits->assign];
    case PB_TRAIT_COUNT:
        break;
    }
    return "";
}

const char *pb_text_class(enum pb_bits bits)
{
    return class_names[bits];
}

const char *pb_text_cap(bool extended, uint16_t id, char buf[8])
{
    const char *name = pb_cap_name(extended, id);

    if (name)
        return name;
    (void)snprintf(buf, 8, "0x%02x", (unsigned)id);
    return buf;
}

uint32_t pb_text_bits(const struct pb_map *map, enum pb_bits bits, unsigned offset, unsigned size)
{
    const uint8_t *const masks[PB_BITS_COUNT] = {
        [PB_BITS_WRITE] = map->write,
        [PB_BITS_W1C] = map->w1c,
        [PB_BITS_VIRTUAL] = map->virt,
        [PB_BITS_FIXED] = map->fixed,
    };
    uint32_t others = 0;

    if (bits != PB_BITS_HW)
        return pb_le_get(masks[bits] + offset, size);
    for (unsigned i = PB_BITS_WRITE; i < PB_BITS_COUNT; i++)
        others |= pb_le_get(masks[i] + offset, size);
    return pb_ones(size) & ~others;
}
