/* SPDX-License-Identifier: MIT */
/* Commands for guests: life and death, and what their frontend does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_command.h"
#include "sim_loop.h"
#include "sim_world.h"

#define KEYS(...) ((const char *const[]){ "do", "domid", __VA_ARGS__, NULL })
#define NO_KEYS   ((const char *const[]){ "do", "domid", NULL })

static struct sim_domain *domain_at(struct sim_world *w, const struct pb_json *at)
{
    struct pb_json member = pb_json_member(at, "domid");
    struct sim_domain *dom = sim_domain_live(w, (uint32_t)pb_json_number(&member, 1, 0x7fef, 0));

    if (!dom)
        pb_json_fail(&member, "no such domain");
    return dom;
}

/* The same, with a shared page. */
static struct sim_domain *published_at(struct sim_world *w, const struct pb_json *at)
{
    struct sim_domain *dom = domain_at(w, at);

    if (dom && !dom->front.page) {
        pb_json_fail(at, "the frontend has published nothing");
        return NULL;
    }
    return dom;
}

static json_t *refused(void)
{
    return sim_error(" "); /* replaced by the error at its place */
}

static json_t *domain_create(struct sim_world *w, const struct pb_json *at,
                             struct sim_client *client)
{
    char fallback[32];
    uint32_t domid = (uint32_t)sim_number(at, "domid", 1, 0x7fef, 0);

    (void)client;
    (void)snprintf(fallback, sizeof(fallback), "guest%u", domid);
    if (domid == 0 ||
        !sim_domain_create(w, domid, sim_text(at, "name", fallback), sim_bool(at, "hvm", false),
                           sim_bool(at, "passthrough", true)))
        return sim_error("domain %u exists", domid);
    return sim_ok();
}

static json_t *domain_destroy(struct sim_world *w, const struct pb_json *at,
                              struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    sim_domain_destroy(w, dom, sim_bool(at, "toolstack", true));
    return sim_ok();
}

static json_t *domain_shutdown(struct sim_world *w, const struct pb_json *at,
                               struct sim_client *client)
{
    static const char *const reasons[] = { "poweroff", "reboot", "suspend", "crash" };
    struct sim_domain *dom = domain_at(w, at);
    const char *reason = sim_text(at, "reason", "poweroff");

    (void)client;
    if (!dom)
        return refused();
    for (size_t i = 0; i < PB_ARRAY_SIZE(reasons); i++) {
        if (strcmp(reason, reasons[i]) == 0) {
            sim_domain_shutdown(w, dom, (uint8_t)i);
            return sim_ok();
        }
    }
    return sim_error("unknown reason");
}

/* A suspended guest runs again. */
static json_t *domain_resume(struct sim_world *w, const struct pb_json *at,
                             struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    dom->shutdown = false;
    dom->front.follow = sim_bool(at, "follow", false);
    return sim_ok();
}

/* A node's text for `publish`: absent gives FALLBACK, null does not write it, else as it is. */
static const char * override(const struct pb_json *at, const char *key, const char *fallback)
{
    struct pb_json member = pb_json_member(at, key);

    return json_is_null(member.value) ? NULL : pb_json_text(&member, 4096, fallback);
}

static json_t *publish(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);
    char ref[16], port[16];
    struct sim_publish what;
    struct pb_json state = pb_json_member(at, "state");
    int rc;

    (void)client;
    if (!dom)
        return refused();
    if (sim_bool(at, "fresh", false))
        sim_front_unpublish(w, dom);
    sim_front_alloc(dom);
    (void)snprintf(ref, sizeof(ref), "%u", dom->front.ref);
    (void)snprintf(port, sizeof(port), "%u", dom->front.port);
    what = (struct sim_publish){ .ref = override(at, "ref", ref),
                                 .port = override(at, "port", port),
                                 .magic = override(at, "magic", "7"),
                                 .state = json_is_null(state.value)
                                              ? -1
                                              : (int)pb_json_number(&state, 0, 99, 3) };
    rc = sim_front_publish(w, dom, &what);
    if (rc)
        return sim_result(rc);
    return json_pack("{s:b, s:i, s:i}", "ok", 1, "ref", (int)dom->front.ref, "port",
                     (int)dom->front.port);
}

static json_t *unpublish(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    sim_front_unpublish(w, dom);
    return sim_ok();
}

static json_t *state(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    return dom ? sim_result(sim_front_state(w, dom, (int)sim_number(at, "state", 0, 99, 0)))
               : refused();
}

static json_t *follow(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    sim_front_follow(w, dom, sim_bool(at, "on", true));
    return sim_ok();
}

static json_t *script(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);
    struct pb_json rules = pb_json_member(at, "rules");

    (void)client;
    if (!dom)
        return refused();
    sim_front_script(dom, rules.value ? json_deep_copy(rules.value) : NULL);
    return sim_ok();
}

