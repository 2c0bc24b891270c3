/* SPDX-License-Identifier: MIT */
/* Dispatch, and the commands for the world as a whole: store, log, faults. */
#include "sim_command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sim_kernel.h"
#include "sim_toolstack.h"
#include "sim_world.h"

#define KEYS(...) ((const char *const[]){ "do", __VA_ARGS__, NULL })
#define NO_KEYS   ((const char *const[]){ "do", NULL })
#define SETTLE_MS 1

json_t *sim_ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

json_t *sim_error(const char *fmt, ...)
{
    char text[480];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return json_pack("{s:s}", "error", text);
}

json_t *sim_result(int rc)
{
    if (rc >= 0)
        return sim_ok();
    return sim_error("%s: %s", strerrorname_np(-rc), strerror(-rc));
}

uint64_t sim_number(const struct pb_json *at, const char *key, uint64_t min, uint64_t max,
                    uint64_t fallback)
{
    struct pb_json member = pb_json_member(at, key);

    return pb_json_number(&member, min, max, fallback);
}

const char *sim_text(const struct pb_json *at, const char *key, const char *fallback)
{
    struct pb_json member = pb_json_member(at, key);

    return pb_json_text(&member, 1u << 16, fallback);
}

bool sim_bool(const struct pb_json *at, const char *key, bool fallback)
{
    struct pb_json member = pb_json_member(at, key);

    return pb_json_bool(&member, fallback);
}

struct sim_device *sim_device_at(struct sim_world *w, const struct pb_json *at)
{
    struct pb_json member = pb_json_member(at, "device");
    struct sim_device *dev = NULL;
    struct pb_sbdf sbdf;

    if (pb_sbdf_parse(pb_json_text(&member, 16, ""), &sbdf))
        dev = sim_device_find(w, sbdf);
    if (!dev)
        pb_json_fail(&member, "no such device");
    return dev;
}

static const struct sim_command *find(const char *name)
{
    static const struct sim_command *const lists[] = { sim_commands_world, sim_commands_guest,
                                                       sim_commands_device,
                                                       sim_commands_toolstack };

    for (size_t i = 0; i < PB_ARRAY_SIZE(lists); i++) {
        for (const struct sim_command *c = lists[i]; c->name; c++) {
            if (strcmp(c->name, name) == 0)
                return c;
        }
    }
    return NULL;
}

json_t *sim_command_run(struct sim_world *w, const json_t *message, struct sim_client *client)
{
    struct pb_json_error error = { 0 };
    struct pb_json at = pb_json_root(message, NULL, &error);
    const struct sim_command *command = find(sim_text(&at, "do", ""));
    json_t *reply;

    if (!command)
        return sim_error("unknown command \"%s\"", sim_text(&at, "do", ""));
    if (!pb_json_object(&at, command->keys))
        return sim_error("%s%s", command->name, error.text);
    reply = command->run(w, &at, client);
    if (reply && error.set) {
        json_decref(reply);
        return sim_error("%s%s", command->name, error.text);
    }
    /* cppcheck-suppress returnDanglingLifetime ; a reply is made of copies */
    return reply;
}

void sim_command_act(struct sim_world *w, json_t *action)
{
    json_t *reply = sim_command_run(w, action, NULL);

    if (json_object_get(reply, "error"))
        sim_log_violation(w, "action of a fault: %s",
                          json_string_value(json_object_get(reply, "error")));
    json_decref(reply);
}

/* Store */

static json_t *store_read(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_node *node = sim_store_find(&w->store, sim_text(at, "path", ""));
    json_t *reply = json_pack("{s:b, s:s?}", "ok", 1, "value", node ? node->value : NULL);

    (void)client;
    return reply ? reply : sim_error("its value is not UTF-8");
}

static json_t *store_write(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const char *value = sim_text(at, "value", "");

    (void)client;
    return sim_result(sim_store_write(w, (uint16_t)sim_number(at, "as", 0, 0x7fff, 0),
                                      sim_text(at, "path", ""), value, strlen(value)));
}

static json_t *store_remove(struct sim_world *w, const struct pb_json *at,
                            struct sim_client *client)
{
    (void)client;
    return sim_result(sim_store_remove(w, (uint16_t)sim_number(at, "as", 0, 0x7fff, 0),
                                       sim_text(at, "path", "")));
}

static json_t *store_list(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_node *node = sim_store_find(&w->store, sim_text(at, "path", "")), *child;
    json_t *names = json_array();

    (void)client;
    if (node) {
        TAILQ_FOREACH (child, &node->children, link) {
            (void)json_array_append_new(names, json_string(child->name));
        }
    }
    return json_pack("{s:b, s:b, s:o}", "ok", 1, "exists", node ? 1 : 0, "names", names);
}

