/* SPDX-License-Identifier: MIT */
/*
 * A PCI frontend played from user space: says to a backend what no stock guest would. It reads
 * commands, one a line, from its argument or from stdin, prints one line of answer each, and exits
 * with the number of failed expectations.
 *
 *   publish [magic=7] [port=ok|N] [ref=ok|N] [state=3|none]   write the three nodes, then the state
 *   state N            write our state                write-node NAME VALUE   write any node of our
 * directory wait-be N SECONDS  wait for the backend's state   be                      print the
 * backend's state op CMD DOMAIN BUS DEVFN OFFSET SIZE VALUE [ENTRY...]      post an op as it stands
 * and wait for the answer expect ERR[,ERR...]      the last op ended so; "timeout" is an error too
 *   expect-value VALUE       the last op's value
 *   set-flags VALUE | flags  store or print the page's flags
 *   poke OFFSET SIZE VALUE   store anything anywhere in the page
 *   notify | flood N         send one event, or N, with no op behind it
 *   storm N                  write our state N times, 1 to 8 in turn
 *   scribble MILLISECONDS CMD DOMAIN BUS DEVFN OFFSET SIZE VALUE   post ops while another thread
 * rewrites them fuzz SEED COUNT          malformed ops, tallied by the error they got patience
 * MILLISECONDS    how long op waits; 3000 unless told sleep SECONDS | echo TEXT
 *   malformed                the same 3343 malformed ops each time; says how many were accepted
 *   burst KIND MILLISECONDS  as fast as it goes: events (nothing behind them), ops (good ones),
 *                            bad (malformed ones), states (1 to 8 in turn), nodes (junk beside it)
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/pciif.h>
#include <xen/xen.h>

#define BACKEND_DOMID 0
#define NODE          "device/pci/0"
#define PAGE          4096
#define WORDS_MAX     140
#define TALLY_MAX     64

enum { NO_ANSWER = 1000 }; /* stands beside the protocol's error numbers, which are 0 or negative */

struct tally {
    int err;
    unsigned long count;
};

static struct xs_handle *store;
static xenevtchn_handle *channel;
static struct xen_pci_sharedinfo *page;
static evtchn_port_t port;
static uint32_t ref;
static int patience_ms = 3000;
static struct xen_pci_op last;
static int last_err = NO_ANSWER;
static int failures;

static void nap(long us)
{
    const struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    nanosleep(&time, NULL);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool put(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof(path), NODE "/%s", name);
    return xs_write(store, XBT_NULL, path, value, (unsigned int)strlen(value));
}

static int backend_state(void)
{
    unsigned int len;
    char path[256];
    char *backend = xs_read(store, XBT_NULL, NODE "/backend", &len);
    snprintf(path, sizeof(path), "%s/state", backend ? backend : "");
    free(backend);
    char *state = xs_read(store, XBT_NULL, path, &len);
    int value = state ? atoi(state) : 0;
    free(state);
    return value;
}

static bool start(void)
{
    xengntshr_handle *grants = xengntshr_open(NULL, 0);
    store = xs_open(0);
    channel = xenevtchn_open(NULL, 0);
    if (!grants || !store || !channel)
        return false;
    page = xengntshr_share_pages(grants, BACKEND_DOMID, 1, &ref, 1);
    if (!page)
        return false;
    memset(page, 0, PAGE);
    xenevtchn_port_or_error_t got = xenevtchn_bind_unbound_port(channel, BACKEND_DOMID);
    port = (evtchn_port_t)got;
    return got >= 0;
}

/* --- ops
 * -----------------------------------------------------------------------------------------------------------
 */

static void post(const struct xen_pci_op *op)
{
    memcpy(&page->op, op, sizeof(*op));
    __atomic_fetch_or(&page->flags, XEN_PCIF_active, __ATOMIC_SEQ_CST);
    xenevtchn_notify(channel, port);
}

/* Waits as a real frontend does, by the flag, and takes the flag back when it gives up. */
static int finish(void)
{
    double end = now_ms() + patience_ms;
    while (__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & XEN_PCIF_active) {
        if (now_ms() > end) {
            __atomic_fetch_and(&page->flags, ~(uint32_t)XEN_PCIF_active, __ATOMIC_SEQ_CST);
            return NO_ANSWER;
        }
        nap(50);
    }
    memcpy(&last, &page->op, sizeof(last));
    return last.err;
}

