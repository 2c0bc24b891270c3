/* SPDX-License-Identifier: MIT */
/* What the host itself needs a device for: claiming that would lock its operator out. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/surroundings.h"

#define DEPTH_MAX  8    /* of devices that are made of others */
#define VISITS_MAX 4096 /* of all of them: a machine full of containers mounts a lot */
#define NAMES_MAX  3    /* that are told for a use */

struct search {
    const char *root, *proc;
    char device[PATH_MAX]; /* the real path, with a slash at its end */
    unsigned visits;
    enum pb_use use; /* what is looked for now */
    uint8_t found;
    char names[PB_USE_COUNT][64];
    unsigned name_count[PB_USE_COUNT];
};

static void note(struct search *s, const char *name)
{
    char *names = s->names[s->use];
    size_t n = strlen(names);
    const char *at = names;

    s->found |= (uint8_t)(1U << s->use);
    while ((at = strstr(at, name)) != NULL) {
        size_t length = strlen(name);

        if ((at == names || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0'))
            return;
        at += length;
    }
    if (s->name_count[s->use]++ < NAMES_MAX)
        (void)snprintf(names + n, sizeof(s->names[0]) - n, "%s%s", n ? ", " : "", name);
    else if (s->name_count[s->use] == NAMES_MAX + 1)
        (void)snprintf(names + n, sizeof(s->names[0]) - n, ", ...");
}

static bool is_below(const struct search *s, const char *real)
{
    return strncmp(real, s->device, strlen(s->device)) == 0;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* ROOT/BEHIND, real. */
static bool resolve(char real[PATH_MAX], const char *root, const char *behind)
{
    char path[PATH_MAX];

    return (size_t)snprintf(path, sizeof(path), "%s/%s", root, behind) < sizeof(path) &&
           realpath(path, real);
}

/* The host's, whatever namespaces a unit file put us in. */
static FILE *open_proc(const struct search *s, const char *name)
{
    static const char *const of[] = { "1", "self" };
    FILE *f = NULL;

    for (unsigned i = 0; !f && i < PB_ARRAY_SIZE(of); i++) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s/%s", s->proc, of[i], name);
        f = fopen(path, "re");
    }
    return f;
}

/* --- what is below a device of the kernel --- */

static void visit_block(struct search *s, const char *dir, unsigned depth);
static void visit_path(struct search *s, const char *path, unsigned depth);

/* Each real path of an entry of DIR whose name starts with PREFIX. */
static void visit_links(struct search *s, const char *dir, const char *prefix, unsigned depth,
                        void (*visit)(struct search *s, const char *dir, unsigned depth))
{
    const struct dirent *entry;
    char real[PATH_MAX];
    DIR *d = opendir(dir);

    while (d && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            resolve(real, dir, entry->d_name))
            visit(s, real, depth + 1);
    }
    if (d)
        (void)closedir(d);
}

/* An NVMe namespace with several paths belongs to none of its controllers. */
static void visit_controller(struct search *s, const char *dir, unsigned depth)
{
    (void)depth;
    if (is_below(s, dir))
        note(s, last_name(dir));
}

static void visit_subsystem(struct search *s, const char *dir, unsigned depth)
{
    char top[PATH_MAX], *slash;
    const char *at = strstr(dir, "/nvme-subsystem/");

    if (!at || !strchr(at + strlen("/nvme-subsystem/"), '/'))
        return;
    (void)snprintf(top, sizeof(top), "%s", dir);
    slash = strchr(top + (at - dir) + strlen("/nvme-subsystem/"), '/');
    if (slash)
        *slash = '\0';
    visit_links(s, top, "nvme", depth, visit_controller);
}

static void visit_loop(struct search *s, const char *dir, unsigned depth)
{
    char path[PATH_MAX], file[PATH_MAX];
    FILE *f;

    if ((size_t)snprintf(path, sizeof(path), "%s/loop/backing_file", dir) >= sizeof(path))
        return;
    f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(file, sizeof(file), f)) {
        file[strcspn(file, "\n")] = '\0';
        visit_path(s, file, depth + 1);
    }
    (void)fclose(f);
}

