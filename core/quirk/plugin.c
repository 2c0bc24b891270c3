/* SPDX-License-Identifier: MIT */
/*
 * A plugin is opened by its path, after everything on that path was found to be root's alone:
 * nobody else can put another file there between the check and dlopen. /proc/self/fd/N would open
 * exactly the file that was checked, but the dynamic linker knows libraries by the name that they
 * were opened with: the next plugin that gets the same descriptor would be taken for this one, and
 * a debugger would not find either.
 */
#include "quirk/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "quirk/services.h"

#define SPELLINGS 8 /* of one path, see open_library() */

/* What every version of the structure has: up to its name; and what is looked at before that. */
#define HEAD_SIZE    offsetof(struct pcibackd_plugin, load)
#define VERSION_SIZE offsetof(struct pcibackd_plugin, struct_size)

struct pb_plugin {
    LIST_ENTRY(pb_plugin) link;
    unsigned refs;
    dev_t dev;
    ino_t ino;
    uint64_t file; /* tells it from one that replaced it, also in another process */
    void *library;
    enum { NOT_LOADED, LOADED, REFUSED } state;
    int refused; /* what load said */
    struct pcibackd_plugin ops;
    char name[PB_PLUGIN_NAME_MAX + 1];
    char path[PATH_MAX];
};

/* Sets of quirks are read in another thread than that which uses them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, pb_plugin) plugins = LIST_HEAD_INITIALIZER(plugins);

static const struct pb_plugin_guard *guard;

struct opening {
    const char *name;
    char path[PATH_MAX];
    int fd;
    struct stat st;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct opening *o, int rc,
                                                        const char *fmt, ...)
{
    char text[384];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)snprintf(o->why, o->why_size, "plugin %s: %s", o->name, text);
    return rc;
}

bool pb_plugin_name_check(const char *name)
{
    size_t n = strlen(name);

    if (n < 1 || n > PB_PLUGIN_NAME_MAX)
        return false;
    for (const char *p = name; *p; p++) {
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
            *p != '-' && *p != '_')
            return false;
    }
    return true;
}

/* --- whose file it is --- */

/* FD is what the first LENGTH characters of the path name. */
static int check_owner(const struct opening *o, int fd, size_t length)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return refuse(o, -errno, "%.*s: %s", (int)length, o->path, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return refuse(o, -EPERM, "%.*s is a symbolic link: name the directory that it leads to",
                      (int)length, o->path);
    if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return refuse(o, -EPERM, "%.*s is not root's alone to write (owner %u, mode %04o)",
                      (int)length, o->path, st.st_uid, st.st_mode & 07777);
    return 0;
}

/* Every directory above the file, from the root on, without following links. */
static int check_directories(const struct opening *o, int *ret_dir)
{
    const char *at = o->path, *slash;
    int dir, rc;

    if (*at != '/')
        return refuse(o, -EPERM, "%s is not an absolute path", at);
    dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return refuse(o, -errno, "/: %s", strerror(errno));
    rc = check_owner(o, dir, 1);
    while (rc == 0 && (slash = strchr(++at, '/')) != NULL) {
        char part[NAME_MAX + 1];
        size_t n = (size_t)(slash - at);
        int next = -1;

        if (n == 0)
            continue;
        if (n < sizeof(part)) {
            memcpy(part, at, n);
            part[n] = '\0';
            next = openat(dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        }
        if (next < 0) {
            rc = refuse(o, n < sizeof(part) ? -errno : -ENAMETOOLONG, "%.*s cannot be opened",
                        (int)(slash - o->path), o->path);
            break;
        }
        (void)close(dir);
        dir = next;
        at = slash;
        rc = check_owner(o, dir, (size_t)(slash - o->path));
    }
    if (rc)
        (void)close(dir);
    else
        *ret_dir = dir;
    return rc;
}

/* O_NONBLOCK: it may be a FIFO. */
static int open_file(struct opening *o, bool any_owner)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, dir = -1, rc = 0;

    if (any_owner) {
        o->fd = open(o->path, flags);
    } else {
        rc = check_directories(o, &dir);
        if (rc)
            return rc;
        o->fd = openat(dir, strrchr(o->path, '/') + 1, flags | O_NOFOLLOW);
    }
    if (o->fd < 0 && errno == ELOOP)
        rc = refuse(o, -EPERM, "%s is a symbolic link", o->path);
    else if (o->fd < 0)
        rc = refuse(o, -errno, "%s: %s", o->path, strerror(errno));
    if (dir >= 0)
        (void)close(dir);
    if (rc)
        return rc;
    if (fstat(o->fd, &o->st) != 0)
        return refuse(o, -errno, "%s: %s", o->path, strerror(errno));
    if (!S_ISREG(o->st.st_mode))
        return refuse(o, -ELIBBAD, "%s is not a file", o->path);
    return any_owner ? 0 : check_owner(o, o->fd, strlen(o->path));
}

