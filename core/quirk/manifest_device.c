/* SPDX-License-Identifier: MIT */
/* "device": traits. One reader for each row of PB_TRAITS. */
#include "base/bytes.h"
#include "quirk/manifest.h"

#define DELAY_MAX_MS 60000

static const char *const methods[] = {
#define X(id, name) [PB_RESET_BY_##id] = (name),
    PB_RESET_METHODS(X)
#undef X
};

static void read_config_size(const struct pb_json *at, struct pb_traits *t)
{
    t->config_size = (uint16_t)pb_json_number(at, 64, PB_CONFIG_SIZE_PCIE, 64);
    if (t->config_size % 4 != 0)
        pb_json_fail(at, "must be a multiple of 4");
}

static void read_class(const struct pb_json *at, struct pb_traits *t)
{
    t->class_code = (uint32_t)pb_json_number(at, 0, 0xffffff, 0);
}

static bool denied(const struct pb_json *at)
{
    static const char *const words[] = { "allow", "deny" };

    return pb_manifest_word(at, words, PB_ARRAY_SIZE(words), 0);
}

static void read_msi(const struct pb_json *at, struct pb_traits *t)
{
    t->deny_msi = denied(at);
}

static void read_msix(const struct pb_json *at, struct pb_traits *t)
{
    t->deny_msix = denied(at);
}

static void read_msix_max_vectors(const struct pb_json *at, struct pb_traits *t)
{
    t->msix_max_vectors = (uint16_t)pb_json_number(at, 1, 2048, 1);
}

static void read_intx(const struct pb_json *at, struct pb_traits *t)
{
    static const char *const words[] = {
        [PB_INTX_ALLOW] = "allow", [PB_INTX_WARN] = "warn", [PB_INTX_DENY] = "deny"
    };

    t->intx = (enum pb_intx)pb_manifest_word(at, words, PB_ARRAY_SIZE(words), 0);
}

static void read_intx_with_msi(const struct pb_json *at, struct pb_traits *t)
{
    static const char *const words[] = { "disable", "keep" };

    t->keep_intx = pb_manifest_word(at, words, PB_ARRAY_SIZE(words), 0);
}

static void read_rom(const struct pb_json *at, struct pb_traits *t)
{
    static const char *const words[] = { "show", "hide" };

    t->hide_rom = pb_manifest_word(at, words, PB_ARRAY_SIZE(words), 0);
}

static void read_vpd_size(const struct pb_json *at, struct pb_traits *t)
{
    t->vpd_size = (uint16_t)pb_json_number(at, 1, 32767, 1);
}

/* Names of reset methods, each at most once, in order. */
static uint8_t read_methods(const struct pb_json *at, uint8_t *ret_order, uint8_t *ret_set)
{
    size_t count = pb_json_array(at);
    uint8_t n = 0;

    if (count == 0)
        pb_json_fail(at, "must name at least one method");
    *ret_set = 0;
    for (size_t i = 0; i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);
        unsigned method = pb_manifest_word(&element, methods, PB_ARRAY_SIZE(methods), 0);

        if (!json_is_string(element.value) || (*ret_set >> method & 1)) {
            pb_json_fail(&element, "is listed twice");
            return 0;
        }
        *ret_set |= (uint8_t)(1U << method);
        ret_order[n++] = (uint8_t)method;
    }
    return n;
}

static void read_reset_method(const struct pb_json *at, struct pb_traits *t)
{
    uint8_t set;

    t->reset_method_count = read_methods(at, t->reset_method, &set);
}

static void read_no_reset(const struct pb_json *at, struct pb_traits *t)
{
    uint8_t order[PB_RESET_METHOD_COUNT];

    (void)read_methods(at, order, &t->no_reset);
}

static void read_reset_delay(const struct pb_json *at, struct pb_traits *t)
{
    t->reset_delay_ms = (uint16_t)pb_json_number(at, 0, DELAY_MAX_MS, 0);
}

static void read_d3_delay(const struct pb_json *at, struct pb_traits *t)
{
    t->d3_delay_ms = (uint16_t)pb_json_number(at, 0, DELAY_MAX_MS, 0);
}

static void read_assign(const struct pb_json *at, struct pb_traits *t)
{
    static const char *const words[] = {
        [PB_ASSIGN_ALLOW] = "allow", [PB_ASSIGN_WARN] = "warn", [PB_ASSIGN_DENY] = "deny"
    };

    t->assign = (enum pb_assign)pb_manifest_word(at, words, PB_ARRAY_SIZE(words), 0);
}

/* A trait without a row is caught by the test that reads each of PB_TRAITS. */
static void (*const readers[PB_TRAIT_COUNT])(const struct pb_json *at, struct pb_traits *t) = {
    [PB_TRAIT_CONFIG_SIZE] = read_config_size,
    [PB_TRAIT_CLASS] = read_class,
    [PB_TRAIT_MSI] = read_msi,
    [PB_TRAIT_MSIX] = read_msix,
    [PB_TRAIT_MSIX_MAX_VECTORS] = read_msix_max_vectors,
    [PB_TRAIT_INTX] = read_intx,
    [PB_TRAIT_INTX_WITH_MSI] = read_intx_with_msi,
    [PB_TRAIT_ROM] = read_rom,
    [PB_TRAIT_VPD_SIZE] = read_vpd_size,
    [PB_TRAIT_RESET_METHOD] = read_reset_method,
    [PB_TRAIT_NO_RESET] = read_no_reset,
    [PB_TRAIT_RESET_DELAY] = read_reset_delay,
    [PB_TRAIT_D3_DELAY] = read_d3_delay,
    [PB_TRAIT_ASSIGN] = read_assign,
};

void pb_manifest_read_device(const struct pb_json *at, struct pb_quirk *quirk)
{
#define X(id, key, help) (key),
    static const char *const keys[] = { PB_TRAITS(X) NULL };
#undef X

    if (!pb_json_object(at, keys) || at->error->set)
        return;
    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++) {
        struct pb_json member = pb_json_member(at, keys[i]);

        if (!member.value || at->error->set)
            continue;
        quirk->traits.set[i] = true;
        readers[i](&member, &quirk->traits);
    }
}