/* DIR is the real directory of a disk or partition. */
static void visit_block(struct search *s, const char *dir, unsigned depth)
{
    char path[PATH_MAX], whole[PATH_MAX];

    if (depth > DEPTH_MAX || s->visits++ > VISITS_MAX)
        return;
    if (is_below(s, dir)) {
        note(s, last_name(dir));
        return;
    }
    (void)snprintf(whole, sizeof(whole), "%s", dir);
    if ((size_t)snprintf(path, sizeof(path), "%s/partition", dir) < sizeof(path) &&
        access(path, F_OK) == 0)
        *strrchr(whole, '/') = '\0'; /* what a disk is made of, its partitions are */
    if ((size_t)snprintf(path, sizeof(path), "%s/slaves", whole) < sizeof(path))
        visit_links(s, path, "", depth, visit_block);
    visit_loop(s, whole, depth);
    visit_subsystem(s, whole, depth);
}

static void visit_number(struct search *s, unsigned major, unsigned minor, unsigned depth)
{
    char behind[64], real[PATH_MAX];

    (void)snprintf(behind, sizeof(behind), "dev/block/%u:%u", major, minor);
    if (resolve(real, s->root, behind))
        visit_block(s, real, depth);
}

/* SOURCE is a name in /dev. */
static void visit_source(struct search *s, const char *source, unsigned depth)
{
    char real[PATH_MAX], behind[300];

    if (strncmp(source, "/dev/", 5) != 0)
        return;
    if (!realpath(source, real)) /* /dev/mapper/x is a link to /dev/dm-0 */
        (void)snprintf(real, sizeof(real), "%s", source);
    (void)snprintf(behind, sizeof(behind), "class/block/%.255s", last_name(real));
    if (resolve(real, s->root, behind))
        visit_block(s, real, depth);
}

/* --- file systems --- */

struct mount {
    unsigned major, minor;
    char *point, *type, *source, *options;
};

/* "\040" is a space: in place. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": proc(5) */
static bool parse_mount(char *line, struct mount *ret)
{
    char *save = NULL, *word = strtok_r(line, " \n", &save), *end;

    for (int i = 1; word && i < 3; i++)
        word = strtok_r(NULL, " \n", &save);
    if (!word)
        return false;
    ret->major = (unsigned)strtoul(word, &end, 10);
    if (*end != ':')
        return false;
    ret->minor = (unsigned)strtoul(end + 1, &end, 10);
    if (*end || !strtok_r(NULL, " \n", &save))
        return false;
    ret->point = strtok_r(NULL, " \n", &save);
    do {
        word = strtok_r(NULL, " \n", &save);
    } while (word && strcmp(word, "-") != 0);
    ret->type = strtok_r(NULL, " \n", &save);
    ret->source = strtok_r(NULL, " \n", &save);
    ret->options = strtok_r(NULL, " \n", &save);
    if (!ret->point || !ret->type || !ret->source || !ret->options)
        return false;
    unescape(ret->point);
    unescape(ret->source);
    return true;
}

/* All disks of a btrfs that has this one. */
static void visit_btrfs(struct search *s, const char *source, unsigned depth)
{
    char top[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
    const struct dirent *entry;
    DIR *d;

    visit_source(s, source, depth);
    if (!realpath(source, real))
        (void)snprintf(real, sizeof(real), "%s", source);
    (void)snprintf(top, sizeof(top), "%s/fs/btrfs", s->root);
    d = opendir(top);
    while (d && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.' ||
            (size_t)snprintf(path, sizeof(path), "%s/%s/devices/%s", top, entry->d_name,
                             last_name(real)) >= sizeof(path) ||
            access(path, F_OK) != 0)
            continue;
        *strrchr(path, '/') = '\0';
        visit_links(s, path, "", depth, visit_block);
    }
    if (d)
        (void)closedir(d);
}

