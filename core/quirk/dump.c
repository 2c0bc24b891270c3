/* SPDX-License-Identifier: MIT */
#include "quirk/dump.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/layout.h"
#include "pci/regs.h"

#define LINE_BYTES 16u     /* lspci prints no other number */
#define PAGE       0x1000u /* the size of every BAR: a dump does not say it */

/* What sysfs says of every BAR, resp. ROM, beside what its register says. */
#define RES_SIZEALIGN 0x00040000u
#define RES_READONLY  0x00004000u

/* Device Capabilities: function level reset; and what an Advanced Features capability needs for one
 * (transactions pending, function level reset). */
#define EXP_DEVCAP     4
#define EXP_DEVCAP_FLR 0x10000000u
#define AF_CAP         3
#define AF_CAP_RESET   0x03u

struct line {
    const char *text;
    size_t length; /* without the end of the line */
    unsigned number;
};

struct reader {
    const char *text;
    size_t length, at;
    unsigned number;
    const char *address; /* as asked for, or NULL */
    struct pb_sbdf wanted;
    /* the device whose lines are being read */
    bool any, ours, taken; /* has there been one, is it the one that is asked for, is it read */
    unsigned next;         /* offset that the next line must have */
    struct pb_facts *facts;
    unsigned size, header;               /* of ours: bytes, number of its line */
    uint16_t named_vendor, named_device; /* in the line of `lspci -nn`; 0, 0: not */
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 4, 5))) static int bad(struct reader *r, int rc, unsigned line,
                                                     const char *fmt, ...)
{
    size_t used;
    va_list ap;
    int n = snprintf(r->why, r->why_size, "line %u: ", line);

    used = n < 0 ? 0 : (size_t)n;
    if (used < r->why_size) {
        va_start(ap, fmt);
        (void)vsnprintf(r->why + used, r->why_size - used, fmt, ap);
        va_end(ap);
    }
    return rc;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_line(struct reader *r, struct line *ret)
{
    const char *begin = r->text + r->at, *end;

    if (r->at >= r->length)
        return false;
    end = memchr(begin, '\n', r->length - r->at);
    ret->text = begin;
    ret->length = end ? (size_t)(end - begin) : r->length - r->at;
    ret->number = ++r->number;
    r->at += ret->length + 1;
    while (ret->length > 0 && blank(begin[ret->length - 1]))
        ret->length--;
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* How many hexadecimal digits there are from AT on, and their value as far as it fits. */
static size_t hex(const struct line *line, size_t at, uint32_t *ret)
{
    size_t n = 0;

    *ret = 0;
    for (; at + n < line->length && digit(line->text[at + n]) >= 0; n++)
        *ret = *ret << 4 | (uint32_t)digit(line->text[at + n]);
    return n;
}

static bool is(const struct line *line, size_t at, char c)
{
    return at < line->length && line->text[at] == c;
}

/* "03:00.0 …" or "0000:03:00.0 …": the length of the address; 0: another line. */
static size_t address_length(const struct line *line)
{
    uint32_t value;
    size_t at = hex(line, 0, &value), n;

    if (at < 2 || !is(line, at, ':'))
        return 0;
    n = hex(line, at + 1, &value);
    at += 1 + n;
    if (n != 2)
        return 0;
    if (is(line, at, ':')) {
        n = hex(line, at + 1, &value);
        at += 1 + n;
        if (n != 2)
            return 0;
    }
    if (!is(line, at, '.') || hex(line, at + 1, &value) != 1)
        return 0;
    at += 2;
    return at == line->length || is(line, at, ' ') ? at : 0;
}

/* The last "8086:10ca" of the line: `lspci -n` and `-nn` print it. */
static void named_ids(struct reader *r, const struct line *line, size_t from)
{
    r->named_vendor = r->named_device = 0;
    for (size_t at = from; at < line->length; at++) {
        uint32_t vendor, device;
        size_t n = hex(line, at, &vendor);

        if (n == 4 && is(line, at + 4, ':') && hex(line, at + 5, &device) == 4 &&
            (is(line, at - 1, '[') || is(line, at - 1, ' '))) {
            r->named_vendor = (uint16_t)vendor;
            r->named_device = (uint16_t)device;
        }
        if (n > 0)
            at += n - 1;
    }
}

static int begin_device(struct reader *r, const struct line *line, size_t length)
{
    struct pb_sbdf sbdf = { 0 };
    char text[PB_SBDF_TEXT];
    bool valid = false;

    if (length < sizeof(text)) {
        memcpy(text, line->text, length);
        text[length] = 0;
        valid = pb_sbdf_parse(text, &sbdf);
    }
    if (!r->address && r->any)
        return bad(r, -EEXIST, line->number, "a second device: say which one is meant");
    r->any = true;
    /* One that has no address of ours (a domain beyond ffff) can only be passed over. */
    r->ours = valid && (!r->address || pb_sbdf_equal(sbdf, r->wanted));
    r->next = 0;
    if (!valid && !r->address)
        return bad(r, -EINVAL, line->number, "the address is out of range");
    if (!r->ours)
        return 0;
    if (r->taken)
        return bad(r, -EINVAL, line->number, "this device a second time");
    r->taken = true;
    r->facts->sbdf = sbdf;
    r->header = line->number;
    named_ids(r, line, length);
    return 0;
}

/* "1a0: 01 02 …", sixteen bytes, each line where the one before ended. */
static int hex_line(struct reader *r, const struct line *line, uint32_t offset, size_t at)
{
    if (!r->any)
        return bad(r, -EINVAL, line->number, "registers before the line that names their device");
    if (offset != r->next)
        return bad(r, -EINVAL, line->number, "0x%03x where 0x%03x comes next", offset, r->next);
    if (offset + LINE_BYTES > PB_CONFIG_SIZE_PCIE)
        return bad(r, -EINVAL, line->number, "0x%x is beyond configuration space", offset);
    for (unsigned i = 0; i < LINE_BYTES; i++, at += 3) {
        uint32_t value;

        if (!is(line, at, ' ') || hex(line, at + 1, &value) != 2)
            return bad(r, -EINVAL, line->number, "sixteen bytes of two digits are expected");
        if (r->ours)
            r->facts->config[offset + i] = (uint8_t)value;
    }
    if (at != line->length)
        return bad(r, -EINVAL, line->number, "more than sixteen bytes");
    r->next += LINE_BYTES;
    if (r->ours)
        r->size = r->next;
    return 0;
}

/* Other lines (`lspci -v` prints many) are for people. */
static int read_line(struct reader *r, const struct line *line)
{
    size_t length = address_length(line);
    uint32_t offset;
    size_t n;

    if (length)
        return begin_device(r, line, length);
    n = hex(line, 0, &offset);
    if ((n == 2 || n == 3) && is(line, n, ':') && (is(line, n + 1, ' ') || n + 1 == line->length))
        return hex_line(r, line, offset, n + 1);
    return 0;
}

static uint64_t length_of(uint64_t start)
{
    /* A BAR lies at a multiple of its size. */
    return start & (PAGE - 1) ? start & -start : PAGE;
}

static void set_resource(struct pb_resource *res, uint64_t start, uint64_t flags)
{
    *res = (struct pb_resource){ .start = start,
                                 .end = start + length_of(start) - 1,
                                 .flags = flags | RES_SIZEALIGN };
}

static void read_bars(struct pb_facts *facts)
{
    uint32_t rom = pb_le32(facts->config + PCI_ROM_ADDRESS);

    for (size_t i = 0; i < PB_PCI_BARS; i++) {
        uint32_t low = pb_le32(facts->config + PCI_BAR0 + 4 * i);
        struct pb_resource *res = &facts->resource[i];
        uint64_t start = low & ~PCI_BAR_MEM_TYPE_MASK, flags;

        if (low & 1) {
            start = low & ~PCI_BAR_IO_TYPE_MASK;
            if (start)
                set_resource(res, start, PB_RES_IO | (low & PCI_BAR_IO_TYPE_MASK));
            continue;
        }
        flags = PB_RES_MEM | (low & PCI_BAR_MEM_TYPE_MASK);
        if (low & 0x8)
            flags |= PB_RES_PREFETCH;
        if ((low & 0x6) == 0x4 && i + 1 < PB_PCI_BARS) {
            flags |= PB_RES_MEM_64;
            start |= (uint64_t)pb_le32(facts->config + PCI_BAR0 + 4 * ++i) << 32;
        }
        if (start)
            set_resource(res, start, flags);
    }
    if (rom & ~PCI_ROM_TYPE_MASK)
        set_resource(&facts->resource[PB_PCI_ROM], rom & ~PCI_ROM_TYPE_MASK,
                     PB_RES_MEM | RES_READONLY | (rom & PCI_ROM_ENABLE));
}

/* What the capabilities promise, in Linux's order; what the kernel knows better is not in a dump.
 */
static void guess_resets(struct pb_facts *facts)
{
    const uint8_t *config = facts->config;
    struct pb_layout layout;
    bool flr, af_flr, pm;

    if (pb_layout_read(facts, &layout) != 0)
        return;
    flr = layout.exp && pb_le32(config + layout.exp + EXP_DEVCAP) & EXP_DEVCAP_FLR;
    af_flr = layout.af && (config[layout.af + AF_CAP] & AF_CAP_RESET) == AF_CAP_RESET;
    pm = layout.pm && !layout.no_soft_reset;
    (void)snprintf(facts->reset_methods, sizeof(facts->reset_methods), "%s%s%s%s%s",
                   flr ? "flr" : "", flr && (af_flr || pm) ? " " : "", af_flr ? "af_flr" : "",
                   af_flr && pm ? " " : "", pm ? "pm" : "");
}

static int identify(struct reader *r)
{
    struct pb_facts *facts = r->facts;
    const uint8_t *config = facts->config;

    facts->vendor = pb_le16(config + PCI_VENDOR_ID);
    facts->device = pb_le16(config + PCI_DEVICE_ID);
    /* Only a virtual function has no ids of its own and registers all the same. */
    if (pb_le32(config) == UINT32_MAX && pb_le32(config + PCI_REVISION) != UINT32_MAX) {
        if (!r->named_vendor)
            return bad(r, -EINVAL, r->header,
                       "a virtual function, whose ids are not in its registers: take lspci -nn "
                       "-xxxx");
        facts->virtual_function = true;
        facts->vendor = r->named_vendor;
        facts->device = r->named_device;
    }
    facts->revision = config[PCI_REVISION];
    facts->class_code = pb_le32(config + PCI_REVISION) >> 8;
    facts->subsystem_vendor = pb_le16(config + PCI_SUBSYSTEM);
    facts->subsystem_device = pb_le16(config + PCI_SUBSYSTEM + 2);
    if (!facts->virtual_function && config[PCI_INTERRUPT_PIN] && config[PCI_INTERRUPT_LINE] != 0xff)
        facts->irq = config[PCI_INTERRUPT_LINE];
    if ((config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) == PCI_HEADER_TYPE_NORMAL)
        read_bars(facts);
    guess_resets(facts);
    return 0;
}

int pb_dump_parse(const char *text, size_t length, const char *address, struct pb_facts *ret,
                  char *why, size_t why_size)
{
    struct reader r = {
        .text = text,
        .length = length,
        .address = address,
        .facts = ret,
        .why = why,
        .why_size = why_size,
    };
    struct line line;
    int rc = 0;

    memset(ret, 0, sizeof(*ret));
    if (address && !pb_sbdf_parse(address, &r.wanted)) {
        (void)snprintf(why, why_size, "%.40s is not an address", address);
        return -EINVAL;
    }
    while (rc == 0 && next_line(&r, &line))
        rc = read_line(&r, &line);
    if (rc)
        return rc;
    if (!r.taken)
        return bad(&r, -ENOENT, r.number, "the text ends without %s",
                   address ? address : "a device");
    if (r.size != PB_CONFIG_SIZE_PCI && r.size != PB_CONFIG_SIZE_PCIE)
        return bad(&r, -EINVAL, r.header,
                   r.size < PB_CONFIG_SIZE_PCI
                       ? "only %u bytes of this device: take lspci -xxx (or -xxxx) as root"
                       : "%u bytes of this device, neither 256 nor 4096",
                   r.size);
    ret->config_size = (uint16_t)r.size;
    return identify(&r);
}
