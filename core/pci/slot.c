/* SPDX-License-Identifier: MIT */
#include "pci/slot.h"

#include <stdio.h>
#include <string.h>

/*
 * A star stands for the function, or for device and function. The stars are replaced by zeros and
 * the rest is an address, so that both are read by the same rules.
 */
bool pb_slot_parse(const char *text, struct pb_slot *ret)
{
    size_t length = strlen(text);
    char address[PB_SBDF_TEXT];
    struct pb_sbdf sbdf;
    bool all_functions, all_devices;

    if (length >= sizeof(address) || length < 3)
        return false;
    memcpy(address, text, length + 1);
    all_functions = address[length - 1] == '*';
    all_devices = all_functions && address[length - 3] == '*';
    if (all_functions)
        address[length - 1] = '0';
    if (all_devices)
        address[length - 3] = '0';
    /* "06:1*.*" would become 06:10.0: a star must be the whole of its field */
    if (all_devices && (length < 4 || address[length - 4] != ':'))
        return false;
    if (!pb_sbdf_parse(address, &sbdf))
        return false;
    ret->segment = sbdf.segment;
    ret->bus = sbdf.bus;
    ret->device = all_devices ? -1 : (int8_t)PB_DEVFN_DEV(sbdf.devfn);
    ret->function = all_functions ? -1 : (int8_t)PB_DEVFN_FN(sbdf.devfn);
    return true;
}

bool pb_slot_matches(const struct pb_slot *slot, struct pb_sbdf sbdf)
{
    return slot->segment == sbdf.segment && slot->bus == sbdf.bus &&
           (slot->device < 0 || slot->device == PB_DEVFN_DEV(sbdf.devfn)) &&
           (slot->function < 0 || (unsigned)slot->function == PB_DEVFN_FN(sbdf.devfn));
}

const char *pb_slot_format(const struct pb_slot *slot, char buf[PB_SLOT_TEXT])
{
    char device[4] = "*", function[4] = "*";

    if (slot->device >= 0)
        (void)snprintf(device, sizeof(device), "%02x", (unsigned)slot->device & 0x1fu);
    if (slot->function >= 0)
        (void)snprintf(function, sizeof(function), "%x", (unsigned)slot->function & 7u);
    (void)snprintf(buf, PB_SLOT_TEXT, "%04x:%02x:%s.%s", slot->segment, slot->bus, device,
                   function);
    return buf;
}

bool pb_slot_equal(const struct pb_slot *a, const struct pb_slot *b)
{
    return a->segment == b->segment && a->bus == b->bus && a->device == b->device &&
           a->function == b->function;
}