static json_t *front(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    return json_pack("{s:b, s:i, s:i, s:i, s:i, s:i, s:O*}", "ok", 1, "state", dom->front.state,
                     "backend", dom->front.backend, "connects", (int)dom->front.connects, "ref",
                     (int)dom->front.ref, "port", (int)dom->front.port, "roots", dom->front.roots);
}

/* Operations */

static uint8_t *page_of(const struct sim_domain *dom)
{
    return dom->front.page->guest;
}

static int nibble(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static json_t *post(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = published_at(w, at);
    const char *hex = sim_text(at, "hex", "");
    size_t offset = sim_number(at, "offset", 0, SIM_PAGE_SIZE, 0), length = strlen(hex) / 2;
    struct pb_json flags = pb_json_member(at, "flags");

    (void)client;
    if (!dom || offset + length > SIM_PAGE_SIZE)
        return refused();
    for (size_t i = 0; i < length; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return sim_error("hex must be lower-case hexadecimal");
        page_of(dom)[offset + i] = (uint8_t)(high << 4 | low);
    }
    if (flags.value)
        sim_front_set_flags(dom, (uint32_t)pb_json_number(&flags, 0, UINT32_MAX, 0), 0);
    if (sim_bool(at, "notify", true))
        sim_guest_port_notify(w, dom, dom->front.port);
    return sim_ok();
}

static json_t *peek(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = published_at(w, at);
    size_t offset = sim_number(at, "offset", 0, SIM_PAGE_SIZE, 0);
    size_t length = sim_number(at, "length", 0, SIM_PAGE_SIZE, SIM_OP_START + SIM_OP_BYTES);
    char hex[2 * SIM_PAGE_SIZE + 1] = "";

    (void)client;
    if (!dom || offset + length > SIM_PAGE_SIZE)
        return refused();
    for (size_t i = 0; i < length; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", page_of(dom)[offset + i]);
    return json_pack("{s:b, s:s, s:I}", "ok", 1, "hex", hex, "flags",
                     (json_int_t)sim_front_flags(dom));
}

static json_t *notify(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    sim_guest_port_notify(w, dom, (uint32_t)sim_number(at, "port", 0, UINT32_MAX, dom->front.port));
    return sim_ok();
}

/* An event of a port that is nobody's (H15). */
static json_t *stray(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)client;
    w->ports.stray = (uint32_t)sim_number(at, "port", 1, UINT32_MAX, 4000);
    sim_world_kick(w);
    return sim_ok();
}

struct op_wait {
    struct sim_timer timer;
    struct sim_world *w;
    struct sim_client *client;
    struct sim_domain *dom;
    unsigned entries;
    unsigned begun; /* in which turn of the loop */
    bool give_up;
};

static json_t *op_reply(const struct op_wait *wait, bool done)
{
    const uint8_t *op = page_of(wait->dom) + SIM_OP_START;
    json_t *vectors = json_array();

    for (unsigned i = 0; i < wait->entries; i++)
        (void)json_array_append_new(vectors, json_integer(pb_le16(op + 36 + (size_t)4 * i)));
    return json_pack("{s:b, s:b, s:i, s:I, s:o, s:I, s:I}", "ok", 1, "done", done ? 1 : 0, "err",
                     (int)(int32_t)pb_le32(op + 4), "value", (json_int_t)pb_le32(op + 28),
                     "vectors", vectors, "flags", (json_int_t)sim_front_flags(wait->dom), "turns",
                     (json_int_t)(ev_iteration(wait->w->loop) - wait->begun));
}

static void op_answered(void *ctx, struct sim_domain *dom, bool done)
{
    struct op_wait *wait = ctx;
    json_t *reply = dom->front.page ? op_reply(wait, done) : sim_error("the page is gone");

    sim_timer_stop(&wait->timer);
    sim_client_reply(wait->client, reply);
    sim_free(wait);
}

/* As pcifront after 2 s: takes the flag back, and goes on. */
static void op_timeout(struct sim_timer *timer)
{
    struct op_wait *wait = PB_CONTAINER_OF(timer, struct op_wait, timer);
    struct sim_domain *dom = wait->dom;

    if (wait->give_up)
        sim_front_set_flags(dom, 0, SIM_FLAG_ACTIVE);
    dom->front.op_done = NULL;
    op_answered(wait, dom, false);
}

/* [entry, ...] or [[vector, entry], ...]; the number of them. */
static unsigned op_entries(const struct pb_json *at, uint8_t *op)
{
    struct pb_json list = pb_json_member(at, "entries");
    size_t count = pb_json_array(&list);

    for (size_t i = 0; i < count && i < SIM_OP_ENTRIES; i++) {
        struct pb_json item = pb_json_element(&list, i);
        struct pb_json vector = pb_json_element(&item, 0), entry = pb_json_element(&item, 1);
        bool pair = json_is_array(item.value);

        pb_le_put(op + 36 + 4 * i, 2, pair ? (uint32_t)pb_json_number(&vector, 0, 0xffff, 0) : 0);
        pb_le_put(op + 38 + 4 * i, 2,
                  (uint32_t)pb_json_number(pair ? &entry : &item, 0, 0xffff, 0));
    }
    return (unsigned)(count < SIM_OP_ENTRIES ? count : SIM_OP_ENTRIES);
}

unsigned sim_op_write(const struct pb_json *at, uint8_t *op)
{
    static const struct {
        const char *key;
        unsigned at;
    } fields[] = { { "cmd", 0 },   { "err", 4 },    { "domain", 8 },
                   { "bus", 12 },  { "devfn", 16 }, { "offset", 20 },
                   { "size", 24 }, { "value", 28 }, { "info", 32 } };

    memset(op, 0, SIM_OP_BYTES);
    for (size_t i = 0; i < PB_ARRAY_SIZE(fields); i++)
        pb_le_put(op + fields[i].at, 4, (uint32_t)sim_number(at, fields[i].key, 0, UINT32_MAX, 0));
    return op_entries(at, op);
}

static json_t *op(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = published_at(w, at);
    unsigned wait_ms = (unsigned)sim_number(at, "wait_ms", 1, 600000, 2000);
    struct op_wait *wait;
    unsigned entries;

    if (!dom || !client)
        return refused();
    if (dom->front.op_done)
        return sim_error("an operation is under way");
    entries = sim_op_write(at, page_of(dom) + SIM_OP_START);
    if (at->error->set)
        return refused();
    wait = sim_alloc(sizeof(*wait));
    *wait = (struct op_wait){ .w = w, .client = client, .dom = dom, .entries = entries };
    wait->begun = ev_iteration(w->loop);
    wait->give_up = sim_bool(at, "give_up", true);
    sim_timer_init(&wait->timer, w, op_timeout);
    sim_timer_start(&wait->timer, wait_ms / 1000.0, 0.0);
    sim_client_hold(client);
    dom->front.op_ctx = wait;
    dom->front.op_done = op_answered;
    sim_front_set_flags(dom, SIM_FLAG_ACTIVE, 0);
    sim_guest_port_notify(w, dom, dom->front.port);
    return NULL;
}

/* A loop of operations */

static json_t *loop(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);
    struct pb_json ops = pb_json_member(at, "ops");
    unsigned wait_ms = (unsigned)sim_number(at, "wait_ms", 1, 600000, 2000);
    unsigned gap_ms = (unsigned)sim_number(at, "gap_ms", 0, 60000, 0);

    (void)client;
    if (!dom || pb_json_array(&ops) == 0)
        return refused();
    sim_loop_start(w, dom, json_deep_copy(ops.value), wait_ms, gap_ms);
    return sim_ok();
}