/* --- the library --- */

/* The same path in another spelling, for each NUMBER: DIR/NAME.so, DIR/./NAME.so, … */
static void spell(const struct opening *o, unsigned number, char ret[PATH_MAX + 2 * SPELLINGS])
{
    const char *slash = strrchr(o->path, '/');
    static const char dots[] = "/././././././././.";

    (void)snprintf(ret, PATH_MAX + 2 * SPELLINGS, "%.*s%.*s%s", (int)(slash - o->path), o->path,
                   (int)(2 * number), dots, slash);
}

/*
 * The linker takes a name that it knows for the library that it has under it. After an upgrade of
 * a plugin that is in use this would be the old file: the new one is opened by a name that it does
 * not know. What it knows by all names is this very file, which something keeps in memory.
 */
static void *open_library(const struct opening *o)
{
    char path[PATH_MAX + 2 * SPELLINGS];
    void *known;

    for (unsigned i = 0; i < SPELLINGS; i++) {
        spell(o, i, path);
        known = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
        if (!known)
            break;
        (void)dlclose(known);
    }
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static int check_structure(const struct opening *o, void *library, struct pcibackd_plugin *ret)
{
    const struct pcibackd_plugin *p = dlsym(library, "pcibackd_plugin");
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!p)
        return refuse(o, -ENOEXEC, "%s has no symbol pcibackd_plugin", o->path);
    /* How much there is to look at is the linker's word, not the plugin's. */
    if (!dladdr1(p, &info, (void **)(uintptr_t)&symbol, RTLD_DL_SYMENT) || !symbol ||
        ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_size < VERSION_SIZE ||
        p->magic != PCIBACKD_PLUGIN_MAGIC)
        return refuse(o, -ENOEXEC, "pcibackd_plugin in %s is not a plugin's", o->path);
    if (p->abi_major != PCIBACKD_ABI_MAJOR || p->abi_minor > PCIBACKD_ABI_MINOR)
        return refuse(o, -EPROTO, "it was built for version %u.%u of the interface, this is %u.%u",
                      p->abi_major, p->abi_minor, PCIBACKD_ABI_MAJOR, PCIBACKD_ABI_MINOR);
    if (symbol->st_size < HEAD_SIZE)
        return refuse(o, -EINVAL, "its structure ends after %u bytes", (unsigned)symbol->st_size);
    if (p->struct_size < HEAD_SIZE || p->struct_size > symbol->st_size ||
        p->struct_size % sizeof(void *))
        return refuse(o, -EINVAL, "struct_size is %u: not from %u to %u", p->struct_size,
                      (unsigned)HEAD_SIZE, (unsigned)symbol->st_size);
    if (p->flags & ~(PCIBACKD_WANT_RAW | PCIBACKD_WANT_TRACE))
        return refuse(o, -EINVAL, "its flags 0x%x mean nothing in version %u.%u", p->flags,
                      p->abi_major, p->abi_minor);
    if (!p->name || strcmp(p->name, o->name) != 0)
        return refuse(o, -EINVAL, "%s calls itself %.40s", o->path, p->name ? p->name : "nothing");
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, p, p->struct_size < sizeof(*ret) ? p->struct_size : sizeof(*ret));
    return 0;
}

