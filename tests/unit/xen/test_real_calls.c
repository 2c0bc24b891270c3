/* SPDX-License-Identifier: MIT */
/*
 * What the hypercall files hand to Xen's libraries, and what they make of the answers. The linker
 * replaces the libraries' functions by those here (--wrap), so no Xen is needed.
 */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
#include "xen/real.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <xenctrl.h> /* first: it chooses which parts of Xen's headers there are */

#include <xen/physdev.h>
#include <xencall.h>
#include <xenevtchn.h>

/* --- libxencall --- */

static struct {
    unsigned op, command, calls;
    struct physdev_map_pirq map;
    struct physdev_unmap_pirq unmap;
    struct physdev_pci_device device;
    int answer_pirq;  /* of map_pirq */
    int answer_count; /* of map_pirq of several: 0 leaves it */
    int error;
} hyper;

int __wrap_xencall2(xencall_handle *call, unsigned op, uint64_t arg1, uint64_t arg2);
int __wrap_xencall2(xencall_handle *call, unsigned op, uint64_t arg1, uint64_t arg2)
{
    void *arg = (void *)(uintptr_t)arg2;

    (void)call;
    hyper.op = op;
    hyper.command = (unsigned)arg1;
    hyper.calls++;
    if (arg1 == PHYSDEVOP_map_pirq) {
        memcpy(&hyper.map, arg, sizeof(hyper.map));
        ((struct physdev_map_pirq *)arg)->pirq = hyper.answer_pirq;
        if (hyper.answer_count)
            ((struct physdev_map_pirq *)arg)->entry_nr = hyper.answer_count;
    } else if (arg1 == PHYSDEVOP_unmap_pirq) {
        memcpy(&hyper.unmap, arg, sizeof(hyper.unmap));
    } else {
        memcpy(&hyper.device, arg, sizeof(hyper.device));
    }
    if (!hyper.error)
        return 0;
    errno = hyper.error;
    return -1;
}

xencall_handle *__wrap_xencall_open(xentoollog_logger *logger, unsigned flags);
xencall_handle *__wrap_xencall_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    return (xencall_handle *)&hyper;
}

int __wrap_xencall_close(xencall_handle *call);
int __wrap_xencall_close(xencall_handle *call)
{
    assert_ptr_equal(call, &hyper);
    return 0;
}

void *__wrap_xencall_alloc_buffer(xencall_handle *call, size_t size);
void *__wrap_xencall_alloc_buffer(xencall_handle *call, size_t size)
{
    (void)call;
    return calloc(1, size);
}

void __wrap_xencall_free_buffer(xencall_handle *call, void *p);
void __wrap_xencall_free_buffer(xencall_handle *call, void *p)
{
    (void)call;
    free(p);
}

static void open_calls(struct pb_real *r)
{
    memset(r, 0, sizeof(*r));
    memset(&hyper, 0, sizeof(hyper));
    assert_int_equal(pb_real_call_open(r), 0);
    r->xen.ops = &r->ops;
}

static void msi_is_mapped_with_segment_and_free_numbers(void **state)
{
    struct pb_msi_request request = { .sbdf = { 0xfedc, 0x83, PB_DEVFN(0x1f, 7) }, .entry = 9 };
    struct pb_real r;
    uint32_t pirq = 0;

    (void)state;
    open_calls(&r);
    hyper.answer_pirq = 55;
    assert_int_equal(r.ops.map_msi(&r.xen, 3, &request, &pirq), 0);
    assert_int_equal(pirq, 55);
    assert_int_equal(hyper.op, __HYPERVISOR_physdev_op);
    assert_int_equal(hyper.map.domid, 3);
    assert_int_equal(hyper.map.type, MAP_PIRQ_TYPE_MSI_SEG);
    assert_int_equal(hyper.map.index, -1);
    assert_int_equal(hyper.map.pirq, -1);
    assert_int_equal((uint32_t)hyper.map.bus, 0xfedc0083u);
    assert_int_equal(hyper.map.devfn, 0xff);
    assert_int_equal(hyper.map.entry_nr, 0); /* MSI has no entry and no table */
    assert_true(hyper.map.table_base == 0);

    request.msix = true;
    hyper.calls = 0;
    assert_int_equal(r.ops.map_msi(&r.xen, 3, &request, &pirq), -EINVAL); /* would be MSI */
    assert_int_equal(hyper.calls, 0);
    request.table_base = UINT64_C(0x3800fe000000);
    assert_int_equal(r.ops.map_msi(&r.xen, 3, &request, &pirq), 0);
    assert_int_equal(hyper.map.entry_nr, 9);
    assert_true(hyper.map.table_base == request.table_base);

    hyper.error = ENOSPC;
    pirq = 0;
    assert_int_equal(r.ops.map_msi(&r.xen, 3, &request, &pirq), -ENOSPC);
    assert_int_equal(pirq, 0);
    assert_int_equal(r.ops.map_msi(&r.xen, 0x7ff1, &request, &pirq), -EINVAL);
    assert_int_equal(r.ops.map_msi(&r.xen, 0x10003, &request, &pirq), -EINVAL);
    pb_real_call_close(&r);
}