static void dump(const struct sim_node *node, const char *path, json_t *into)
{
    char below[PB_STORE_PATH_MAX];
    const struct sim_node *child;

    TAILQ_FOREACH (child, &node->children, link) {
        int n = snprintf(below, sizeof(below), "%s/%s", path, child->name);
        char perms[40];

        if (n < 0 || (size_t)n >= sizeof(below))
            continue;
        (void)snprintf(perms, sizeof(perms), "%u", child->owner);
        if (child->reader_count > 0)
            (void)snprintf(perms, sizeof(perms), "%u,r%u", child->owner, child->reader[0]);
        (void)json_object_set_new(into, below,
                                  json_pack("{s:s, s:s}", "value", child->value, "perms", perms));
        dump(child, below, into);
    }
}

static json_t *store_dump(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const char *path = sim_text(at, "path", "");
    const struct sim_node *node = sim_store_find(&w->store, path);
    json_t *nodes = json_object();

    (void)client;
    if (node)
        dump(node, path, nodes);
    return json_pack("{s:b, s:o}", "ok", 1, "nodes", nodes);
}

static json_t *store_kill(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    sim_store_kill(w);
    return sim_ok();
}

static json_t *store_return(struct sim_world *w, const struct pb_json *at,
                            struct sim_client *client)
{
    (void)client;
    sim_store_return(w, sim_bool(at, "keep", true));
    return sim_ok();
}

static json_t *store_hold(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)client;
    w->store.hold = sim_bool(at, "on", true);
    sim_world_kick(w);
    return sim_ok();
}

/* Log, faults, settings */

static json_t *log_get(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    return json_pack("{s:b, s:O, s:O}", "ok", 1, "log", w->log.entries, "violations",
                     w->log.violations);
}

static json_t *log_clear(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    sim_log_clear(&w->log);
    return sim_ok();
}

static json_t *fault(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct pb_json action = pb_json_member(at, "action");
    const char *error = sim_text(at, "errno", NULL);
    unsigned nth = (unsigned)sim_number(at, "nth", 1, UINT32_MAX, 1);
    unsigned count = (unsigned)sim_number(at, "count", 1, UINT32_MAX, 1);

    (void)client;
    if (!sim_log_fault(&w->log, sim_text(at, "call", "*"), nth, count, error,
                       action.value ? json_deep_copy(action.value) : NULL))
        return sim_error("unknown errno");
    return sim_ok();
}

static json_t *fault_clear(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    sim_log_fault_clear(&w->log);
    return sim_ok();
}

/* How many faults still wait for their call. */
static json_t *faults(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_fault *f;
    int count = 0;

    (void)at;
    (void)client;
    TAILQ_FOREACH (f, &w->log.faults, link) {
        count++;
    }
    return json_pack("{s:b, s:i}", "ok", 1, "armed", count);
}

static json_t *settings(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)client;
    w->job_delay_ms = (unsigned)sim_number(at, "job_delay_ms", 0, 60000, w->job_delay_ms);
    w->msi_pirqs =
        (uint32_t)sim_number(at, "msi_pirqs", 0, SIM_PIRQS_MAX - w->gsi_count, w->msi_pirqs);
    w->quarantine = sim_bool(at, "quarantine", w->quarantine);
    w->remapping = sim_bool(at, "remapping", w->remapping);
    w->deaf = sim_bool(at, "deaf", w->deaf);
    w->kernel_takes = sim_bool(at, "kernel_takes", w->kernel_takes);
    w->kernel_takes_domid =
        (uint32_t)sim_number(at, "kernel_takes_domid", 0, 0x7fef, w->kernel_takes_domid);
    return sim_ok();
}

static json_t *die(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    unsigned nth = (unsigned)sim_number(at, "nth", 1, UINT32_MAX, 1);
    unsigned count = (unsigned)sim_number(at, "count", 1, UINT32_MAX, 1);

    (void)client;
    if (!sim_memory_shared())
        return sim_error("the world would die with it: not supervised");
    sim_log_die(&w->log, sim_text(at, "call", "*"), nth, count, sim_bool(at, "after", false),
                sim_bool(at, "done", false));
    return sim_ok();
}

static json_t *life(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    return json_pack("{s:b, s:i, s:i, s:i, s:I}", "ok", 1, "lives", (int)w->lives, "pid",
                     (int)getpid(), "planned", (int)w->planned, "entered",
                     (json_int_t)w->log.entered);
}

static json_t *oom(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    json_t *reply = json_pack("{s:b, s:I, s:I}", "ok", 1, "seen", (json_int_t)sim_oom.seen,
                              "failed", (json_int_t)sim_oom.failed);

    (void)w;
    (void)client;
    sim_oom = (struct sim_oom){ .nth = (unsigned long)sim_number(at, "nth", 0, UINT32_MAX, 0),
                                .count = (unsigned long)sim_number(at, "count", 1, UINT32_MAX, 1) };
    return reply;
}

