/* SPDX-License-Identifier: MIT */
/*
 * What a guest may do with its page, its port and its state, and what its device may do meanwhile:
 * the whole machine over the simulated world. The daemon lives, touches nothing of the page but
 * the fields of an answer, answers within the time that a frontend waits, does nothing to hardware
 * or hypervisor that no correct daemon does, and at the end nothing is left behind.
 *
 * The first byte chooses modes. Then records: a byte that says which, and its arguments.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "bytes_in.h"
#include "fuzz.h"
#include "machine.h"
#include "proto/pciif.h"

enum record {
    R_ACCESS,
    R_INTERRUPT,
    R_RAW,
    R_POKE,
    R_NOTIFY,
    R_TIME,
    R_STATE,
    R_PUBLISH,
    R_REGISTER,
    R_DEVICE,
    R_FLIP,
    R_VERB,
    R_DOMAIN,
    R_GIVE_UP,
    R_OTHER_GUEST,
    R_RESTART,
    R_COUNT
};

#define RECORDS_MAX 64
#define ANSWER_MS   2500 /* the frontend gives up after 2000; what waits longest ends before */

struct run {
    struct bytes_in in;
    struct machine *m;
    bool two; /* the other guest has the disk */
};

static struct sim_domain *guest(const struct run *run, unsigned domid)
{
    return sim_domain_live(run->m->w, domid);
}

/* NULL: it has none now. */
static uint8_t *page(const struct sim_domain *dom)
{
    return dom && dom->front.page ? dom->front.page->guest : NULL;
}

/* ---- what always holds -------------------------------------------------------------------------
 */

struct served {
    bool connected;
    uint64_t connects, disconnects;
    uint32_t domid;
};

static void look_at_guest(void *ctx, const struct pb_guest_view *view)
{
    struct served *served = ctx;

    if (view->domid != served->domid)
        return;
    served->connected = view->connected;
    served->connects = view->counters.connects;
    served->disconnects = view->counters.disconnects;
}

static struct served served(const struct run *run, unsigned domid)
{
    struct served ret = { .domid = domid };
    uint64_t from = 0;

    (void)pb_backend_some_guests(run->m->b, &from, UINT_MAX, look_at_guest, &ret);
    return ret;
}

/* Only an answer's fields differ. */
static void check_page(const uint8_t *before, const uint8_t *after)
{
    PB_ASSERT(memcmp(before + PB_PAGE_OP, after + PB_PAGE_OP, PB_PAGE_ERR - PB_PAGE_OP) == 0);
    PB_ASSERT(memcmp(before + PB_PAGE_ERR + 4, after + PB_PAGE_ERR + 4,
                     PB_PAGE_VALUE - PB_PAGE_ERR - 4) == 0);
    PB_ASSERT(memcmp(before + PB_PAGE_AER, after + PB_PAGE_AER, PB_PAGE_SIZE - PB_PAGE_AER) == 0);
}

/* Posts what stands in the page and waits for the answer. */
static void post(const struct run *run, unsigned domid)
{
    struct sim_domain *dom = guest(run, domid);
    struct served before = served(run, domid), after;
    uint8_t was[PB_PAGE_SIZE], *now = page(dom);
    bool flips = !TAILQ_EMPTY(&run->m->w->log.faults);
    int32_t err;

    if (!now)
        return;
    memcpy(was, now, sizeof(was));
    sim_front_set_flags(dom, PB_FLAG_REQUEST, 0);
    sim_guest_port_notify(run->m->w, dom, dom->front.port);
    for (unsigned ms = 0; ms < ANSWER_MS && sim_front_flags(dom) & PB_FLAG_REQUEST; ms += 50) {
        machine_run(run->m, 50);
        if (page(dom) != now)
            return; /* a frontend that is followed went away with it */
    }
    after = served(run, domid);
    if (!flips)
        check_page(was, now);
    if (sim_front_flags(dom) & PB_FLAG_REQUEST) {
        /* nobody looks at a page that was never published */
        PB_ASSERT(!before.connected || !after.connected || before.connects != after.connects ||
                  before.disconnects != after.disconnects || dom->front.page->maps == 0);
        sim_front_set_flags(dom, 0, PB_FLAG_REQUEST);
        return;
    }
    err = (int32_t)pb_le32(now + PB_PAGE_ERR);
    PB_ASSERT(flips || !before.connected || (err <= 0 && err >= -5) ||
              pb_le32(was + PB_PAGE_ERR) == (uint32_t)err);
}

/* ---- records -----------------------------------------------------------------------------------
 */

static void put(uint8_t *at, unsigned field, uint32_t value)
{
    pb_le_put(at + PB_PAGE_OP + (size_t)4 * field, 4, value);
}

/* cmd, err, domain, bus, devfn, offset, size, value, info */
static void put_op(uint8_t *at, uint32_t cmd, uint32_t where, uint32_t offset, uint32_t size,
                   uint32_t value)
{
    put(at, 0, cmd);
    put(at, 2, where & 0x80 ? where : 0);
    put(at, 3, where & 0x40 ? where : 0);
    put(at, 4, where & 0x3f);
    put(at, 5, offset);
    put(at, 6, size);
    put(at, 7, value);
}