static void H18_several_vectors_come_in_a_row(void **state)
{
    struct pb_sbdf sbdf = { 0xfedc, 0x83, PB_DEVFN(0x1f, 7) };
    struct pb_real r;
    uint32_t first = 0;
    unsigned count = 0;

    (void)state;
    open_calls(&r);
    hyper.answer_pirq = 60;
    hyper.answer_count = 4; /* rounded up */
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 3, &first, &count), 0);
    assert_int_equal(first, 60);
    assert_int_equal(count, 4);
    assert_int_equal(hyper.op, __HYPERVISOR_physdev_op);
    assert_int_equal(hyper.map.domid, 3);
    assert_int_equal(hyper.map.type, MAP_PIRQ_TYPE_MULTI_MSI);
    assert_int_equal(hyper.map.pirq, -1); /* H10 */
    assert_int_equal((uint32_t)hyper.map.bus, 0xfedc0083u);
    assert_int_equal(hyper.map.devfn, 0xff);
    assert_int_equal(hyper.map.entry_nr, 3);
    assert_true(hyper.map.table_base == 0); /* else it would be MSI-X */

    hyper.error = ENFILE;
    hyper.answer_count = 2;
    first = 0;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 8, &first, &count), -ENFILE);
    assert_int_equal(first, 0);
    assert_int_equal(count, 2);
    hyper.error = EOPNOTSUPP;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 8, &first, &count), -EOPNOTSUPP);
    assert_int_equal(count, 0);
    pb_real_call_close(&r);
}

static void H18_fewer_vectors_than_asked_for_are_given_back(void **state)
{
    struct pb_sbdf sbdf = { 0, 3, 0 };
    struct pb_real r;
    uint32_t first = 0;
    unsigned count = 0;

    (void)state;
    open_calls(&r);
    hyper.answer_pirq = 60;
    hyper.answer_count = 2;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 4, &first, &count), -EIO);
    assert_int_equal(hyper.command, PHYSDEVOP_unmap_pirq);
    assert_int_equal(hyper.unmap.pirq, 60);
    hyper.answer_count = 64;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 4, &first, &count), -EIO);
    assert_int_equal(hyper.command, PHYSDEVOP_unmap_pirq);
    hyper.answer_pirq = -1;
    hyper.answer_count = 4;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 4, &first, &count), -EIO);
    assert_int_equal(hyper.command, PHYSDEVOP_map_pirq);
    hyper.calls = 0;
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 1, &first, &count), -EINVAL);
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 3, sbdf, 33, &first, &count), -EINVAL);
    assert_int_equal(r.ops.map_multi_msi(&r.xen, 0x7ff1, sbdf, 4, &first, &count), -EINVAL);
    assert_int_equal(hyper.calls, 0);
    assert_int_equal(first, 0);
    pb_real_call_close(&r);
}