/* An overwritten file keeps its inode, one that was put back its size and time. */
static uint64_t number_of(const struct stat *st)
{
    const uint64_t words[] = { st->st_dev, st->st_ino, (uint64_t)st->st_size,
                               (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec };
    uint64_t number = 0;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        number = (number ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        number ^= number >> 29;
    }
    return number;
}

/* Under the lock. */
static int open_new(const struct opening *o, struct pb_plugin **ret)
{
    struct pb_plugin *plugin = calloc(1, sizeof(*plugin));
    struct stat st;
    int rc = 0;

    if (!plugin)
        return refuse(o, -ENOMEM, "out of memory");
    plugin->library = open_library(o);
    if (!plugin->library)
        rc = refuse(o, -ELIBBAD, "%s", dlerror());
    else if (stat(o->path, &st) != 0 || st.st_dev != o->st.st_dev || st.st_ino != o->st.st_ino)
        rc = refuse(o, -EAGAIN, "%s was replaced while it was opened", o->path);
    else
        rc = check_structure(o, plugin->library, &plugin->ops);
    if (rc) {
        if (plugin->library)
            (void)dlclose(plugin->library);
        free(plugin);
        return rc;
    }
    plugin->dev = o->st.st_dev;
    plugin->ino = o->st.st_ino;
    plugin->file = number_of(&o->st);
    (void)snprintf(plugin->name, sizeof(plugin->name), "%s", o->name);
    (void)snprintf(plugin->path, sizeof(plugin->path), "%s", o->path);
    plugin->ops.name = plugin->name;
    LIST_INSERT_HEAD(&plugins, plugin, link);
    *ret = plugin;
    return 0;
}

static int open_shared(const struct opening *o, struct pb_plugin **ret)
{
    struct pb_plugin *p, *found = NULL;
    int rc = 0;

    (void)pthread_mutex_lock(&lock);
    LIST_FOREACH (p, &plugins, link) {
        if (p->dev == o->st.st_dev && p->ino == o->st.st_ino)
            found = p;
    }
    if (found && strcmp(found->name, o->name) != 0)
        rc = refuse(o, -EINVAL, "%s calls itself %s", o->path, found->name);
    else if (!found)
        rc = open_new(o, &found);
    if (rc == 0 && found) {
        found->refs++;
        *ret = found;
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

int pb_plugin_open(const char *const *dirs, size_t dir_count, bool any_owner, const char *name,
                   struct pb_plugin **ret, char *why, size_t why_size)
{
    struct opening o = { .name = name, .fd = -1, .why = why, .why_size = why_size };
    size_t i = dir_count;
    int rc;

    if (!pb_plugin_name_check(name)) {
        (void)snprintf(why, why_size, "this is no plugin's name: letters, digits, - and _");
        return -EINVAL;
    }
    while (i-- > 0) {
        int n = snprintf(o.path, sizeof(o.path), "%s/%s.so", dirs[i], name);

        if (n < 0 || (size_t)n >= sizeof(o.path) || access(o.path, F_OK) != 0)
            continue;
        rc = open_file(&o, any_owner);
        if (rc == 0)
            rc = open_shared(&o, ret);
        if (o.fd >= 0)
            (void)close(o.fd);
        return rc;
    }
    return refuse(&o, -ENOENT, "no plugin directory has %s.so", name);
}

/* --- life --- */

struct pb_plugin *pb_plugin_ref(struct pb_plugin *plugin)
{
    (void)pthread_mutex_lock(&lock);
    plugin->refs++;
    (void)pthread_mutex_unlock(&lock);
    return plugin;
}

/* Under the lock to its end: nobody opens the library anew between its unload and its close. */
void pb_plugin_unref(struct pb_plugin *plugin)
{
    (void)pthread_mutex_lock(&lock);
    if (--plugin->refs == 0) {
        LIST_REMOVE(plugin, link);
        if (plugin->state == LOADED && plugin->ops.unload) {
            pb_services_for(plugin->name);
            pb_plugin_enter(plugin);
            plugin->ops.unload();
            pb_plugin_leave();
            pb_services_for(NULL);
        }
        (void)dlclose(plugin->library);
        free(plugin);
    }
    (void)pthread_mutex_unlock(&lock);
}

int pb_plugin_load(struct pb_plugin *plugin, char *why, size_t why_size)
{
    if (plugin->state == NOT_LOADED) {
        int rc = 0;

        pb_services_for(plugin->name);
        pb_plugin_enter(plugin);
        if (plugin->ops.load)
            rc = plugin->ops.load(&pb_services);
        pb_plugin_leave();
        pb_services_for(NULL);
        plugin->refused = rc > 0 ? -EPROTO : rc;
        plugin->state = rc ? REFUSED : LOADED;
    }
    if (plugin->state == REFUSED)
        (void)snprintf(why, why_size, "plugin %s: load: %s", plugin->name,
                       strerror(-plugin->refused));
    return plugin->refused;
}

void pb_plugin_set_guard(const struct pb_plugin_guard *new_guard)
{
    guard = new_guard;
}

void pb_plugin_enter(const struct pb_plugin *plugin)
{
    if (guard)
        guard->enter(guard->ctx, plugin->name, plugin->file);
}

void pb_plugin_leave(void)
{
    if (guard)
        guard->leave(guard->ctx);
}

bool pb_plugin_is_off(const struct pb_plugin *plugin)
{
    return guard && guard->is_off(guard->ctx, plugin->name, plugin->file);
}

const char *pb_plugin_name(const struct pb_plugin *plugin)
{
    return plugin->name;
}

const char *pb_plugin_path(const struct pb_plugin *plugin)
{
    return plugin->path;
}

const struct pcibackd_plugin *pb_plugin_ops(const struct pb_plugin *plugin)
{
    return &plugin->ops;
}