/* The layers of an overlay are directories of other file systems. */
static void visit_overlay(struct search *s, char *options, unsigned depth)
{
    static const char *const keys[] = { "lowerdir=", "upperdir=" };
    char *save = NULL, *inner = NULL;

    for (char *o = strtok_r(options, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
        for (unsigned i = 0; i < PB_ARRAY_SIZE(keys); i++) {
            if (strncmp(o, keys[i], strlen(keys[i])) != 0)
                continue;
            for (char *p = strtok_r(o + strlen(keys[i]), ":", &inner); p;
                 p = strtok_r(NULL, ":", &inner)) {
                unescape(p);
                visit_path(s, p, depth + 1);
            }
        }
    }
}

static void visit_mount(struct search *s, const struct mount *m, unsigned depth)
{
    if (m->major)
        visit_number(s, m->major, m->minor, depth);
    else if (strcmp(m->type, "btrfs") == 0)
        visit_btrfs(s, m->source, depth);
    else if (strcmp(m->type, "overlay") == 0)
        visit_overlay(s, m->options, depth);
}

/* With MAJOR and MINOR: that file system; without: all of them. */
static void visit_mounts(struct search *s, bool all, unsigned major, unsigned minor, unsigned depth)
{
    FILE *f = depth > DEPTH_MAX ? NULL : open_proc(s, "mountinfo");
    char *line = NULL;
    size_t size = 0;
    struct mount m;

    while (f && s->visits < VISITS_MAX && getline(&line, &size, f) > 0) {
        if (!parse_mount(line, &m) || (!all && (m.major != major || m.minor != minor)))
            continue;
        if (all)
            s->use = strcmp(m.point, "/") == 0 ? PB_USE_ROOT : PB_USE_DISK;
        visit_mount(s, &m, depth);
        if (!all)
            break;
    }
    free(line);
    if (f)
        (void)fclose(f);
}

/* What the file or the block device PATH is on. */
static void visit_path(struct search *s, const char *path, unsigned depth)
{
    struct stat st;
    dev_t dev;

    if (depth > DEPTH_MAX || s->visits++ > VISITS_MAX || path[0] != '/')
        return;
    if (stat(path, &st) != 0) {
        visit_source(s, path, depth);
        return;
    }
    dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    if (major(dev))
        visit_number(s, major(dev), minor(dev), depth);
    else
        visit_mounts(s, false, major(dev), minor(dev), depth + 1);
}

static void find_swap(struct search *s)
{
    char path[PATH_MAX], *line = NULL;
    size_t size = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/swaps", s->proc);
    f = fopen(path, "re");
    s->use = PB_USE_DISK;
    while (f && getline(&line, &size, f) > 0) {
        line[strcspn(line, " \t\n")] = '\0';
        unescape(line);
        visit_path(s, line, 0); /* the title has no slash */
    }
    free(line);
    if (f)
        (void)fclose(f);
}

/* --- the default route --- */

/* Over bridge, bond, vlan and team to the cards below. */
static void visit_interface(struct search *s, const char *dir, unsigned depth)
{
    if (depth > DEPTH_MAX || s->visits++ > VISITS_MAX)
        return;
    if (is_below(s, dir))
        note(s, last_name(dir));
    else
        visit_links(s, dir, "lower_", depth, visit_interface);
}

static void visit_route(struct search *s, const char *interface)
{
    char behind[64], real[PATH_MAX];

    if (strcmp(interface, "lo") == 0 || strchr(interface, '/'))
        return;
    (void)snprintf(behind, sizeof(behind), "class/net/%.32s", interface);
    if (resolve(real, s->root, behind))
        visit_interface(s, real, 0);
}

#define ROUTE_UP     0x1u
#define ROUTE_REJECT 0x200u

static void find_routes(struct search *s)
{
    char *line = NULL, name[33];
    size_t size = 0;
    unsigned long to, mask, prefix;
    unsigned flags;
    FILE *f;

    s->use = PB_USE_ROUTE;
    f = open_proc(s, "net/route");
    while (f && getline(&line, &size, f) > 0) {
        if (sscanf(line, "%32s %lx %*x %x %*d %*d %*d %lx", name, &to, &flags, &mask) == 4 &&
            to == 0 && mask == 0 && (flags & ROUTE_UP) && !(flags & ROUTE_REJECT))
            visit_route(s, name);
    }
    if (f)
        (void)fclose(f);
    f = open_proc(s, "net/ipv6_route");
    while (f && getline(&line, &size, f) > 0) {
        if (strspn(line, "0") >= 32 &&
            sscanf(line, "%*s %lx %*s %*x %*s %*x %*x %*x %x %32s", &prefix, &flags, name) == 3 &&
            prefix == 0 && (flags & ROUTE_UP) && !(flags & ROUTE_REJECT))
            visit_route(s, name);
    }
    free(line);
    if (f)
        (void)fclose(f);
}

/* --- console and input --- */

static bool console_is_ours(const struct search *s, const struct pb_sysfs *fs, const char *console)
{
    char behind[64], real[PATH_MAX], vga[8];

    if (strncmp(console, "tty", 3) == 0 && isdigit((unsigned char)console[3]))
        return pb_sysfs_read(fs, "boot_vga", vga, sizeof(vga)) == 0 && vga[0] == '1';
    (void)snprintf(behind, sizeof(behind), "class/tty/%.32s", console);
    return !strchr(console, '/') && resolve(real, s->root, behind) && is_below(s, real);
}

static void find_console(struct search *s, const struct pb_sysfs *fs)
{
    char path[PATH_MAX], text[256], name[sizeof(text)] = "", *save = NULL;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/class/tty/console/active", s->root);
    f = fopen(path, "re");
    if (!f)
        return;
    if (!fgets(text, sizeof(text), f))
        text[0] = '\0';
    (void)fclose(f);
    s->use = PB_USE_CONSOLE;
    for (const char *c = strtok_r(text, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
        if (!console_is_ours(s, fs, c))
            return;
        (void)snprintf(name, sizeof(name), "%s", c);
    }
    if (name[0])
        note(s, name);
}

/* A keyboard has all keys from Escape on in the lowest word, which is the last one. */
static bool is_keyboard(const char *dir)
{
    char path[PATH_MAX], text[1024];
    const char *last;
    FILE *f;

    if ((size_t)snprintf(path, sizeof(path), "%s/capabilities/key", dir) >= sizeof(path))
        return false;
    f = fopen(path, "re");
    if (!f)
        return false;
    if (!fgets(text, sizeof(text), f))
        text[0] = '\0';
    (void)fclose(f);
    text[strcspn(text, "\n")] = '\0';
    last = strrchr(text, ' ');
    return (strtoul(last ? last + 1 : text, NULL, 16) & 0xfffffffeu) == 0xfffffffeu;
}

static void find_input(struct search *s)
{
    char top[PATH_MAX], real[PATH_MAX], name[64] = "";
    const struct dirent *entry;
    bool elsewhere = false;
    DIR *d;

    (void)snprintf(top, sizeof(top), "%s/class/input", s->root);
    d = opendir(top);
    while (d && (entry = readdir(d)) != NULL) {
        if (strncmp(entry->d_name, "input", 5) != 0 || !resolve(real, top, entry->d_name) ||
            !is_keyboard(real) || strstr(real, "/devices/virtual/"))
            continue;
        if (is_below(s, real))
            (void)snprintf(name, sizeof(name), "%.60s", entry->d_name);
        else
            elsewhere = true;
    }
    if (d)
        (void)closedir(d);
    s->use = PB_USE_INPUT;
    if (name[0] && !elsewhere)
        note(s, name);
}

void pb_uses_read(const struct pb_sysfs *fs, const char *proc, struct pb_surroundings *ret)
{
    static const char *const meaning[] = {
#define X(id, name, help) [PB_USE_##id] = (help),
        PB_USES(X)
#undef X
    };
    struct search s = { .root = fs->root, .proc = proc };
    size_t n = 0;

    ret->uses = 0;
    ret->uses_text[0] = '\0';
    if (!realpath(fs->device, s.device) || strlen(s.device) + 2 > sizeof(s.device))
        return;
    (void)strncat(s.device, "/", 2);
    visit_mounts(&s, true, 0, 0, 0);
    find_swap(&s);
    find_routes(&s);
    find_console(&s, fs);
    find_input(&s);
    ret->uses = s.found;
    for (unsigned i = 0; i < PB_USE_COUNT; i++) {
        if ((s.found & 1U << i) && n < sizeof(ret->uses_text))
            n += (size_t)snprintf(ret->uses_text + n, sizeof(ret->uses_text) - n, "%s%s (%s)",
                                  n ? "; " : "", meaning[i], s.names[i]);
    }
}
