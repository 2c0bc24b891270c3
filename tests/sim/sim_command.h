/* SPDX-License-Identifier: MIT */
/*
 * How a test drives the world: JSON objects { "do": COMMAND, ... } a line over a UNIX socket, each
 * answered by one line { "ok": true, ... } or { "error": "..." }. simlib.py wraps them.
 *
 * World
 *   store-read path · store-write path value [as DOMID] · store-remove path [as] · store-list path
 *   store-dump path                  {"nodes": {path: {"value", "perms": "OWNER[,rREADER]"}}}
 *   store-kill · store-return [keep] · store-hold [on]     xenstored dies, returns, is slow
 *   log · log-clear                  {"log": [{"n", "call", "rc", ...}], "violations": [...]}
 *   fault call [nth] [count] [errno] [action]   CALL is a pattern; errno fails it, ETIMEDOUT makes
 *                                    a job hang until its deadline; ACTION is a command that runs
 *                                    first, inside of the daemon's call
 *   fault-clear · faults             {"armed": how many still wait}
 *   set [job_delay_ms] [msi_pirqs] [quarantine] [remapping] [deaf: uevents are lost]
 *       [kernel_takes] [kernel_takes_domid]
 *   uevent what [device] [driver]    what: add, remove, bind, unbind, lost; true or not
 *   saved-slots                      {"slots": [...] or null}: the last SAVE_SLOTS
 *   leaks                            everything that is held on behalf of guests
 *   settle [timeout_ms]              answers when nothing is under way in the world
 *   die call [nth] [count] [after] [done]   supervised: the daemon dies at the nth CALL (a pattern)
 *                                    from now; done: its requests to the store are carried out
 *   life                             {"lives", "pid", "planned", "entered": calls until now}
 *   meanwhile commands               supervised: they are carried out when this daemon is dead and
 *                                    the next one is not there
 *   next-argument text               supervised: the next daemon alone has it, too
 *   oom [nth] [count]                its nth allocation fails; {"seen", "failed"} since the last
 *   disk [full]                      no room for what the daemon's files need besides
 * Guests (domid)
 *   domain-create [name: "" writes no node] [hvm] [passthrough] · domain-destroy [toolstack]
 *   domain-shutdown [reason: poweroff, reboot, suspend, crash] · domain-resume [follow]
 *   publish [ref] [port] [magic] [state] [fresh]   null: do not write it; a text: as it is
 *   unpublish · state state · follow [on] · front
 *   front-script [rules]             how a followed frontend differs from Linux' (sim_front.h)
 *   op cmd domain bus devfn offset size value info err [entries] [wait_ms] [give_up]
 *                                    {"done", "err", "value", "vectors", "flags"}
 *   loop ops [wait_ms] [gap_ms] · loop-stop · loop-get       operations without an end (sim_loop.h)
 *   post [offset] [hex] [flags] [notify] · peek [offset] [length] · notify [port] · stray [port]
 * Devices (device)
 *   device · device-read offset [size] · device-write offset value [size] [raw]
 *   device-set [gone] [slow_ms] [error] [reset] [resetting] [forgets] [leaves_maskall]
 *              [keeps_maskall] [dead] [dies_in_reset] [reset_ms] [after_reset: [[offset, size,
 * value]]] gone: not in the machine, without an event; dead: all ones device-unplug · device-plug
 * [as: a device of a scenario] [bind_ms]   with uevents device-bind [driver]             somebody
 * binds it (or unbinds it: ""), with uevents
 */
#ifndef SIM_COMMAND_H
#define SIM_COMMAND_H

#include <jansson.h>

#include "base/json.h"

struct sim_world;
struct sim_server;
struct sim_device;
struct sim_client; /* a connection, NULL for the action of a fault */

struct sim_command {
    const char *name;
    const char *const *keys; /* besides "do"; NULL-terminated */
    /* The answer (a new reference), or NULL when it comes later by sim_client_reply. */
    json_t *(*run)(struct sim_world *w, const struct pb_json *at, struct sim_client *client);
};

/* Lists end with an entry without a name. */
extern const struct sim_command sim_commands_world[], sim_commands_guest[], sim_commands_device[];

json_t *sim_ok(void);
__attribute__((format(printf, 1, 2))) json_t *sim_error(const char *fmt, ...);
/* "EINVAL: Invalid argument" for RC < 0, ok otherwise. */
json_t *sim_result(int rc);

/* Typed members with a fallback; errors stick in AT's error. */
uint64_t sim_number(const struct pb_json *at, const char *key, uint64_t min, uint64_t max,
                    uint64_t fallback);
const char *sim_text(const struct pb_json *at, const char *key, const char *fallback);
bool sim_bool(const struct pb_json *at, const char *key, bool fallback);

/* The device that member "device" names; NULL, with AT's error set, when there is none. */
struct sim_device *sim_device_at(struct sim_world *w, const struct pb_json *at);

/* Carries out one command; NULL as sim_command.run. */
json_t *sim_command_run(struct sim_world *w, const json_t *message, struct sim_client *client);
/* The action of a fault. */
void sim_command_act(struct sim_world *w, json_t *action);

/* Writes the operation that AT describes to OP (in a page); the number of its entries. */
unsigned sim_op_write(const struct pb_json *at, uint8_t *op);

/* What a clean world does not hold (sim_report.c). */
json_t *sim_report_leaks(const struct sim_world *w);
json_t *sim_report_device(const struct sim_world *w, const struct sim_device *dev);

/* The socket. NULL with errno set. Listens when the world is on a loop. */
struct sim_server *sim_server_new(struct sim_world *w, const char *path);
void sim_server_free(struct sim_server *server);
/*
 * Supervised: connections outlive the daemon. A child tells its parent of each over the
 * END of a socket pair; the parent takes them from its own and, when the child is dead, puts their
 * numbers right for the next one.
 */
void sim_server_keeper(int end);
void sim_server_keep(int end);
void sim_server_restore(void);
/* Answers later: hold before NULL is returned, then reply once (takes over MESSAGE). */
void sim_client_hold(struct sim_client *client);
void sim_client_reply(struct sim_client *client, json_t *message);

#endif