static void a_gsi_keeps_its_number(void **state)
{
    struct pb_real r;

    (void)state;
    open_calls(&r);
    hyper.answer_pirq = 17;
    assert_int_equal(r.ops.map_gsi(&r.xen, 3, 17), 0);
    assert_int_equal(hyper.map.type, MAP_PIRQ_TYPE_GSI);
    assert_int_equal(hyper.map.index, 17);
    assert_int_equal(hyper.map.pirq, 17);
    assert_int_equal(hyper.calls, 1);
    hyper.answer_pirq = 18;
    assert_int_equal(r.ops.map_gsi(&r.xen, 3, 17), -EEXIST);
    assert_int_equal(hyper.command, PHYSDEVOP_unmap_pirq);
    assert_int_equal(hyper.unmap.pirq, 18);
    hyper.error = EPERM;
    assert_int_equal(r.ops.map_gsi(&r.xen, 3, 17), -EPERM);
    pb_real_call_close(&r);
}

/* H16: "already prepared" and "in use" are one error of Xen's, handed on as it is. */
static void device_operations_name_the_function(void **state)
{
    struct pb_sbdf sbdf = { 1, 0x40, PB_DEVFN(2, 1) };
    struct pb_real r;

    (void)state;
    open_calls(&r);
    assert_int_equal(r.ops.msix_prepare(&r.xen, sbdf), 0);
    assert_int_equal(hyper.command, PHYSDEVOP_prepare_msix);
    assert_int_equal(hyper.device.seg, 1);
    assert_int_equal(hyper.device.bus, 0x40);
    assert_int_equal(hyper.device.devfn, 0x11);
    hyper.error = EBUSY;
    assert_int_equal(r.ops.msix_prepare(&r.xen, sbdf), -EBUSY);
    hyper.error = 0;
    assert_int_equal(r.ops.msix_release(&r.xen, sbdf), 0);
    assert_int_equal(hyper.command, PHYSDEVOP_release_msix);
    assert_int_equal(r.ops.msi_restore(&r.xen, sbdf), 0);
    assert_int_equal(hyper.command, PHYSDEVOP_restore_msi_ext);
    assert_int_equal(r.ops.unmap_pirq(&r.xen, 3, 55), 0);
    assert_int_equal(hyper.unmap.domid, 3);
    assert_int_equal(hyper.unmap.pirq, 55);
    hyper.error = ESRCH; /* the domain is gone */
    assert_int_equal(r.ops.unmap_pirq(&r.xen, 3, 55), -ESRCH);
    pb_real_call_close(&r);
}

/* --- libxenctrl --- */

static xc_dominfo_t domain;
static int domains, ctrl_error;
static struct {
    uint32_t domid, sbdf, flag;
    unsigned long first, count;
    int allow;
} ctrl;

int __wrap_xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max, xc_dominfo_t *info);
int __wrap_xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max, xc_dominfo_t *info)
{
    (void)xch;
    (void)first;
    assert_int_equal(max, 1);
    *info = domain;
    if (domains < 0)
        errno = ctrl_error;
    return domains;
}

static int ctrl_result(void)
{
    errno = ctrl_error;
    return ctrl_error ? -1 : 0;
}

int __wrap_xc_test_assign_device(xc_interface *xch, uint32_t domid, uint32_t sbdf);
int __wrap_xc_test_assign_device(xc_interface *xch, uint32_t domid, uint32_t sbdf)
{
    (void)xch;
    ctrl.domid = domid;
    ctrl.sbdf = sbdf;
    return ctrl_result();
}

int __wrap_xc_assign_device(xc_interface *xch, uint32_t domid, uint32_t sbdf, uint32_t flag);
int __wrap_xc_assign_device(xc_interface *xch, uint32_t domid, uint32_t sbdf, uint32_t flag)
{
    (void)xch;
    ctrl.domid = domid;
    ctrl.sbdf = sbdf;
    ctrl.flag = flag;
    return ctrl_result();
}

int __wrap_xc_domain_iomem_permission(xc_interface *xch, uint32_t domid, unsigned long first,
                                      unsigned long count, uint8_t allow);
int __wrap_xc_domain_iomem_permission(xc_interface *xch, uint32_t domid, unsigned long first,
                                      unsigned long count, uint8_t allow)
{
    (void)xch;
    ctrl.domid = domid;
    ctrl.first = first;
    ctrl.count = count;
    ctrl.allow = allow;
    return ctrl_result();
}

xc_interface *__wrap_xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
                                       unsigned flags);
