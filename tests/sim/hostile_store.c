/* SPDX-License-Identifier: MIT */
/* What a guest may write into xenstore, and how often: its own directory is all its own. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "hostile_world.h"

#define FE "/local/domain/5/device/pci/0"

enum { INITIALISING = 1, INITIALISED = 3, CONNECTED = 4, CLOSING = 5, CLOSED = 6 };

static int put(struct hostile *h, const char *node, const char *value, size_t length)
{
    char path[200];

    (void)snprintf(path, sizeof(path), FE "/%s", node);
    return sim_store_write(h->w, HOSTILE, path, value, length);
}

static void rounds(struct hostile *h, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ev_run(h->loop, EVRUN_NOWAIT);
}

/* --- what the daemon says meanwhile --- */

static FILE *said;
static int saved_stderr;

static void listen(void)
{
    said = tmpfile();
    assert_non_null(said);
    (void)fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(said), STDERR_FILENO) >= 0);
    pb_log_setup(PB_LOG_TEXT, PB_LOG_INFO);
}

/* How many lines there were. */
static unsigned heard(void)
{
    unsigned lines = 0;
    int c;

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    (void)close(saved_stderr);
    rewind(said);
    while ((c = fgetc(said)) != EOF)
        lines += c == '\n';
    (void)fclose(said);
    return lines;
}

static size_t memory(void)
{
    return mallinfo2().uordblks;
}

/* --- a frontend that behaves --- */

static void settle_store(struct hostile *h)
{
    for (unsigned i = 0; i < 20000; i++) {
        rounds(h, 1);
        if (sim_world_idle(h->w) && !h->dev->task && i > 50)
            return;
        if (sim_world_idle(h->w))
            (void)usleep(100);
    }
    fail_msg("the store does not come to rest");
}

/* As a driver that is loaded: closed first, then everything anew. */
static void behave(struct hostile *h)
{
    struct pb_guest *g = pb_guest_find(h->b, HOSTILE);

    assert_non_null(g);
    (void)sim_front_state(h->w, h->dom, CLOSED);
    settle_store(h);
    sim_front_unpublish(h->w, h->dom);
    (void)sim_front_state(h->w, h->dom, INITIALISING);
    h->dom->front.state = 0;
    settle_store(h);
    sim_front_follow(h->w, h->dom, true);
    for (unsigned i = 0; i < 5000 && !(g->page && g->be_state == CONNECTED); i++) {
        rounds(h, 3);
        (void)usleep(1000);
    }
    if (!g->page || g->be_state != CONNECTED)
        fail_msg("backend %u, frontend %u: not connected", g->be_state, g->fe_state);
    h->page = h->dom->front.page->guest;
    assert_int_equal(hostile_access(h, false, 0, 4, 0), 0);
    assert_int_equal(h->last.value, 0x10d38086);
}

/* The other guest asks; how many rounds of the loop it waits. */
static unsigned other_waits(struct hostile *h)
{
    const struct pb_op op = { .size = 4 };
    unsigned n = 0;

    hostile_post(h, h->other, &op);
    sim_guest_port_notify(h->w, h->other, h->other->front.port);
    for (; hostile_waits(h->other) && n < 1000; n++)
        rounds(h, 1);
    return n;
}

/* Neither 0 nor no node: both mean that the guest gives its devices back (test_frontend). */
static void T10_a_million_states(void **state)
{
    struct hostile *h = *state;
    uint32_t seed = 10;
    size_t before = 0, most = 0;
    unsigned longest = 0, lines;

    sim_front_follow(h->w, h->dom, false);
    listen();
    for (unsigned n = 0; n < 1000000; n++) {
        (void)sim_front_state(h->w, h->dom,
                              (int)(1 + (n % 3 ? hostile_random(&seed) % 9 : n / 3 % 8)));
        if (n % 16 == 0)
            rounds(h, 1);
        if (n % 5000 == 0) {
            unsigned waited = other_waits(h);

            longest = waited > longest ? waited : longest;
            sim_log_clear(&h->w->log); /* the simulator's own */
            if (n == 100000)
                before = memory();
            most = memory() > most ? memory() : most;
        }
    }
    lines = heard();
    print_message("%u lines, other guest: %u rounds, memory %+zd\n", lines, longest,
                  (ssize_t)(most - before));
    assert_true(lines <= 200);
    assert_true(longest <= 3);
    assert_true(most < before + 65536);
    behave(h);
    sim_front_follow(h->w, h->dom, true);
}

/* --- T13: what stands in the nodes --- */

