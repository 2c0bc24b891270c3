/* SPDX-License-Identifier: MIT */
/*
 * The page that a frontend shares with its backend (xen/include/public/io/pciif.h): one request
 * slot, two flag bits. Everything in it is hostile and may change at any moment: a request is
 * copied once into struct pb_op, and only the copy is looked at (XSA-155).
 */
#ifndef PB_PROTO_PCIIF_H
#define PB_PROTO_PCIIF_H

#include <stdbool.h>
#include <stdint.h>

#define PB_PAGE_SIZE 4096

/* Byte offsets in the page; tests/unit/proto checks them against Xen's header. */
#define PB_PAGE_FLAGS       0
#define PB_PAGE_OP          4
#define PB_PAGE_OP_SIZE     548
#define PB_PAGE_ERR         8
#define PB_PAGE_VALUE       32
#define PB_PAGE_ENTRIES     40
#define PB_PAGE_AER         552

#define PB_FLAG_REQUEST     0x1u /* XEN_PCIF_active: the frontend waits for an answer */
#define PB_FLAG_AER_HANDLER 0x2u /* XEN_PCIB_AERHANDLER */
#define PB_FLAG_AER         0x4u /* XEN_PCIB_active: an AER request of ours is with the frontend */

enum pb_cmd {
    PB_CMD_CONF_READ = 0,
    PB_CMD_CONF_WRITE = 1,
    PB_CMD_ENABLE_MSI = 2,
    PB_CMD_DISABLE_MSI = 3,
    PB_CMD_ENABLE_MSIX = 4,
    PB_CMD_DISABLE_MSIX = 5,
    /* 6 to 9 are AER requests, which go the other way */
    PB_CMD_ENABLE_MULTI_MSI = 10, /* value: in the number of vectors, out the first of the pirqs */
};

#define PB_MSIX_ENTRIES_MAX 128 /* SH_INFO_MAX_VEC */
#define PB_MSI_VECTORS_MAX  32  /* PCI Local Bus 3.0, 6.8.1.3 */

struct pb_msix_entry {
    uint16_t vector; /* order in memory: vector first */
    uint16_t entry;
};

/* A private copy of a request, field for field as it stands in the page. */
struct pb_op {
    uint32_t cmd;
    int32_t err;
    uint32_t domain, bus, devfn; /* virtual */
    int32_t offset, size;
    uint32_t value;
    uint32_t info;
    struct pb_msix_entry entries[PB_MSIX_ENTRIES_MAX];
};

/* Is a request waiting? Acquires: what the frontend wrote before the flag is visible afterwards. */
bool pb_page_has_request(const void *page);

/* Copies the request, once; its entries only if it has some, which takes most of the time. */
void pb_page_take(const void *page, struct pb_op *ret);

/*
 * Is this request the one that waits, as far as the page tells? Who gave up may have posted
 * another.
 */
bool pb_page_asks(const void *page, const struct pb_op *op);
/* Are they the same request? What they ask for counts, not what else stands in them. */
bool pb_op_equal(const struct pb_op *a, const struct pb_op *b);

/*
 * Answers: err, value, and COUNT vectors; then releases the slot. Returns false, and writes
 * nothing, when the frontend no longer waits for this request (it gives up after 2 s): whatever the
 * operation did must then be undone. The caller notifies the port afterwards.
 */
bool pb_page_answer(void *page, int32_t err, uint32_t value, const struct pb_msix_entry *entries,
                    unsigned count);

#endif
