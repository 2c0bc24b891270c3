/* SPDX-License-Identifier: MIT */
/* The store thread's calls, by libxenstore. */
#include "xen/real_store.h"
#include "xen/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>
#include <xenstore.h>

static int last_error(void)
{
    return errno > 0 ? -errno : -EIO;
}

static int result(bool ok)
{
    return ok ? 0 : last_error();
}

/* A socket, or -1. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (!path || strlen(path) >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static bool socket_answers(const char *path)
{
    int fd = connect_to(path);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/*
 * xs_open tries the socket and then /dev/xen/xenbus. While a xenstored that had a socket is dead,
 * the device still opens, but its first request is never answered and the thread would hang for
 * ever. XENSTORED_PATH replaces both, so it is set if the socket answers at the start, when there
 * is no second thread that could read the environment.
 */
static int stay_on_socket(void)
{
    static bool decided;

    if (decided || getenv("XENSTORED_PATH"))
        return 0;
    decided = true;
    if (!socket_answers(xs_daemon_socket()))
        return 0;
    return result(setenv("XENSTORED_PATH", xs_daemon_socket(), 0) == 0);
}

static char relay[sizeof(((struct sockaddr_un *)0)->sun_path)];
static bool by_relay;

const char *pb_xen_store_socket(void)
{
    const char *path = getenv("XENSTORED_PATH");

    return path ? path : xs_daemon_socket();
}

void pb_xen_use_relay(const char *path)
{
    relay[0] = '\0';
    if (strlen(path) < sizeof(relay))
        memcpy(relay, path, strlen(path) + 1);
}

/* A relay accepts before it knows whether xenstored is there: only an answer tells. */
static int check_answer(struct xs_handle *conn)
{
    char *path = xs_get_domain_path(conn, 0);
    int rc = result(path);

    free(path);
    return rc;
}

/* Still without a second thread that could read the environment. */
static int turn_to_relay(void)
{
    if (by_relay || !relay[0])
        return 0;
    by_relay = true;
    return result(setenv("XENSTORED_PATH", relay, 1) == 0);
}

/*
 * The connection's reader thread alone learns that xenstored died. A second connection, which says
 * nothing, is hung up at the same time: the first one direct, before the relay is taken.
 */
static int life = -1;

static int lib_life(void *conn)
{
    int fd = life;

    (void)conn;
    life = -1;
    return fd;
}

static void lib_close(void *conn)
{
    if (life >= 0)
        (void)close(lib_life(conn));
    xs_close(conn);
}

static int lib_open(void *ctx, void **ret)
{
    bool later = by_relay;
    struct xs_handle *conn;
    int rc = stay_on_socket();

    (void)ctx;
    if (rc)
        return rc;
    conn = xs_open(0);
    rc = result(conn);
    if (rc == 0) {
        life = connect_to(pb_xen_store_socket());
        rc = later ? check_answer(conn) : turn_to_relay();
    }
    if (rc && conn)
        lib_close(conn);
    if (rc == 0)
        *ret = conn;
    return rc;
}

static int lib_fileno(void *conn)
{
    return xs_fileno(conn);
}

static int lib_check_watch(void *conn, unsigned long *ret_serial)
{
    char **event = xs_check_watch(conn);

    if (!event)
        return last_error();
    *ret_serial = strtoul(event[XS_WATCH_TOKEN], NULL, 10);
    free(event);
    return 0;
}

struct token {
    char text[24];
};

static struct token make_token(unsigned long serial)
{
    struct token token;

    (void)snprintf(token.text, sizeof(token.text), "%lu", serial);
    return token;
}

static int lib_watch(void *conn, const char *path, unsigned long serial)
{
    return result(xs_watch(conn, path, make_token(serial).text));
}

static int lib_unwatch(void *conn, const char *path, unsigned long serial)
{
    return result(xs_unwatch(conn, path, make_token(serial).text));
}

static int lib_begin(void *conn, uint32_t *ret_tx)
{
    *ret_tx = xs_transaction_start(conn);
    return result(*ret_tx != XBT_NULL);
}

static int lib_end(void *conn, uint32_t tx, bool abort)
{
    return result(xs_transaction_end(conn, tx, abort));
}

static int lib_read(void *conn, uint32_t tx, const char *path, char **ret, size_t *ret_length)
{
    unsigned length = 0;

    *ret = xs_read(conn, tx, path, &length);
    *ret_length = length;
    return result(*ret);
}

static int lib_list(void *conn, uint32_t tx, const char *path, char ***ret, unsigned *ret_count)
{
    *ret = xs_directory(conn, tx, path, ret_count);
    return result(*ret);
}

static int lib_write(void *conn, uint32_t tx, const char *path, const void *value, size_t length)
{
    if (length > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    return result(xs_write(conn, tx, path, value, (unsigned)length));
}

static int lib_mkdir(void *conn, uint32_t tx, const char *path)
{
    return result(xs_mkdir(conn, tx, path));
}

static int lib_remove(void *conn, uint32_t tx, const char *path)
{
    return result(xs_rm(conn, tx, path));
}

/* The first entry is the owner, with what everybody else may do. */
static int lib_perms(void *conn, uint32_t tx, const char *path, uint16_t domid, bool guest_owns)
{
    struct xs_permissions perms[2] = {
        { .id = guest_owns ? domid : 0, .perms = XS_PERM_NONE },
        { .id = guest_owns ? 0 : domid, .perms = XS_PERM_READ },
    };

    return result(xs_set_permissions(conn, tx, path, perms, 2));
}

const struct pb_real_xs pb_real_xs_lib = {
    .open = lib_open,
    .close = lib_close,
    .fileno = lib_fileno,
    .check_watch = lib_check_watch,
    .life = lib_life,
    .watch = lib_watch,
    .unwatch = lib_unwatch,
    .begin = lib_begin,
    .end = lib_end,
    .read = lib_read,
    .list = lib_list,
    .write = lib_write,
    .mkdir = lib_mkdir,
    .remove = lib_remove,
    .perms = lib_perms,
};
