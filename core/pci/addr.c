/* SPDX-License-Identifier: MIT */
#include "pci/addr.h"

#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One to MAX_DIGITS hexadecimal digits and END at *TEXT, which is moved behind them. */
static bool hex_field(const char **text, unsigned max_digits, char end, unsigned *ret)
{
    unsigned value = 0, digits = 0;
    int digit;

    while ((digit = hex_digit(**text)) >= 0) {
        if (++digits > max_digits)
            return false;
        value = value << 4 | (unsigned)digit;
        (*text)++;
    }
    if (digits == 0 || **text != end)
        return false;
    if (end != '\0')
        (*text)++;
    *ret = value;
    return true;
}

/* sscanf would take blanks, signs and "0x"; an address that decides who gets a device must not. */
bool pb_sbdf_parse(const char *text, struct pb_sbdf *ret)
{
    const char *colon = strchr(text, ':');
    unsigned segment = 0, bus, device, function;

    if (colon && strchr(colon + 1, ':') && !hex_field(&text, 4, ':', &segment))
        return false;
    if (!hex_field(&text, 2, ':', &bus) || !hex_field(&text, 2, '.', &device) ||
        !hex_field(&text, 1, '\0', &function))
        return false;
    if (device > 0x1f || function > 7)
        return false;
    ret->segment = (uint16_t)segment;
    ret->bus = (uint8_t)bus;
    ret->devfn = PB_DEVFN(device, function);
    return true;
}

const char *pb_sbdf_format(struct pb_sbdf sbdf, char buf[PB_SBDF_TEXT])
{
    (void)snprintf(buf, PB_SBDF_TEXT, "%04x:%02x:%02x.%x", (unsigned)sbdf.segment,
                   (unsigned)sbdf.bus, (unsigned)PB_DEVFN_DEV(sbdf.devfn),
                   (unsigned)PB_DEVFN_FN(sbdf.devfn));
    return buf;
}