xc_interface *__wrap_xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
                                       unsigned flags)
{
    (void)dombuild;
    (void)flags;
    assert_non_null(logger); /* without one, the library writes to stderr itself */
    return (xc_interface *)&ctrl;
}

int __wrap_xc_interface_close(xc_interface *xch);
int __wrap_xc_interface_close(xc_interface *xch)
{
    assert_ptr_equal(xch, &ctrl);
    return 0;
}

static void open_ctrl(struct pb_real *r)
{
    memset(r, 0, sizeof(*r));
    memset(&domain, 0, sizeof(domain));
    domains = 1;
    ctrl_error = 0;
    assert_int_equal(pb_real_ctrl_open(r), 0);
}

static void only_the_domain_that_was_asked_for(void **state)
{
    struct pb_domain d;
    struct pb_real r;

    (void)state;
    open_ctrl(&r);
    domain.domid = 6;
    memset(domain.handle, 0x5a, sizeof(domain.handle));
    assert_int_equal(r.ops.domain_get(&r.xen, 5, &d), -ENOENT); /* the next one was found */
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), 0);
    assert_int_equal(d.domid, 6);
    assert_int_equal(d.handle[0], 0x5a);
    assert_int_equal(d.handle[15], 0x5a);
    assert_false(d.shutdown || d.dying || d.hvm);
    assert_int_equal(d.shutdown_reason, 0);

    domain.crashed = 1; /* then the library clears "shutdown" */
    domain.dying = 1;
    domain.hvm = 1;
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), 0);
    assert_true(d.shutdown && d.dying && d.hvm);
    assert_int_equal(d.shutdown_reason, 3);
    domain.crashed = 0; /* H20: suspend is not death; the reason must arrive */
    domain.shutdown = 1;
    domain.shutdown_reason = 2;
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), 0);
    assert_true(d.shutdown);
    assert_int_equal(d.shutdown_reason, 2);

    domains = 0;
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), -ENOENT);
    domains = -1;
    ctrl_error = ESRCH;
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), -ENOENT);
    ctrl_error = EACCES;
    assert_int_equal(r.ops.domain_get(&r.xen, 6, &d), -EACCES);
    assert_int_equal(r.ops.domain_get(&r.xen, PB_DOMID_IO, &d), -ENOENT);
    pb_real_ctrl_close(&r);
}

static void assignment_and_permissions(void **state)
{
    struct pb_sbdf sbdf = { 1, 0x40, 0x11 };
    struct pb_real r;

    (void)state;
    open_ctrl(&r);
    assert_int_equal(r.ops.device_assign(&r.xen, PB_DOMID_IO, sbdf), 0);
    assert_int_equal(ctrl.domid, 0x7ff1);
    assert_int_equal(ctrl.sbdf, 0x00014011);
    assert_int_equal(ctrl.flag, XEN_DOMCTL_DEV_RDM_RELAXED);
    assert_int_equal(r.ops.allow_memory(&r.xen, 4, UINT64_C(0x3800fe000), 16, true), 0);
    assert_true(ctrl.first == 0x3800fe000 && ctrl.count == 16 && ctrl.allow == 1);
    assert_int_equal(r.ops.allow_memory(&r.xen, 4, 1, 1, false), 0);
    assert_int_equal(ctrl.allow, 0);
    ctrl_error = EINVAL;
    assert_int_equal(r.ops.device_test(&r.xen, 4, sbdf), -EBUSY);
    ctrl_error = EOPNOTSUPP; /* a domain without IOMMU */
    assert_int_equal(r.ops.device_test(&r.xen, 4, sbdf), -EOPNOTSUPP);
    assert_int_equal(r.ops.device_assign(&r.xen, 4, sbdf), -EOPNOTSUPP);
    pb_real_ctrl_close(&r);
}

/* --- libxenevtchn and the descriptor --- */

static int pair[2];
static int next_port, bind_error;
static int read_error, write_error;
static unsigned writes; /* of ours */
static unsigned resets;

xenevtchn_handle *__wrap_xenevtchn_open(xentoollog_logger *logger, unsigned flags);
xenevtchn_handle *__wrap_xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    assert_false(flags & XENEVTCHN_NO_CLOEXEC); /* H5 */
    return (xenevtchn_handle *)&pair;
}

