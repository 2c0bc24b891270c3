/* SPDX-License-Identifier: MIT */
#include "proto/pciif.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Xen's own definitions are the referee of every offset. */
#include <xen/io/pciif.h>
#include <xen/xen.h>

static _Alignas(4096) uint8_t page[PB_PAGE_SIZE];

static int fresh_page(void **state)
{
    (void)state;
    memset(page, 0, sizeof(page));
    return 0;
}

static struct xen_pci_sharedinfo *shared(void)
{
    return (struct xen_pci_sharedinfo *)(void *)page;
}

static void offsets_are_those_of_pciif_h(void **state)
{
    (void)state;
    assert_int_equal(PB_PAGE_FLAGS, offsetof(struct xen_pci_sharedinfo, flags));
    assert_int_equal(PB_PAGE_OP, offsetof(struct xen_pci_sharedinfo, op));
    assert_int_equal(PB_PAGE_OP_SIZE, sizeof(struct xen_pci_op));
    assert_int_equal(PB_PAGE_ERR, offsetof(struct xen_pci_sharedinfo, op.err));
    assert_int_equal(PB_PAGE_VALUE, offsetof(struct xen_pci_sharedinfo, op.value));
    assert_int_equal(PB_PAGE_ENTRIES, offsetof(struct xen_pci_sharedinfo, op.msix_entries));
    assert_int_equal(PB_PAGE_AER, offsetof(struct xen_pci_sharedinfo, aer_op));
    assert_int_equal(PB_FLAG_REQUEST, XEN_PCIF_active);
    assert_int_equal(PB_FLAG_AER_HANDLER, XEN_PCIB_AERHANDLER);
    assert_int_equal(PB_FLAG_AER, XEN_PCIB_active);
    assert_int_equal(PB_MSIX_ENTRIES_MAX, SH_INFO_MAX_VEC);
    assert_int_equal(offsetof(struct pb_msix_entry, vector),
                     offsetof(struct xen_msix_entry, vector));
    assert_int_equal(PB_CMD_CONF_READ, XEN_PCI_OP_conf_read);
    assert_int_equal(PB_CMD_CONF_WRITE, XEN_PCI_OP_conf_write);
    assert_int_equal(PB_CMD_ENABLE_MSI, XEN_PCI_OP_enable_msi);
    assert_int_equal(PB_CMD_DISABLE_MSI, XEN_PCI_OP_disable_msi);
    assert_int_equal(PB_CMD_ENABLE_MSIX, XEN_PCI_OP_enable_msix);
    assert_int_equal(PB_CMD_DISABLE_MSIX, XEN_PCI_OP_disable_msix);
    assert_int_equal(PB_CMD_ENABLE_MULTI_MSI, XEN_PCI_OP_enable_multi_msi);
}

static void the_whole_op_is_copied(void **state)
{
    struct xen_pci_op *op = &shared()->op;
    struct pb_op copy;

    (void)state;
    op->cmd = 4;
    op->domain = 1;
    op->bus = 2;
    op->devfn = 3;
    op->offset = -4;
    op->size = 2;
    op->value = 128;
    op->msix_entries[127].entry = 77;
    pb_page_take(page, &copy);
    assert_int_equal(copy.cmd, 4);
    assert_int_equal(copy.domain, 1);
    assert_int_equal(copy.bus, 2);
    assert_int_equal(copy.devfn, 3);
    assert_int_equal(copy.offset, -4);
    assert_int_equal(copy.size, 2);
    assert_int_equal(copy.value, 128);
    assert_int_equal(copy.entries[127].entry, 77);
}

static void an_answer_writes_err_value_and_vectors_only(void **state)
{
    struct pb_msix_entry entries[2] = { { .vector = 100, .entry = 9 },
                                        { .vector = 101, .entry = 9 } };

    (void)state;
    shared()->flags = XEN_PCIF_active | XEN_PCIB_AERHANDLER | XEN_PCIB_active;
    shared()->op.msix_entries[0].entry = 5;
    shared()->op.msix_entries[2].vector = 55;
    shared()->op.cmd = 4;
    assert_true(pb_page_answer(page, -5, 17, entries, 2));
    assert_int_equal(shared()->op.err, -5);
    assert_int_equal(shared()->op.value, 17);
    assert_int_equal(shared()->op.cmd, 4);
    assert_int_equal(shared()->op.msix_entries[0].vector, 100);
    assert_int_equal(shared()->op.msix_entries[0].entry, 5);
    assert_int_equal(shared()->op.msix_entries[1].vector, 101);
    assert_int_equal(shared()->op.msix_entries[2].vector, 55);
    /* the frontend's other flags stay */
    assert_int_equal(shared()->flags, XEN_PCIB_AERHANDLER | XEN_PCIB_active);
}

static void H9_no_answer_to_a_frontend_that_gave_up(void **state)
{
    (void)state;
    shared()->op.err = 0;
    assert_false(pb_page_answer(page, -5, 1, NULL, 0));
    assert_int_equal(shared()->op.err, 0);
    assert_int_equal(shared()->op.value, 0);
}

static void a_count_beyond_the_page_is_cut(void **state)
{
    struct pb_msix_entry entries[PB_MSIX_ENTRIES_MAX] = { { 0 } };

    (void)state;
    shared()->flags = XEN_PCIF_active;
    memset(&shared()->aer_op, 0x5a, sizeof(shared()->aer_op));
    assert_true(pb_page_answer(page, 0, 0, entries, UINT32_MAX));
    assert_int_equal(((uint8_t *)&shared()->aer_op)[0], 0x5a);
}

/* XSA-155: a second thread flips a field while requests are taken; a copy never changes its mind.
 */
static volatile int stop;

static void *flip(void *arg)
{
    volatile uint32_t *field = arg;

    while (!stop) {
        *field = 4;
        *field = 0x7ffffffc;
    }
    return NULL;
}

static void XSA_155_a_taken_op_does_not_change(void **state)
{
    pthread_t thread;
    struct pb_op op;

    (void)state;
    stop = 0;
    assert_int_equal(pthread_create(&thread, NULL, flip, &shared()->op.offset), 0);
    for (int i = 0; i < 200000; i++) {
        int32_t first;

        pb_page_take(page, &op);
        first = *(volatile int32_t *)&op.offset;
        assert_true(first == 0 || first == 4 || first == 0x7ffffffc);
        assert_int_equal(first, *(volatile int32_t *)&op.offset);
    }
    stop = 1;
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(offsets_are_those_of_pciif_h, fresh_page),
        cmocka_unit_test_setup(the_whole_op_is_copied, fresh_page),
        cmocka_unit_test_setup(an_answer_writes_err_value_and_vectors_only, fresh_page),
        cmocka_unit_test_setup(H9_no_answer_to_a_frontend_that_gave_up, fresh_page),
        cmocka_unit_test_setup(a_count_beyond_the_page_is_cut, fresh_page),
        cmocka_unit_test_setup(XSA_155_a_taken_op_does_not_change, fresh_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