static bool fill(struct xen_pci_op *op, char **words, int count)
{
    if (count < 7 || count > 7 + SH_INFO_MAX_VEC)
        return false;
    memset(op, 0, sizeof(*op));
    op->err = 0x55; /* whatever the backend leaves alone shows */
    op->cmd = (uint32_t)strtoul(words[0], NULL, 0);
    op->domain = (uint32_t)strtoul(words[1], NULL, 0);
    op->bus = (uint32_t)strtoul(words[2], NULL, 0);
    op->devfn = (uint32_t)strtoul(words[3], NULL, 0);
    op->offset = (int32_t)strtol(words[4], NULL, 0);
    op->size = (int32_t)strtol(words[5], NULL, 0);
    op->value = (uint32_t)strtoul(words[6], NULL, 0);
    for (int i = 7; i < count; i++)
        op->msix_entries[i - 7].entry = (uint16_t)strtoul(words[i], NULL, 0);
    return true;
}

static bool do_op(char **words, int count)
{
    struct xen_pci_op op;
    if (!fill(&op, words, count))
        return false;
    double begun = now_ms();
    post(&op);
    last_err = finish();
    if (last_err == NO_ANSWER) {
        printf("op timeout flags=0x%x\n", page->flags);
        return true;
    }
    printf("op err=%d value=0x%x ms=%.1f", last_err, last.value, now_ms() - begun);
    for (int i = 7; i < count; i++)
        printf(" vector%d=%u", i - 7, last.msix_entries[i - 7].vector);
    printf("\n");
    return true;
}

static void expect(char *list)
{
    char *rest = list;
    for (char *word; (word = strsep(&rest, ","));) {
        int want = strcmp(word, "timeout") == 0 ? NO_ANSWER : atoi(word);
        if (want == last_err)
            return;
    }
    failures++;
    printf("EXPECT FAILED: err %d\n", last_err);
}

/* --- attacks
 * -------------------------------------------------------------------------------------------------------
 */

static void tally_add(struct tally *tally, int err)
{
    for (int i = 0; i < TALLY_MAX; i++) {
        if (tally[i].count == 0)
            tally[i].err = err;
        if (tally[i].err == err) {
            tally[i].count++;
            return;
        }
    }
}

static void tally_print(const char *name, const struct tally *tally)
{
    printf("%s", name);
    for (int i = 0; i < TALLY_MAX && tally[i].count; i++) {
        if (tally[i].err == NO_ANSWER)
            printf(" timeout:%lu", tally[i].count);
        else
            printf(" %d:%lu", tally[i].err, tally[i].count);
    }
    printf("\n");
}