static size_t any_text(uint32_t *seed, char *text, size_t size)
{
    static const char *const edges[] = { "",
                                         "0",
                                         "1",
                                         "3",
                                         "4",
                                         "5",
                                         "6",
                                         "7",
                                         "8",
                                         "9",
                                         "-1",
                                         "4294967295",
                                         "4294967296",
                                         "18446744073709551616",
                                         "99999999999999999999999999",
                                         "0x8",
                                         "8 ",
                                         " 8",
                                         "8\n",
                                         "+8",
                                         "8a",
                                         "1e1",
                                         "NaN",
                                         "%s%n%s",
                                         "/local/domain/0",
                                         "../../..",
                                         "/local/domain/0/backend/pcibackd/6/0",
                                         "/local/domain/6/device/pci/0",
                                         "16",
                                         "17",
                                         "\xff\xfe",
                                         "7",
                                         "07" };
    uint32_t what = hostile_random(seed) % 8;
    size_t length;

    if (what < 6) {
        length =
            (size_t)snprintf(text, size, "%s", edges[hostile_random(seed) % PB_ARRAY_SIZE(edges)]);
        return length;
    }
    length = what == 6 ? hostile_random(seed) % 40 : 2000 + hostile_random(seed) % 2090;
    for (size_t i = 0; i < length; i++)
        text[i] = what == 6 ? (char)hostile_random(seed) : '9';
    return length;
}

static void T13_anything_in_any_node(void **state)
{
    static const char *const nodes[] = { "state",   "pci-op-ref", "event-channel", "magic",
                                         "backend", "backend-id", "root-num",      "root-0",
                                         "dev-0",   "num_devs",   "state-0",       "junk" };
    struct hostile *h = *state;
    const char *own = "/local/domain/0/backend/pcibackd/5/0";
    uint32_t seed = 13;
    char text[4096], path[200];
    unsigned lines;

    sim_front_follow(h->w, h->dom, false);
    listen();
    for (unsigned n = 0; n < 60000; n++) {
        const char *node = nodes[hostile_random(&seed) % PB_ARRAY_SIZE(nodes)];
        uint32_t what = hostile_random(&seed) % 16;

        bool is_state = node == nodes[0]; /* see above */

        if (what == 0) {
            if (is_state)
                continue;
            (void)snprintf(path, sizeof(path), FE "/%s", node);
            (void)sim_store_remove(h->w, HOSTILE, path);
        } else if (what < 4) {
            /* as it should be, so that it gets further */
            sim_front_alloc(h->dom);
            (void)snprintf(text, sizeof(text), "%u", h->dom->front.ref);
            (void)put(h, "pci-op-ref", text, strlen(text));
            (void)snprintf(text, sizeof(text), "%u", h->dom->front.port);
            (void)put(h, "event-channel", text, strlen(text));
            (void)put(h, "magic", "7", 1);
            (void)put(h, "backend", own, strlen(own));
            (void)sim_front_state(h->w, h->dom, what == 1 ? INITIALISED : (int)what);
        } else {
            size_t length = any_text(&seed, text, sizeof(text));

            if (!is_state || length != 1 || text[0] != '0')
                (void)put(h, node, text, length);
        }
        rounds(h, hostile_random(&seed) % 3);
        if (n % 500 == 0) {
            assert_true(other_waits(h) <= 3);
            sim_log_clear(&h->w->log);
            hostile_quiet(h);
        }
    }
    lines = heard();
    print_message("%u lines\n", lines);
    assert_true(lines <= 200);
    (void)put(h, "backend", own, strlen(own));
    behave(h);
}

/* --- XSA-175, XSA-178: only these nodes are looked at, wherever the guest points --- */

static bool is_expected(const char *path)
{
    static const char *const known[] = { FE "/state",
                                         FE "/pci-op-ref",
                                         FE "/event-channel",
                                         FE "/magic",
                                         FE "/backend", /* only compared */
                                         "/local/domain/0/error/backend/pcibackd/5/0/error" };
    const char *own = "/local/domain/0/backend/pcibackd/5/0";

    for (size_t i = 0; i < PB_ARRAY_SIZE(known); i++) {
        if (strcmp(path, known[i]) == 0)
            return true;
    }
    return strncmp(path, own, strlen(own)) == 0 && (path[strlen(own)] == '/' || !path[strlen(own)]);
}

