/* SPDX-License-Identifier: MIT */
/*
 * What stands in xenstore may be anything: values that a guest writes into its own directory, and
 * directories of the toolstack's. The daemon lives, serves what is right beside what is wrong, does
 * nothing that no correct daemon does, and nothing of a guest's is left when it has ended.
 *
 * The first byte chooses modes: a guest of ours or one of the toolstack's. Then records.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "bytes_in.h"
#include "fuzz.h"
#include "machine.h"
#include "sim_hyper.h"

enum record { R_FRONT, R_BACK, R_REMOVE, R_DIRECTORY, R_STORE, R_TIME, R_FOLLOW, R_GIVE, R_COUNT };

#define RECORDS_MAX 64
#define VALUE_MAX   3000

struct run {
    struct bytes_in in;
    struct machine *m;
    bool xl;
};

static const char *const front_nodes[] = { "state",   "pci-op-ref", "event-channel", "magic",
                                           "backend", "backend-id", "state/below",   "" };
static const char *const back_nodes[] = { "state",    "num_devs", "dev-0",    "dev-1",
                                          "state-0",  "state-1",  "opts-0",   "opts-1",
                                          "vdevfn-0", "key-0",    "frontend", "frontend-id",
                                          "domain",   "vdev-0",   "root_num", "dev-31" };

static struct sim_domain *guest(const struct run *run)
{
    return sim_domain_live(run->m->w, MACHINE_GUEST);
}

/* ---- values ------------------------------------------------------------------------------------
 */

/* What may stand in a node: right, nearly right, or any bytes. */
static size_t take_value(struct run *run, char value[VALUE_MAX])
{
    static const char *const words[] = {
        MACHINE_NIC,
        MACHINE_DISK,
        "0000:00:05.8",
        "00:06.0",
        "msitranslate=0,power_mgmt=0,permissive=1",
        "permissive=11,permissive=1,",
        "/local/domain/5/device/pci/0",
        "/local/domain/0/backend/pci/5/0",
        "/local/domain/0/backend/pcibackd/5/0",
        "/local/domain/0",
        "7",
        "-1",
        "18446744073709551616",
        "0x3",
        " 3",
        "",
    };
    unsigned byte = bytes_take(&run->in, 1), n;

    memset(value, 0, VALUE_MAX);
    switch (byte >> 6) {
    case 0: /* a state, a number of devices, a domain */
        return (size_t)snprintf(value, VALUE_MAX, "%u", byte & 0x3f);
    case 1:
        return (size_t)snprintf(value, VALUE_MAX, "%s", words[byte % 16]);
    case 2: /* what the frontend has */
        if (!guest(run))
            return 0;
        return (size_t)snprintf(value, VALUE_MAX, "%u",
                                byte & 1 ? guest(run)->front.ref : guest(run)->front.port);
    default:
        n = byte & 0x3f;
        if (n == 0x3f) {
            memset(value, '3', VALUE_MAX);
            return VALUE_MAX;
        }
        bytes_copy(&run->in, value, n);
        return n;
    }
}

/* ---- records -----------------------------------------------------------------------------------
 */

static const char *back_dir(const struct run *run)
{
    return run->xl ? "/local/domain/0/backend/pci/5/0" : "/local/domain/0/backend/pcibackd/5/0";
}

static void write_front(struct run *run)
{
    const char *node = front_nodes[bytes_take(&run->in, 1) % 8];
    char path[PB_STORE_PATH_MAX], value[VALUE_MAX];
    size_t n = take_value(run, value);

    (void)snprintf(path, sizeof(path), "/local/domain/5/device/pci/0%s%s", node[0] ? "/" : "",
                   node);
    (void)sim_store_write(run->m->w, MACHINE_GUEST, path, value, n);
}

static void write_back(struct run *run)
{
    const char *node = back_nodes[bytes_take(&run->in, 1) % 16];
    char path[PB_STORE_PATH_MAX], value[VALUE_MAX];
    size_t n = take_value(run, value);

    (void)snprintf(path, sizeof(path), "%s/%s", back_dir(run), node);
    (void)sim_store_write(run->m->w, 0, path, value, n);
}

static void remove_node(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);
    char path[PB_STORE_PATH_MAX];

    if (byte & 0x80)
        (void)snprintf(path, sizeof(path), "/local/domain/5/device/pci/0/%s",
                       front_nodes[byte % 8]);
    else if (byte & 0x40)
        (void)snprintf(path, sizeof(path), "%s",
                       byte & 1 ? "/local/domain/5/device/pci/0" : back_dir(run));
    else
        (void)snprintf(path, sizeof(path), "%s/%s", back_dir(run), back_nodes[byte % 16]);
    (void)sim_store_remove(run->m->w, byte & 0x80 ? MACHINE_GUEST : 0, path);
}