static void access_op(struct run *run, unsigned domid)
{
    static const uint32_t sizes[] = { 1, 2, 4, 0, 3, 8, 0xffffffff, 0x80000000 };
    unsigned mode = bytes_take(&run->in, 1), where = bytes_take(&run->in, 1);
    uint32_t offset = bytes_take(&run->in, 2);
    uint32_t value = mode & 1 ? bytes_take(&run->in, 4) : 0;
    uint8_t *at = page(guest(run, domid));

    if (!at)
        return;
    put_op(at, mode & 1, where, mode & 0x40 ? offset << 16 | offset : offset,
           sizes[(mode >> 1) % 8], value);
    post(run, domid);
}

static void interrupt_op(struct run *run)
{
    static const uint32_t commands[] = { 2, 3, 4, 5, 10, 4, 6, 0xffffffff };
    uint32_t cmd = commands[bytes_take(&run->in, 1) % 8];
    unsigned where = bytes_take(&run->in, 1), count = bytes_take(&run->in, 1);
    unsigned entry = bytes_take(&run->in, 1), stride = bytes_take(&run->in, 1) % 4;
    uint8_t *at = page(guest(run, MACHINE_GUEST));

    if (!at)
        return;
    put_op(at, cmd, where, 0, 0, count & 0x80 ? count << 24 : count);
    for (unsigned i = 0; i < PB_MSIX_ENTRIES_MAX; i++) {
        pb_le_put(at + PB_PAGE_ENTRIES + (size_t)4 * i, 2, i);
        pb_le_put(at + PB_PAGE_ENTRIES + (size_t)4 * i + 2, 2, entry + i * stride);
    }
    post(run, MACHINE_GUEST);
}

static void raw_op(struct run *run)
{
    uint8_t op[36], *at = page(guest(run, MACHINE_GUEST));

    bytes_copy(&run->in, op, sizeof(op));
    if (!at)
        return;
    memcpy(at + PB_PAGE_OP, op, sizeof(op));
    post(run, MACHINE_GUEST);
}

static void poke(struct run *run)
{
    unsigned offset = bytes_take(&run->in, 2) % PB_PAGE_SIZE, n = bytes_take(&run->in, 1) % 64;
    uint8_t bytes[64], *at = page(guest(run, MACHINE_GUEST));

    bytes_copy(&run->in, bytes, n);
    if (at && offset + n <= PB_PAGE_SIZE)
        memcpy(at + offset, bytes, n);
}

static void notify(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_domain *dom = guest(run, MACHINE_GUEST);

    if (byte & 0x80) { /* of a port that is nobody's (H15) */
        run->m->w->ports.stray = 16 + (byte & 0x7f) * 8;
        sim_world_kick(run->m->w);
        machine_run(run->m, 1);
        return;
    }
    for (unsigned i = 0; dom && i < (byte & 0xf); i++) {
        sim_guest_port_notify(run->m->w, dom, dom->front.port);
        machine_run(run->m, byte >> 4);
    }
}

static void state(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_domain *dom = guest(run, MACHINE_GUEST);

    if (!dom)
        return;
    if (byte & 0x80)
        sim_front_follow(run->m->w, dom, byte & 0x40);
    else
        (void)sim_front_state(run->m->w, dom, (int)byte % 11);
    if (byte & 0x20)
        machine_run(run->m, 20);
}

static void publish(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_domain *dom = guest(run, MACHINE_GUEST);
    char ref[16], port[16];
    struct sim_publish what = { .ref = ref, .port = port, .magic = byte & 1 ? "6" : "7" };

    if (!dom)
        return;
    sim_front_follow(run->m->w, dom, false);
    if (byte & 2)
        sim_front_unpublish(run->m->w, dom);
    sim_front_alloc(dom);
    (void)snprintf(ref, sizeof(ref), "%u", dom->front.ref + (byte >> 2 & 1));
    (void)snprintf(port, sizeof(port), "%u", dom->front.port + (byte >> 3 & 1));
    what.state = byte & 0x10 ? -1 : 3;
    (void)sim_front_publish(run->m->w, dom, &what);
    machine_run(run->m, byte >> 5);
}

static struct sim_device *device(const struct run *run, bool disk)
{
    struct sim_device *first = TAILQ_FIRST(&run->m->w->devices);

    return disk ? TAILQ_NEXT(first, link) : first;
}

/* The device says something else than before, beyond its header (XSA-337). */
static void change_register(struct run *run)
{
    unsigned at = 0x40 + bytes_take(&run->in, 2) % (PB_CONFIG_SIZE_PCI - 0x40);
    uint8_t value = (uint8_t)bytes_take(&run->in, 1);

    device(run, at & 1)->config[at] = value;
}

static void behave(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_device *dev = device(run, byte & 1);

    dev->slow_ms = byte & 2 ? byte >> 5 : 0;
    dev->reset_ms = byte & 4 ? byte : 0;
    dev->leaves_maskall = byte & 8;
}