static json_t *loop_stop(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_domain *dom = domain_at(w, at);

    (void)client;
    if (!dom)
        return refused();
    sim_loop_stop(dom);
    return sim_ok();
}

static json_t *loop_get(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_domain *dom = domain_at(w, at);
    json_t *report = dom ? sim_loop_report(dom) : NULL;

    (void)client;
    return report ? report : refused();
}

const struct sim_command sim_commands_guest[] = {
    { "loop", KEYS("ops", "wait_ms", "gap_ms"), loop },
    { "loop-stop", NO_KEYS, loop_stop },
    { "loop-get", NO_KEYS, loop_get },
    { "domain-create", KEYS("name", "hvm", "passthrough"), domain_create },
    { "domain-destroy", KEYS("toolstack"), domain_destroy },
    { "domain-shutdown", KEYS("reason"), domain_shutdown },
    { "domain-resume", KEYS("follow"), domain_resume },
    { "publish", KEYS("ref", "port", "magic", "state", "fresh"), publish },
    { "unpublish", NO_KEYS, unpublish },
    { "state", KEYS("state"), state },
    { "follow", KEYS("on"), follow },
    { "front-script", KEYS("rules"), script },
    { "front", NO_KEYS, front },
    { "post", KEYS("offset", "hex", "flags", "notify"), post },
    { "peek", KEYS("offset", "length"), peek },
    { "notify", KEYS("port"), notify },
    { "stray", KEYS("port"), stray },
    { "op",
      KEYS("cmd", "err", "domain", "bus", "devfn", "offset", "size", "value", "info", "entries",
           "wait_ms", "give_up"),
      op },
    { NULL, NULL, NULL },
};