static void T10_XSA_175_178_a_guest_points_nowhere(void **state)
{
    static const char *const targets[] = { "/local/domain/0/backend/pcibackd/6/0",
                                           "/local/domain/5/fake",
                                           "/local/domain/6/device/pci/0",
                                           "/libxl/5",
                                           "/",
                                           "",
                                           "backend",
                                           "/local/domain/0/backend/vif/5/0" };
    static const char *const nodes[] = { "backend",       "backend-id", "frontend", "frontend-id",
                                         "dev-0",         "vdev-0",     "root-0",   "num_devs",
                                         "state-0",       "opts-0",     "key-0",    "uuid",
                                         "hotplug-status" };
    struct hostile *h = *state;
    size_t i;
    const json_t *e;

    sim_front_follow(h->w, h->dom, false);
    settle_store(h);
    (void)sim_store_write(h->w, HOSTILE, "/local/domain/5/fake/state", "4", 1);
    (void)sim_store_write(h->w, HOSTILE, "/local/domain/5/fake/dev-0", "0000:00:06.0", 12);
    sim_log_clear(&h->w->log);
    for (size_t t = 0; t < PB_ARRAY_SIZE(targets); t++) {
        for (size_t n = 0; n < PB_ARRAY_SIZE(nodes); n++) {
            (void)put(h, nodes[n], targets[t], strlen(targets[t]));
            for (int s = 1; s <= 8; s++) {
                (void)sim_front_state(h->w, h->dom, s);
                rounds(h, 4);
            }
            assert_int_equal(other_waits(h) <= 3, true);
        }
    }
    settle_store(h);
    json_array_foreach (h->w->log.entries, i, e) {
        const char *path = json_string_value(json_object_get(e, "path"));

        if (path && !is_expected(path))
            fail_msg("%s of %s", json_string_value(json_object_get(e, "call")), path);
    }
    (void)put(h, "backend", "/local/domain/0/backend/pcibackd/5/0", 36);
    behave(h);
}

/* --- T12: frontends that come and go while operations are under way (XSA-350) --- */

static void T12_churn_with_operations_under_way(void **state)
{
    static const uint32_t cmds[] = { 0, 1, 2, 3, 4, 5, 10 };
    struct hostile *h = *state;
    uint32_t seed = 12;

    sim_front_follow(h->w, h->dom, false);
    for (unsigned n = 0; n < 3000; n++) {
        struct pb_op op = { .cmd = cmds[hostile_random(&seed) % PB_ARRAY_SIZE(cmds)],
                            .size = 4,
                            .value = 1 + n % 4,
                            .entries = { { 0, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 } } };

        /* every third time the device answers later, so that the page goes under its operation */
        h->nic->slow_ms = n % 3 == 0 ? 1 : 0;
        if (op.cmd == PB_CMD_CONF_WRITE) {
            op.offset = n % 2 ? PCI_COMMAND : PCI_CACHE_LINE_SIZE;
            op.size = n % 2 ? 2 : 1;
        }
        if (!h->dom->front.page || n % 4 == 0) {
            char ref[16], port[16];
            struct sim_publish what = { ref, port, "7", INITIALISED };

            sim_front_alloc(h->dom);
            (void)snprintf(ref, sizeof(ref), "%u", h->dom->front.ref);
            (void)snprintf(port, sizeof(port), "%u", h->dom->front.port);
            (void)sim_front_publish(h->w, h->dom, &what);
            rounds(h, 1 + hostile_random(&seed) % 12);
            (void)sim_front_state(h->w, h->dom, CONNECTED);
        }
        hostile_post(h, h->dom, &op);
        sim_guest_port_notify(h->w, h->dom, h->dom->front.port);
        rounds(h, hostile_random(&seed) % 4);
        switch (hostile_random(&seed) % 6) {
        case 0:
            sim_front_unpublish(h->w, h->dom);
            (void)sim_front_state(h->w, h->dom, CLOSED);
            break;
        case 1:
            (void)sim_front_state(h->w, h->dom, INITIALISING);
            break;
        case 2:
            (void)sim_front_state(h->w, h->dom, CLOSING);
            break;
        default:
            break;
        }
        rounds(h, hostile_random(&seed) % 6);
        if (n % 100 == 0) {
            (void)usleep(1500);
            rounds(h, 5);
            assert_true(other_waits(h) <= 20); /* with a late answer of the other device at most */
            hostile_quiet(h);
        }
    }
    h->nic->slow_ms = 0;
    for (unsigned i = 0; i < 100; i++) {
        rounds(h, 5);
        (void)usleep(1000);
    }
    sim_front_alloc(h->dom);
    behave(h);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, hostile_setup, hostile_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(T10_a_million_states),
        ON(T10_XSA_175_178_a_guest_points_nowhere),
        ON(T12_churn_with_operations_under_way),
        ON(T13_anything_in_any_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