static uint32_t random_word(uint64_t *state)
{
    static const uint32_t edges[] = { 0,      1,          2,          3,          4,         7,
                                      8,      0x3f,       0xff,       0x100,      0xffc,     0xfff,
                                      0x1000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint32_t word = (uint32_t)(*state >> 33);
    return word % 3 ? edges[word / 3 % (sizeof(edges) / sizeof(edges[0]))] : word;
}

/* Every field from the edges of its type; no MSI commands, so that the device's interrupts stay as
 * they are. */
static void fuzz(uint64_t seed, unsigned long count)
{
    struct tally tally[TALLY_MAX] = { { 0 } };
    for (unsigned long i = 0; i < count; i++) {
        struct xen_pci_op op;
        memset(&op, 0, sizeof(op));
        op.cmd = random_word(&seed);
        op.domain = random_word(&seed);
        op.bus = random_word(&seed);
        op.devfn = random_word(&seed);
        op.offset = (int32_t)random_word(&seed);
        op.size = (int32_t)random_word(&seed);
        op.value = random_word(&seed);
        if (random_word(&seed) %
            4) { /* mostly a device that is there: the others are all told the same */
            op.domain = 0;
            op.bus = 0;
            op.devfn &= ~(uint32_t)0xff;
        }
        if (op.cmd >= XEN_PCI_OP_enable_msi && op.cmd <= XEN_PCI_OP_disable_msix)
            op.cmd += 100;
        post(&op);
        tally_add(tally, finish());
    }
    tally_print("fuzz", tally);
}

/*
 * A malformed op, the Nth of always the same ones: a good read or write, or an enable of MSI-X, of
 * which one field is wrong. Whoever answers 0 has accepted it.
 */
static void malform(unsigned n, struct xen_pci_op *op)
{
    static const uint32_t beyond[] = { 0x1000,     0x1004,     0x2000,     0x10000,    0x100000,
                                       0x7ffffffc, 0x80000000, 0xfffff000, 0xfffffffc, 0xfffffff0 };
    static const int32_t sizes[] = { 0,     3,      5,  6,  7,         8,        16,
                                     0x100, 0x1000, -1, -4, INT32_MIN, INT32_MAX };
    static const uint32_t counts[] = { 0, 129, 255, 256, 0x8000, 0x10001, 0x80000000, 0xffffffff };
    unsigned m = n / 10;

    memset(op, 0, sizeof(*op));
    op->cmd = n / 5 % 2 ? XEN_PCI_OP_conf_write : XEN_PCI_OP_conf_read;
    op->size = 1 << m % 3;
    op->offset = 0x40 & ~(op->size - 1);
    op->value = 0x11 * m;
    switch (n % 10) {
    case 0:
        op->domain = 1U << m % 32;
        break;
    case 1:
        op->bus = m % 2 ? 1 + m % 0x300 : 1U << m % 32;
        break;
    case 2: /* the function's number with bits above it */
        op->devfn = 1U << (8 + m % 24);
        break;
    case 3:
        op->devfn = 8 + m;
        break;
    case 4:
        op->size = sizes[m % (sizeof(sizes) / sizeof(sizes[0]))];
        break;
    case 5:
        op->size = m % 2 ? 4 : 2;
        op->offset = (int32_t)(0x41 + m % 32 * 4);
        break;
    case 6: /* aligned, and before the beginning */
        op->offset = -op->size * (int32_t)(1 + m);
        break;
    case 7: /* aligned, and behind the end */
        op->offset = (int32_t)beyond[m % (sizeof(beyond) / sizeof(beyond[0]))];
        break;
    case 8:
        op->cmd = m % 2 ? 11 + m : 1U << (4 + m % 28);
        break;
    default:
        op->cmd = XEN_PCI_OP_enable_msix;
        op->value = m % 3 ? counts[m % (sizeof(counts) / sizeof(counts[0]))] : 2;
        op->msix_entries[0].entry = op->msix_entries[1].entry = (uint16_t)(m % 5);
        break;
    }
}

#define MALFORMED 3343

static void malformed(void)
{
    struct tally tally[TALLY_MAX] = { { 0 } };
    unsigned accepted = 0, by_kind[10] = { 0 };

    for (unsigned n = 0; n < MALFORMED; n++) {
        struct xen_pci_op op;
        int err;

        malform(n, &op);
        post(&op);
        err = finish();
        tally_add(tally, err);
        accepted += err == 0;
        by_kind[n % 10] += err == 0;
    }
    printf("malformed %u accepted %u by kind", MALFORMED, accepted);
    for (unsigned i = 0; i < 10; i++)
        printf(" %u", by_kind[i]);
    printf("\n");
    tally_print("malformed", tally);
}

static bool burst(const char *kind, double milliseconds)
{
    double end = now_ms() + milliseconds;
    unsigned long n = 0, failed = 0;
    struct xen_pci_op op;

    for (; now_ms() < end; n++) {
        if (strcmp(kind, "events") == 0) {
            xenevtchn_notify(channel, port);
        } else if (strcmp(kind, "ops") == 0 || strcmp(kind, "bad") == 0) {
            memset(&op, 0, sizeof(op));
            op.size = 4;
            if (kind[0] == 'b')
                malform((unsigned)n % MALFORMED, &op);
            post(&op);
            while (__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & XEN_PCIF_active &&
                   now_ms() < end + 3000)
                ;
            failed += (page->flags & XEN_PCIF_active) != 0;
        } else if (strcmp(kind, "states") == 0) {
            const char digit[2] = { (char)('1' + n % 8), '\0' };

            put("state", digit);
        } else if (strcmp(kind, "nodes") == 0) {
            char name[32];

            snprintf(name, sizeof(name), "junk-%lu", n % 64);
            put(name, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        } else {
            return false;
        }
    }
    printf("burst %s %lu in %.0f ms, %lu without an answer\n", kind, n, milliseconds, failed);
    return true;
}

static volatile bool scribbling;

static void *scribbler(void *unused)
{
    uint64_t seed = 1;
    (void)unused;
    while (scribbling) {
        page->op.size = (int32_t)random_word(&seed);
        page->op.offset = (int32_t)random_word(&seed);
        page->op.devfn = random_word(&seed);
        page->op.cmd = random_word(&seed) & 1 ? XEN_PCI_OP_conf_read : 0x77;
    }
    return NULL;
}

static bool scribble(char **words, int count)
{
    struct xen_pci_op op;
    struct tally tally[TALLY_MAX] = { { 0 } };
    pthread_t thread;
    if (count < 1 || !fill(&op, words + 1, count - 1))
        return false;
    double end = now_ms() + atoi(words[0]);
    scribbling = true;
    if (pthread_create(&thread, NULL, scribbler, NULL) != 0)
        return false;
    while (now_ms() < end) {
        post(&op);
        tally_add(tally, finish());
    }
    scribbling = false;
    pthread_join(thread, NULL);
    tally_print("scribble", tally);
    return true;
}

/* --- the script
 * ----------------------------------------------------------------------------------------------------
 */

static const char *option(char **words, int count, const char *name, const char *fallback)
{
    size_t len = strlen(name);
    for (int i = 0; i < count; i++) {
        if (strncmp(words[i], name, len) == 0 && words[i][len] == '=')
            return words[i] + len + 1;
    }
    return fallback;
}

static void publish(char **words, int count)
{
    char number[16];
    const char *want = option(words, count, "ref", "ok");
    snprintf(number, sizeof(number), "%u", ref);
    put("pci-op-ref", strcmp(want, "ok") == 0 ? number : want);
    want = option(words, count, "port", "ok");
    snprintf(number, sizeof(number), "%u", port);
    put("event-channel", strcmp(want, "ok") == 0 ? number : want);
    put("magic", option(words, count, "magic", XEN_PCI_MAGIC));
    want = option(words, count, "state", "3");
    if (strcmp(want, "none") != 0)
        put("state", want);
    printf("published ref=%u port=%u\n", ref, port);
}

static void wait_backend(int state, int seconds)
{
    double end = now_ms() + seconds * 1e3;
    while (backend_state() != state && now_ms() < end)
        nap(50000);
    int got = backend_state();
    printf("backend state=%d\n", got);
    if (got != state) {
        failures++;
        printf("EXPECT FAILED: backend state %d, want %d\n", got, state);
    }
}

static void storm(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        const char digit[2] = { (char)('1' + i % 8), '\0' };
        put("state", digit);
    }
    printf("storm of %lu writes done\n", count);
}

static void poke(size_t offset, size_t size, uint64_t value)
{
    if (size <= sizeof(value) && offset + size <= PAGE)
        memcpy((char *)page + offset, &value, size);
}

static void flood(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++)
        xenevtchn_notify(channel, port);
    printf("flood of %lu events done\n", count);
}