int __wrap_xenevtchn_fd(xenevtchn_handle *h);
int __wrap_xenevtchn_fd(xenevtchn_handle *h)
{
    (void)h;
    return pair[0];
}

int __wrap_xenevtchn_close(xenevtchn_handle *h);
int __wrap_xenevtchn_close(xenevtchn_handle *h)
{
    (void)h;
    return 0;
}

int __wrap_xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote);
int __wrap_xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote)
{
    (void)h;
    (void)domid;
    (void)remote;
    errno = bind_error;
    return bind_error ? -1 : next_port++;
}

int __wrap_xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port);
int __wrap_xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h;
    (void)port;
    return 0;
}

ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size)
{
    if (fd == pair[0] && read_error) {
        errno = read_error;
        return -1;
    }
    return __real_read(fd, buf, size);
}

ssize_t __real_write(int fd, const void *buf, size_t size);
ssize_t __wrap_write(int fd, const void *buf, size_t size);
ssize_t __wrap_write(int fd, const void *buf, size_t size)
{
    if (fd == pair[0]) {
        writes++;
        errno = write_error;
        if (write_error)
            return -1;
    }
    return __real_write(fd, buf, size);
}

int __wrap_ioctl(int fd, unsigned long command, ...);
int __wrap_ioctl(int fd, unsigned long command, ...)
{
    assert_int_equal(fd, pair[0]);
    assert_int_equal(command, 0x4505); /* IOCTL_EVTCHN_RESET */
    resets++;
    read_error = 0;
    return 0;
}

static struct {
    uint32_t port[512];
    size_t count;
    unsigned calls;
    struct pb_real *unbind_all_of;
} seen;

static void on_ports(void *ctx, const uint32_t *ports, size_t count)
{
    assert_ptr_equal(ctx, &seen);
    assert_true(count > 0 && count <= 64 && seen.count + count <= 512);
    memcpy(seen.port + seen.count, ports, count * sizeof(*ports));
    seen.count += count;
    seen.calls++;
    for (size_t i = 0; seen.unbind_all_of && i < count; i++)
        (void)seen.unbind_all_of->ops.port_unbind(&seen.unbind_all_of->xen, ports[i]);
}

static void open_evtchn(struct pb_real *r)
{
    memset(r, 0, sizeof(*r));
    memset(&seen, 0, sizeof(seen));
    next_port = 100;
    bind_error = read_error = write_error = 0;
    resets = writes = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    r->loop = ev_loop_new(EVFLAG_AUTO);
    assert_int_equal(pb_real_evtchn_open(r), 0);
    r->xen.ops = &r->ops;
    r->xen.events = (struct pb_xen_events){ .ports_pending = on_ports, .ctx = &seen };
}

static void close_evtchn(struct pb_real *r)
{
    pb_real_evtchn_close(r);
    ev_loop_destroy(r->loop);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void ports_arrive_in_batches(void **state)
{
    uint32_t ports[64];
    struct pb_real r;

    (void)state;
    open_evtchn(&r);
    ev_run(r.loop, EVRUN_NOWAIT); /* nothing there: does not block */
    assert_int_equal(seen.calls, 0);
    for (uint32_t i = 0; i < 64; i++)
        ports[i] = i;
    assert_int_equal(write(pair[1], ports, sizeof(ports)), sizeof(ports));
    assert_int_equal(write(pair[1], ports, 4), 4);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(seen.calls, 1); /* one read a turn */
    assert_int_equal(seen.count, 64);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(seen.count, 65);
    close_evtchn(&r);
}

/* H15 */
static void an_overflow_reports_every_bound_port_once(void **state)
{
    uint32_t port, junk = 1;
    struct pb_real r;
    bool reported[300] = { false };

    (void)state;
    open_evtchn(&r);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(r.ops.port_bind(&r.xen, 1, i, &port), 0);
        assert_int_equal(port, 100 + i);
    }
    bind_error = EINVAL;
    assert_int_equal(r.ops.port_bind(&r.xen, 1, 1, &port), -EINVAL);
    assert_int_equal(r.ops.port_unbind(&r.xen, 150), 0);
    assert_int_equal(r.ops.port_unbind(&r.xen, 299), 0);

    seen.unbind_all_of = &r; /* callbacks may change what is bound */
    read_error = EFBIG;
    assert_int_equal(write(pair[1], &junk, sizeof(junk)), sizeof(junk));
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(resets, 1);
    assert_int_equal(seen.count, 198);
    for (size_t i = 0; i < seen.count; i++) {
        assert_in_range(seen.port[i], 100, 298);
        assert_false(reported[seen.port[i]]);
        reported[seen.port[i]] = true;
    }
    assert_false(reported[150]);
    assert_int_equal(r.port_count, 0);

    read_error = EFBIG; /* with nothing bound */
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(resets, 2);
    assert_int_equal(seen.count, 198);
    close_evtchn(&r);
}