static json_t *disk(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)w;
    (void)client;
    sim_disk_full = sim_bool(at, "full", true);
    return sim_ok();
}

/* null: they were never saved. */
static json_t *saved_slots(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)at;
    (void)client;
    return json_pack("{s:b, s:O?}", "ok", 1, "slots", w->saved_slots);
}

/* One that the kernel tells whatever is true. */
static json_t *uevent(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    enum pb_uevent what = sim_kernel_uevent(sim_text(at, "what", ""));
    struct pb_sbdf sbdf = { 0 };

    (void)client;
    if (what > PB_UEVENT_LOST)
        return sim_error("no such event");
    if (what != PB_UEVENT_LOST && !pb_sbdf_parse(sim_text(at, "device", ""), &sbdf))
        return sim_error("not an address");
    sim_kernel_tell(w, what, sbdf, sim_text(at, "driver", ""));
    return sim_ok();
}

static json_t *leaks(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    json_t *report = sim_report_leaks(w);

    (void)at;
    (void)client;
    (void)json_object_set_new(report, "ok", json_true());
    return report;
}

/* Answers when nothing has been under way for three looks in a row. */
struct settle {
    struct sim_timer timer;
    struct sim_world *w;
    struct sim_client *client;
    unsigned quiet, looks, looks_max;
};

static void settle_look(struct sim_timer *timer)
{
    struct settle *s = PB_CONTAINER_OF(timer, struct settle, timer);

    s->quiet = sim_world_idle(s->w) ? s->quiet + 1 : 0;
    if (s->quiet < 3 && ++s->looks < s->looks_max)
        return;
    sim_timer_stop(timer);
    sim_client_reply(s->client, s->quiet >= 3 ? sim_ok() : sim_error("the world does not settle"));
    sim_free(s);
}

static json_t *settle(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    unsigned timeout_ms = (unsigned)sim_number(at, "timeout_ms", 1, 600000, 10000);
    struct settle *s;

    if (!client)
        return sim_error("settle cannot be the action of a fault");
    s = sim_alloc(sizeof(*s));
    s->w = w;
    s->client = client;
    s->looks_max = timeout_ms / SETTLE_MS + 3;
    sim_client_hold(client);
    sim_timer_init(&s->timer, w, settle_look);
    sim_timer_start(&s->timer, SETTLE_MS / 1000.0, SETTLE_MS / 1000.0);
    return NULL;
}

static json_t *meanwhile(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct pb_json commands = pb_json_member(at, "commands");

    (void)client;
    if (!json_is_array(commands.value))
        return sim_error("commands are an array");
    json_decref(w->meanwhile);
    w->meanwhile = json_deep_copy(commands.value);
    return sim_ok();
}

static json_t *next_argument(struct sim_world *w, const struct pb_json *at,
                             struct sim_client *client)
{
    (void)client;
    (void)snprintf(w->next_argument, sizeof(w->next_argument), "%s", sim_text(at, "text", ""));
    return sim_ok();
}

const struct sim_command sim_commands_world[] = {
    { "store-read", KEYS("path"), store_read },
    { "store-write", KEYS("path", "value", "as"), store_write },
    { "store-remove", KEYS("path", "as"), store_remove },
    { "store-list", KEYS("path"), store_list },
    { "store-dump", KEYS("path"), store_dump },
    { "store-kill", NO_KEYS, store_kill },
    { "store-return", KEYS("keep"), store_return },
    { "store-hold", KEYS("on"), store_hold },
    { "log", NO_KEYS, log_get },
    { "log-clear", NO_KEYS, log_clear },
    { "fault", KEYS("call", "nth", "count", "errno", "action"), fault },
    { "fault-clear", NO_KEYS, fault_clear },
    { "faults", NO_KEYS, faults },
    { "set",
      KEYS("job_delay_ms", "msi_pirqs", "quarantine", "remapping", "deaf", "kernel_takes",
           "kernel_takes_domid"),
      settings },
    { "die", KEYS("call", "nth", "count", "after", "done"), die },
    { "life", NO_KEYS, life },
    { "meanwhile", KEYS("commands"), meanwhile },
    { "next-argument", KEYS("text"), next_argument },
    { "oom", KEYS("nth", "count"), oom },
    { "disk", KEYS("full"), disk },
    { "saved-slots", NO_KEYS, saved_slots },
    { "uevent", KEYS("what", "device", "driver"), uevent },
    { "leaks", NO_KEYS, leaks },
    { "settle", KEYS("timeout_ms"), settle },
    { NULL, NULL, NULL },
};