static void expect_value(uint32_t want)
{
    if (last.value != want) {
        failures++;
        printf("EXPECT FAILED: value 0x%x, want 0x%x\n", last.value, want);
    }
}

static bool obey(char **word, int n)
{
    const char *verb = word[0];
    unsigned long first = n > 1 ? strtoul(word[1], NULL, 0) : 0;

    if (strcmp(verb, "publish") == 0)
        publish(word + 1, n - 1);
    else if (strcmp(verb, "op") == 0)
        return do_op(word + 1, n - 1);
    else if (strcmp(verb, "scribble") == 0)
        return scribble(word + 1, n - 1);
    else if (strcmp(verb, "notify") == 0)
        xenevtchn_notify(channel, port);
    else if (strcmp(verb, "flags") == 0)
        printf("flags=0x%x\n", page->flags);
    else if (strcmp(verb, "be") == 0)
        printf("backend state=%d\n", backend_state());
    else if (strcmp(verb, "malformed") == 0)
        malformed();
    else if (n < 2)
        return false;
    else if (strcmp(verb, "burst") == 0 && n == 3)
        return burst(word[1], strtod(word[2], NULL));
    else if (strcmp(verb, "state") == 0)
        put("state", word[1]);
    else if (strcmp(verb, "write-node") == 0 && n == 3)
        put(word[1], word[2]);
    else if (strcmp(verb, "wait-be") == 0 && n == 3)
        wait_backend((int)first, atoi(word[2]));
    else if (strcmp(verb, "expect") == 0)
        expect(word[1]);
    else if (strcmp(verb, "expect-value") == 0)
        expect_value((uint32_t)first);
    else if (strcmp(verb, "set-flags") == 0)
        __atomic_store_n(&page->flags, (uint32_t)first, __ATOMIC_SEQ_CST);
    else if (strcmp(verb, "poke") == 0 && n == 4)
        poke(first, strtoul(word[2], NULL, 0), strtoull(word[3], NULL, 0));
    else if (strcmp(verb, "flood") == 0)
        flood(first);
    else if (strcmp(verb, "storm") == 0)
        storm(first);
    else if (strcmp(verb, "fuzz") == 0 && n == 3)
        fuzz(first, strtoul(word[2], NULL, 0));
    else if (strcmp(verb, "patience") == 0)
        patience_ms = (int)first;
    else if (strcmp(verb, "sleep") == 0)
        nap((long)(atof(word[1]) * 1e6));
    else if (strcmp(verb, "echo") == 0)
        printf("%s\n", word[1]);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    FILE *script = argc > 1 ? fopen(argv[1], "r") : stdin;
    char line[2048];
    if (!script || !start()) {
        perror("labfe");
        return 100;
    }
    while (fgets(line, sizeof(line), script)) {
        char *words[WORDS_MAX], *rest = line;
        int count = 0;
        for (char *word; count < WORDS_MAX && (word = strsep(&rest, " \t\n"));) {
            if (*word == '#')
                break;
            if (*word)
                words[count++] = word;
        }
        if (count && !obey(words, count)) {
            printf("labfe: what is %s?\n", words[0]);
            failures++;
        }
        fflush(stdout);
    }
    return failures > 99 ? 99 : failures;
}