/* The ports that were unmasked since the last time, in one call; their number. */
static size_t unmasked(uint32_t ret_ports[64])
{
    ssize_t n = recv(pair[1], ret_ports, 64 * sizeof(ret_ports[0]), MSG_DONTWAIT);

    return n < 0 ? 0 : (size_t)n / sizeof(ret_ports[0]);
}

static void all_ports_of_a_round_are_unmasked_by_one_call(void **state)
{
    uint32_t ports[64];
    struct pb_real r;

    (void)state;
    open_evtchn(&r);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(r.ops.port_unmask(&r.xen, 200 + i), 0);
    assert_int_equal(writes, 0);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(writes, 1);
    assert_int_equal(unmasked(ports), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ports[i], 200 + i);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(writes, 1); /* nothing to say: not a call */

    /* more than fit: those that are full do not wait */
    for (uint32_t i = 0; i < 65; i++)
        assert_int_equal(r.ops.port_unmask(&r.xen, 300 + i), 0);
    assert_int_equal(unmasked(ports), 64);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(unmasked(ports), 1);
    assert_int_equal(ports[0], 364);
    assert_int_equal(writes, 3);
    close_evtchn(&r);
}

/* Its number may be another guest's by then, whose port waits for its back-off. */
static void a_port_that_was_unbound_is_not_unmasked(void **state)
{
    uint32_t port, ports[64];
    struct pb_real r;

    (void)state;
    open_evtchn(&r);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(r.ops.port_bind(&r.xen, 1, i, &port), 0);
        assert_int_equal(r.ops.port_unmask(&r.xen, port), 0);
    }
    assert_int_equal(r.ops.port_unbind(&r.xen, 100), 0);
    assert_int_equal(r.ops.port_unbind(&r.xen, 102), 0);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(unmasked(ports), 1);
    assert_int_equal(ports[0], 101);
    close_evtchn(&r);
}

static void what_could_not_be_unmasked_is_tried_again(void **state)
{
    uint32_t ports[64];
    struct pb_real r;

    (void)state;
    open_evtchn(&r);
    write_error = ENOMEM;
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(r.ops.port_unmask(&r.xen, i), 0);
    assert_int_equal(r.ops.port_unmask(&r.xen, 64), -ENOMEM); /* no room to remember it */
    ev_run(r.loop, EVRUN_NOWAIT);
    write_error = 0;
    assert_int_equal(unmasked(ports), 0);
    ev_run(r.loop, EVRUN_NOWAIT);
    assert_int_equal(unmasked(ports), 64);
    close_evtchn(&r);
}
/* NOLINTEND(bugprone-reserved-identifier) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(msi_is_mapped_with_segment_and_free_numbers),
        cmocka_unit_test(H18_several_vectors_come_in_a_row),
        cmocka_unit_test(H18_fewer_vectors_than_asked_for_are_given_back),
        cmocka_unit_test(a_gsi_keeps_its_number),
        cmocka_unit_test(device_operations_name_the_function),
        cmocka_unit_test(only_the_domain_that_was_asked_for),
        cmocka_unit_test(assignment_and_permissions),
        cmocka_unit_test(ports_arrive_in_batches),
        cmocka_unit_test(an_overflow_reports_every_bound_port_once),
        cmocka_unit_test(all_ports_of_a_round_are_unmasked_by_one_call),
        cmocka_unit_test(a_port_that_was_unbound_is_not_unmasked),
        cmocka_unit_test(what_could_not_be_unmasked_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