/* The page changes while an operation in it is carried out (XSA-155). */
static void flip_now(struct sim_world *w, json_t *action)
{
    const struct sim_domain *dom = sim_domain_live(w, MACHINE_GUEST);
    json_int_t offset = json_integer_value(json_object_get(action, "offset"));

    if (!page(dom))
        return;
    memset(page(dom) + offset, offset & 1 ? 0 : 0xff, 8);
    if (json_is_true(json_object_get(action, "gives_up")))
        sim_front_set_flags(dom, 0, PB_FLAG_REQUEST);
}

static void flip(struct run *run)
{
    static const char *const calls[] = { "cycle_read", "cycle_write", "map_*", "unmap_pirq" };
    unsigned byte = bytes_take(&run->in, 1), offset = bytes_take(&run->in, 2) % 1024;
    json_t *action = json_pack("{s:i, s:b}", "offset", (int)offset, "gives_up", byte >> 7);

    if (!sim_log_fault(&run->m->w->log, calls[byte & 3], 1 + (byte >> 2 & 7), 1, NULL, action))
        json_decref(action);
}

static void verb(struct run *run)
{
    static const struct pb_attach_options plain = { 0 };
    unsigned byte = bytes_take(&run->in, 1);
    const char *dev = byte & 0x40 ? MACHINE_DISK : MACHINE_NIC;
    const char *to = byte & 0x20 ? "6" : "5";
    struct machine *m = run->m;

    if (m->verbs >= 8)
        machine_finish(m);
    m->verbs++;
    switch (byte & 7) {
    case 0:
    case 1:
        pb_backend_detach(m->b, to, dev, byte & 1, machine_verb_done, m);
        break;
    case 2:
        pb_backend_attach(m->b, to, dev, &plain, machine_verb_done, m);
        break;
    case 3:
        pb_backend_reset(m->b, dev, machine_verb_done, m);
        break;
    case 4:
    case 5:
        pb_backend_release(m->b, dev, byte & 1, machine_verb_done, m);
        break;
    default:
        pb_backend_claim(m->b, dev, byte & 1, machine_verb_done, m);
        break;
    }
    if (byte & 0x80)
        machine_finish(m);
}

static void domain(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_domain *dom = guest(run, MACHINE_GUEST);

    if (!dom)
        (void)sim_domain_create(run->m->w, MACHINE_GUEST, "netvm", false, true);
    else if (byte & 4)
        sim_domain_destroy(run->m->w, dom, byte & 1);
    else
        sim_domain_shutdown(run->m->w, dom, byte & 3);
    machine_run(run->m, byte >> 3);
}

static void give_up(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    struct sim_domain *dom = guest(run, MACHINE_GUEST);

    if (!page(dom))
        return;
    sim_front_set_flags(dom, byte & 7, byte >> 3 & 7);
    sim_guest_port_notify(run->m->w, dom, dom->front.port);
    machine_run(run->m, byte >> 6);
}

static void one_record(struct run *run)
{
    switch ((enum record)(bytes_take(&run->in, 1) % R_COUNT)) {
    case R_ACCESS:
        access_op(run, MACHINE_GUEST);
        break;
    case R_INTERRUPT:
        interrupt_op(run);
        break;
    case R_RAW:
        raw_op(run);
        break;
    case R_POKE:
        poke(run);
        break;
    case R_NOTIFY:
        notify(run);
        break;
    case R_TIME:
        machine_run(run->m, bytes_take(&run->in, 1) * 8);
        break;
    case R_STATE:
        state(run);
        break;
    case R_PUBLISH:
        publish(run);
        break;
    case R_REGISTER:
        change_register(run);
        break;
    case R_DEVICE:
        behave(run);
        break;
    case R_FLIP:
        flip(run);
        break;
    case R_VERB:
        verb(run);
        break;
    case R_DOMAIN:
        domain(run);
        break;
    case R_GIVE_UP:
        give_up(run);
        break;
    case R_OTHER_GUEST:
        access_op(run, MACHINE_OTHER);
        break;
    case R_RESTART:
        if (run->m->options.journal)
            machine_restart(run->m);
        break;
    case R_COUNT:
    default:
        break;
    }
    machine_check(run->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = { .in = { data, size } };
    unsigned modes = bytes_take(&run.in, 1);
    struct machine_options options = {
        .permissive = modes & 1,
        .allow_interrupt_control = modes & 2,
        .no_polling = modes & 4,
        .topology = (enum pb_topology)((modes >> 3 & 3) % 3),
        .journal = modes & 0x40,
    };

    run.m = machine_new(&options);
    run.m->w->log.act = flip_now;
    PB_ASSERT(machine_connect(run.m, MACHINE_GUEST, MACHINE_NIC));
    run.two = modes & 0x20;
    PB_ASSERT(!run.two || machine_connect(run.m, MACHINE_OTHER, MACHINE_DISK));
    for (unsigned i = 0; i < RECORDS_MAX && run.in.left > 0; i++)
        one_record(&run);
    sim_log_fault_clear(&run.m->w->log);
    machine_finish(run.m);
    machine_check_clean(run.m, true);
    machine_free(run.m);
    return 0;
}