/* A directory of the toolstack's for a domain that may be none. */
static void make_directory(struct run *run)
{
    char path[PB_STORE_PATH_MAX], name[16] = "";
    unsigned byte = bytes_take(&run->in, 1);

    if (byte & 0x80)
        (void)snprintf(name, sizeof(name), "%u", (byte & 0x7f) * 300);
    else
        bytes_copy(&run->in, name, byte % 8);
    for (char *p = name; *p; p++)
        *p = *p == '/' ? '0' : *p;
    if (!name[0])
        return;
    (void)snprintf(path, sizeof(path), "/local/domain/0/backend/pci/%s/0/state", name);
    (void)sim_store_write(run->m->w, 0, path, "1", 1);
}

static void disturb_store(struct run *run)
{
    unsigned byte = bytes_take(&run->in, 1);

    sim_store_kill(run->m->w);
    machine_run(run->m, byte & 0x3f);
    sim_store_return(run->m->w, true);
    machine_run(run->m, byte >> 6);
}

static void put(const struct run *run, const char *dir, const char *node, const char *value)
{
    char path[PB_STORE_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, node);
    (void)sim_store_write(run->m->w, 0, path, value, strlen(value));
}

/* The toolstack's part for the NIC as the guest's only device; grants of memory are left out. */
static void give(const struct run *run)
{
    static const char front[] = "/local/domain/5/device/pci/0";
    const char *dir = back_dir(run);
    struct sim_world *w = run->m->w;
    struct pb_sbdf nic;

    if (!guest(run) || !pb_sbdf_parse(MACHINE_NIC, &nic))
        return;
    (void)machine_do(run->m, "{\"do\":\"xl-assignable-add\",\"device\":\"" MACHINE_NIC "\"}");
    (void)sim_hyper_assign(w, MACHINE_GUEST, nic);
    (void)sim_store_remove(w, 0, dir);
    (void)sim_store_mkdir(w, 0, dir);
    (void)sim_store_perms(w, 0, dir, 0, MACHINE_GUEST);
    put(run, dir, "frontend", front);
    put(run, dir, "frontend-id", "5");
    put(run, dir, "online", "1");
    (void)sim_store_remove(w, 0, front);
    (void)sim_store_mkdir(w, 0, front);
    (void)sim_store_perms(w, 0, front, MACHINE_GUEST, 0);
    put(run, front, "backend", dir);
    put(run, front, "backend-id", "0");
    put(run, front, "state", "1");
    put(run, dir, "key-0", MACHINE_NIC);
    put(run, dir, "dev-0", MACHINE_NIC);
    put(run, dir, "opts-0", "msitranslate=0,power_mgmt=0,permissive=0,rdm_policy=strict");
    put(run, dir, "state-0", "1");
    put(run, dir, "num_devs", "1");
    put(run, dir, "state", "1");
    machine_run(run->m, 300);
}

static void one_record(struct run *run)
{
    switch ((enum record)(bytes_take(&run->in, 1) % R_COUNT)) {
    case R_FRONT:
        write_front(run);
        break;
    case R_BACK:
        write_back(run);
        break;
    case R_REMOVE:
        remove_node(run);
        break;
    case R_DIRECTORY:
        make_directory(run);
        break;
    case R_STORE:
        disturb_store(run);
        break;
    case R_TIME:
        machine_run(run->m, bytes_take(&run->in, 1) * 8);
        break;
    case R_FOLLOW:
        if (guest(run))
            sim_front_follow(run->m->w, guest(run), bytes_take(&run->in, 1) & 1);
        break;
    case R_GIVE:
        if (run->xl)
            give(run);
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
    struct machine_options options = { .xl_mode = modes & 1,
                                       .topology = (enum pb_topology)((modes >> 1 & 3) % 3) };

    run.m = machine_new(&options);
    run.xl = options.xl_mode;
    if (run.xl) {
        sim_front_follow(run.m->w, guest(&run), true);
        give(&run);
    } else {
        PB_ASSERT(machine_connect(run.m, MACHINE_GUEST, MACHINE_NIC));
    }
    for (unsigned i = 0; i < RECORDS_MAX && run.in.left > 0; i++)
        one_record(&run);
    machine_run(run.m, 1000);
    machine_check_clean(run.m, false);
    machine_free(run.m);
    return 0;
}
