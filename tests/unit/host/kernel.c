/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "kernel.h"
#include "pci/regs.h"
#include "quirk/plugin.h"
#include "tree.h"

#define NIC        "0000:03:00.0"
#define BELOW_PORT "/devices/pci0000:00/0000:00:1c.0/"

struct kernel *kernel;
char kernel_dir[64];
char kernel_sysfs[80], kernel_proc[80], kernel_lib[80], kernel_boot[80], kernel_config[80];
char kernel_run[80], kernel_store[80];
static const char *const kernel_plugin_dirs[] = { PB_FIXTURE_DIR, kernel_dir };
static const char *const kernel_drivers[] = { "vfio-platform", "other.driver" };
const struct pb_host_options kernel_options = { .sysfs = kernel_sysfs,
                                                .proc = kernel_proc,
                                                .lib_dir = kernel_lib,
                                                .boot_dir = kernel_boot,
                                                .config_dir = kernel_config,
                                                .run_dir = kernel_run,
                                                .store = kernel_store,
                                                .uid = KERNEL_UID,
                                                .plugin_dirs = kernel_plugin_dirs,
                                                .plugin_dir_count =
                                                    PB_ARRAY_SIZE(kernel_plugin_dirs),
                                                .drivers = kernel_drivers,
                                                .driver_count = PB_ARRAY_SIZE(kernel_drivers) };
const struct pb_sbdf kernel_nic = { .segment = 0, .bus = 3, .devfn = 0 };
static bool in_helper;

ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
uint64_t __real_pb_now_ns(void);
uint64_t __wrap_pb_now_ns(void);
uint64_t __wrap_pb_coarse_ns(void);
uint64_t __wrap_pb_tick_ns(void);
uint64_t __real_pb_now_ms(void);
uint64_t __wrap_pb_now_ms(void);
int __real_pb_plugin_open(const char *const *dirs, size_t dir_count, bool any_owner,
                          const char *name, struct pb_plugin **ret, char *why, size_t why_size);
int __wrap_pb_plugin_open(const char *const *dirs, size_t dir_count, bool any_owner,
                          const char *name, struct pb_plugin **ret, char *why, size_t why_size);
int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);

/* --- files --- */

static void bus_path(char path[256], const char *relative)
{
    assert_true(snprintf(path, 256, "%s/bus/pci/%s", kernel_sysfs, relative) < 256);
}

static void put_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(__real_write(fd, bytes, n), n);
    (void)close(fd);
}

static void get_line(const char *path, char *line, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);

    if (fd >= 0)
        (void)close(fd);
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

static void make_dir(const char *path)
{
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
}

/* The directories above PATH; PATH below kernel_dir, in full. */
static const char *make_way(char full[256], const char *path)
{
    assert_true(snprintf(full, 256, "%s/%s", kernel_dir, path) < 256);
    for (char *p = full + strlen(kernel_dir) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        make_dir(full);
        *p = '/';
    }
    return full;
}

void kernel_put(const char *path, const char *text)
{
    char full[256];

    put_file(make_way(full, path), text, strlen(text));
}

void kernel_link(const char *path, const char *target)
{
    char full[256], to[256];

    assert_true(snprintf(to, sizeof(to), "%s/%s", kernel_dir, target) < 256);
    assert_return_code(symlink(to, make_way(full, path)), errno);
}

const char *kernel_path(struct pb_sbdf sbdf, const char *attribute)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % PB_ARRAY_SIZE(paths)], text[PB_SBDF_TEXT], relative[128];

    (void)snprintf(relative, sizeof(relative), "devices/%s/%s", pb_sbdf_format(sbdf, text),
                   attribute);
    bus_path(path, relative);
    return path;
}

void kernel_set(struct pb_sbdf sbdf, const char *attribute, const char *value)
{
    put_file(kernel_path(sbdf, attribute), value, strlen(value));
}

void kernel_unset(struct pb_sbdf sbdf, const char *attribute)
{
    assert_return_code(unlink(kernel_path(sbdf, attribute)), errno);
}

void kernel_set_config(struct pb_sbdf sbdf, unsigned offset, unsigned size, uint32_t value)
{
    int fd = open(kernel_path(sbdf, "config"), O_WRONLY | O_CLOEXEC);
    uint8_t bytes[4];

    assert_true(fd >= 0);
    pb_le_put(bytes, size, value);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    (void)close(fd);
}

const char *kernel_get(struct pb_sbdf sbdf, const char *attribute)
{
    static char line[128];

    get_line(kernel_path(sbdf, attribute), line, sizeof(line));
    return line;
}

const char *kernel_driver(struct pb_sbdf sbdf)
{
    static char target[256];
    ssize_t n = readlink(kernel_path(sbdf, "driver"), target, sizeof(target) - 1);

    target[n > 0 ? n : 0] = '\0';
    return n > 0 ? strrchr(target, '/') + 1 : target;
}

bool kernel_remembers(struct pb_sbdf sbdf)
{
    char path[160], text[PB_SBDF_TEXT];

    (void)snprintf(path, sizeof(path), "%s/devices/%s", kernel_lib, pb_sbdf_format(sbdf, text));
    return access(path, F_OK) == 0;
}

/* --- devices and drivers --- */

void kernel_add_device(struct pb_sbdf sbdf, size_t size)
{
    static const struct {
        const char *attribute, *value;
    } attributes[] = {
        { "vendor", "0x8086\n" },
        { "device", "0x10d3\n" },
        { "subsystem_vendor", "0x1af4\n" },
        { "subsystem_device", "0x1100\n" },
        { "class", "0x020000\n" },
        { "revision", "0x03\n" },
        { "irq", "10\n" },
        { "routed_irq", "21\n" }, /* ours: what irq says once it is enabled */
        { "natural", "\n" },      /* ours: the driver that takes it without an override */
        { "enable", "0\n" },
        { "driver_override", "(null)\n" },
        { "power/control", "auto\n" },
        { "reset", "" },
        { "reset_method", "flr bus\n" },
        { "resource", "0x00000000febc0000 0x00000000febdffff 0x0000000000040200\n"
                      "0x00000000feba0000 0x00000000febbffff 0x0000000000040200\n"
                      "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n"
                      "0x00000000febe0000 0x00000000febe3fff 0x0000000000040200\n"
                      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                      "0x00000000feb80000 0x00000000feb9ffff 0x0000000000046200\n"
                      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n" },
    };
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    make_dir(kernel_path(sbdf, ""));
    make_dir(kernel_path(sbdf, "power"));
    for (unsigned i = 0; i < PB_ARRAY_SIZE(attributes); i++)
        kernel_set(sbdf, attributes[i].attribute, attributes[i].value);
    for (size_t i = 0; i < sizeof(config); i++)
        config[i] = (uint8_t)(i ^ i >> 8);
    pb_le_put(config, 4, 0x10d38086);
    pb_le_put(config + 8, 4, 0x02000003);
    config[0x0e] = 0;
    put_file(kernel_path(sbdf, "config"), config, size);
}

void kernel_add_port(uint16_t flags, uint32_t slot)
{
    static const char *const parts[] = { "/devices", "/pci0000:00", "/0000:00:1c.0" };
    uint8_t config[PB_CONFIG_SIZE_PCI] = { 0 };
    char path[256], device[256];

    config[PCI_CAPABILITIES] = 0x40;
    pb_le_put(config + 0x40, 2, 0x500d); /* the bridge's subsystem ids come first */
    pb_le_put(config + 0x50, 4, (uint32_t)flags << 16 | PCI_CAP_EXP);
    pb_le_put(config + 0x64, 4, slot);
    (void)snprintf(path, sizeof(path), "%s", kernel_sysfs);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(parts); i++) {
        (void)strncat(path, parts[i], sizeof(path) - strlen(path) - 1);
        make_dir(path);
    }
    (void)strncat(path, "/config", sizeof(path) - strlen(path) - 1);
    put_file(path, config, sizeof(config));
    /* The device's directory moves there, and the bus has a link to it, as the real one. */
    *strrchr(path, '/') = '\0';
    (void)strncat(path, "/" NIC, sizeof(path) - strlen(path) - 1);
    (void)snprintf(device, sizeof(device), "%s/bus/pci/devices/" NIC, kernel_sysfs);
    assert_return_code(rename(device, path), errno);
    assert_return_code(symlink(path, device), errno);
}

void kernel_remove_device(struct pb_sbdf sbdf)
{
    pb_tree_remove(kernel_path(sbdf, ""));
}

void kernel_add_driver(const char *name)
{
    char path[256], relative[96];

    for (unsigned i = 0; i < 3; i++) {
        static const char *const files[] = { "", "/bind", "/unbind" };

        (void)snprintf(relative, sizeof(relative), "drivers/%s%s", name, files[i]);
        bus_path(path, relative);
        if (i == 0)
            make_dir(path);
        else
            put_file(path, "", 0);
    }
}

void kernel_remove_driver(const char *name)
{
    char path[256], relative[96];

    (void)snprintf(relative, sizeof(relative), "drivers/%s", name);
    bus_path(path, relative);
    pb_tree_remove(path);
}

static void count_enable(struct pb_sbdf sbdf, int by)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%d\n", atoi(kernel_get(sbdf, "enable")) + by);
    kernel_set(sbdf, "enable", text);
}

static void link_driver(struct pb_sbdf sbdf, const char *driver)
{
    char target[96];

    (void)snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", driver);
    assert_return_code(symlink(target, kernel_path(sbdf, "driver")), errno);
    if (strcmp(driver, kernel_get(sbdf, "natural")) == 0)
        count_enable(sbdf, 1);
    if (strcmp(driver, kernel->sleepy) == 0)
        kernel_set(sbdf, "power/control", "auto");
}

void kernel_bind(struct pb_sbdf sbdf, const char *driver)
{
    kernel_set(sbdf, "natural", driver);
    link_driver(sbdf, driver);
}

/* --- what writes do --- */

static bool wants(struct pb_sbdf sbdf, const char *driver)
{
    char override[PB_DRIVER_NAME];

    get_line(kernel_path(sbdf, "driver_override"), override, sizeof(override));
    if (strcmp(override, "(null)") == 0)
        get_line(kernel_path(sbdf, "natural"), override, sizeof(override));
    return override[0] && strcmp(override, driver) == 0;
}

static void *link_late(void *arg)
{
    static const struct timespec t = { .tv_nsec = 100000000 };
    char *driver = arg;

    (void)nanosleep(&t, NULL);
    link_driver(kernel_nic, driver);
    free(driver);
    return NULL;
}

static void steal(struct pb_sbdf sbdf)
{
    if (kernel->thefts == 0)
        return;
    kernel->thefts--;
    kernel_set(sbdf, "driver_override", kernel->thief);
    link_driver(sbdf, kernel->thief);
}

static int drivers_probe(struct pb_sbdf sbdf)
{
    char path[256], relative[96], driver[PB_DRIVER_NAME];
    pthread_t thread;

    get_line(kernel_path(sbdf, "driver_override"), driver, sizeof(driver));
    if (strcmp(driver, "(null)") == 0)
        get_line(kernel_path(sbdf, "natural"), driver, sizeof(driver));
    if (!kernel->thieves_are_early)
        steal(sbdf);
    (void)snprintf(relative, sizeof(relative), "drivers/%s/bind", driver);
    bus_path(path, relative);
    if (!driver[0] || access(path, F_OK) != 0 || strcmp(driver, kernel->picky) == 0 ||
        kernel_driver(sbdf)[0])
        return 0; /* the real one tells nothing either */
    if (kernel->late) {
        assert_int_equal(pthread_create(&thread, NULL, link_late, strdup(driver)), 0);
        assert_int_equal(pthread_detach(thread), 0);
    } else {
        link_driver(sbdf, driver);
    }
    return 0;
}

/* PATH is "drivers/NAME/bind" or "drivers/NAME/unbind". */
static int bind_or_unbind(const char *path, struct pb_sbdf sbdf)
{
    char driver[PB_DRIVER_NAME];
    size_t n = strcspn(path + strlen("drivers/"), "/");

    (void)snprintf(driver, sizeof(driver), "%.*s", (int)n, path + strlen("drivers/"));
    if (strcmp(path + strlen("drivers/") + n, "/unbind") == 0) {
        if (strcmp(kernel_driver(sbdf), driver) != 0)
            return ENODEV;
        if (kernel->lets_go_first) {
            kernel->lets_go_first = false;
            count_enable(sbdf, -1);
            return unlink(kernel_path(sbdf, "driver")) == 0 ? ENODEV : errno;
        }
        if (strcmp(driver, kernel_get(sbdf, "natural")) == 0)
            count_enable(sbdf, -1);
        return unlink(kernel_path(sbdf, "driver")) == 0 ? 0 : errno;
    }
    if (kernel_driver(sbdf)[0])
        return EBUSY;
    if (!wants(sbdf, driver))
        return ENODEV;
    if (strcmp(driver, kernel->picky) == 0)
        return EINVAL;
    link_driver(sbdf, driver);
    return 0;
}

static void wait_while_held(void)
{
    static const struct timespec t = { .tv_nsec = 1000000 };

    while (atomic_load(&kernel->hold))
        (void)nanosleep(&t, NULL);
}

static int reset(struct pb_sbdf sbdf)
{
    unsigned now = atomic_fetch_add(&kernel->resetting, 1) + 1;

    if (now > atomic_load(&kernel->most_resetting))
        atomic_store(&kernel->most_resetting, now);
    wait_while_held();
    for (unsigned i = 0; kernel->dies_in_reset && i < 256; i += 4)
        kernel_set_config(sbdf, i, 4, UINT32_MAX);
    (void)atomic_fetch_sub(&kernel->resetting, 1);
    return 0;
}

static int enable(struct pb_sbdf sbdf, const char *value)
{
    if (kernel->thieves_are_early && value[0] == '1')
        steal(sbdf);
    if (kernel_driver(sbdf)[0])
        return EBUSY;
    if (value[0] == '0' && atoi(kernel_get(sbdf, "enable")) == 0)
        return EIO;
    count_enable(sbdf, value[0] == '0' ? -1 : 1);
    if (value[0] == '1')
        kernel_set(sbdf, "irq", kernel_get(sbdf, "routed_irq"));
    return 0;
}

/* An errno, or 0: done. */
static int react(const char *path, const char *value)
{
    struct pb_sbdf sbdf;
    const char *attribute;
    char text[PB_SBDF_TEXT];

    if (strncmp(path, "devices/", 8) != 0) {
        if (!pb_sbdf_parse(value, &sbdf))
            return EINVAL;
        return strcmp(path, "drivers_probe") == 0 ? drivers_probe(sbdf)
                                                  : bind_or_unbind(path, sbdf);
    }
    (void)snprintf(text, sizeof(text), "%s", path + 8);
    attribute = path + 8 + PB_SBDF_TEXT;
    if (!pb_sbdf_parse(text, &sbdf))
        return EINVAL;
    if (strcmp(attribute, "enable") == 0)
        return enable(sbdf, value);
    if (strcmp(attribute, "reset") == 0)
        return reset(sbdf);
    if (strcmp(attribute, "reset_method") == 0 && !strstr("flr bus pm", value))
        return EINVAL;
    kernel_set(sbdf, attribute, value[0] ? value : "(null)");
    return 0;
}

static void record(const char *path, const char *value)
{
    unsigned i = atomic_fetch_add(&kernel->writes, 1);

    assert_true(i < KERNEL_LOG_MAX);
    (void)snprintf(kernel->log[i], sizeof(kernel->log[i]), "%s=%s", path, value);
}

/* PATH, of a device below a port, as the bus shows it. */
static void as_on_the_bus(char path[256])
{
    char real[128], bus[256];
    size_t n;

    (void)snprintf(real, sizeof(real), "%s" BELOW_PORT, kernel_sysfs);
    n = strlen(real);
    if (strncmp(path, real, n) != 0)
        return;
    bus_path(bus, "devices/");
    (void)strncat(bus, path + n, sizeof(bus) - strlen(bus) - 1);
    memcpy(path, bus, sizeof(bus));
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
    char link[64], path[256], value[128];
    size_t prefix = strlen(kernel_sysfs) + strlen("/bus/pci/");
    ssize_t length;
    int error;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    if (kernel)
        as_on_the_bus(path);
    if (!kernel || strncmp(path, kernel_dir, strlen(kernel_dir)) != 0)
        return __real_write(fd, buf, n);
    error = kernel->refuse[0] && strlen(path) >= strlen(kernel->refuse) &&
                    strcmp(path + strlen(path) - strlen(kernel->refuse), kernel->refuse) == 0
                ? kernel->refuse_errno
                : 0;
    if (error == 0 && strncmp(path, kernel_sysfs, strlen(kernel_sysfs)) != 0)
        return __real_write(fd, buf, n);
    if (strncmp(path, kernel_sysfs, strlen(kernel_sysfs)) == 0) {
        (void)snprintf(value, sizeof(value), "%.*s", (int)n, (const char *)buf);
        value[strcspn(value, "\n")] = '\0';
        record(path + prefix, value);
        if (kernel->pulled_at[0] && strlen(path) > strlen(kernel->pulled_at) &&
            strcmp(path + strlen(path) - strlen(kernel->pulled_at), kernel->pulled_at) == 0) {
            kernel_remove_device(kernel_nic);
            error = ENODEV;
        }
        if (error == 0)
            error = react(path + prefix, value);
    }
    errno = error;
    return error ? -1 : (ssize_t)n;
}

uint64_t __wrap_pb_now_ns(void)
{
    static uint64_t skew;

    if (kernel)
        skew += UINT64_C(1000) * (in_helper ? kernel->helper_step_us : kernel->step_us);
    if (kernel && in_helper)
        wait_while_held();
    return __real_pb_now_ns() + skew;
}

/* It ticks only when a test says so. */
uint64_t __wrap_pb_coarse_ns(void)
{
    static uint64_t ns;

    return ns += UINT64_C(1000) * kernel->step_us;
}

uint64_t __wrap_pb_tick_ns(void)
{
    return UINT64_C(1000) * kernel->tick_us;
}

uint64_t __wrap_pb_now_ms(void)
{
    return __real_pb_now_ms() + (kernel && !in_helper ? kernel->jump_ms : 0);
}

/* Our plugins lie in a build directory, which may be anybody's. */
int __wrap_pb_plugin_open(const char *const *dirs, size_t dir_count, bool any_owner,
                          const char *name, struct pb_plugin **ret, char *why, size_t why_size)
{
    return __real_pb_plugin_open(dirs, dir_count, any_owner || !kernel->check_owners, name, ret,
                                 why, why_size);
}

int __wrap_kill(pid_t pid, int sig)
{
    return kernel && in_helper && kernel->unkillable ? 0 : __real_kill(pid, sig);
}

/* --- the log --- */

void kernel_forget_log(void)
{
    atomic_store(&kernel->writes, 0);
}

void kernel_assert_lines(const char *const *lines)
{
    unsigned i = 0;

    for (; lines[i]; i++) {
        if (i >= atomic_load(&kernel->writes))
            fail_msg("nothing was written after line %u: missing %s", i, lines[i]);
        assert_string_equal(kernel->log[i], lines[i]);
    }
    if (i < atomic_load(&kernel->writes))
        fail_msg("written too: %s", kernel->log[i]);
}

/* --- life --- */

static void map_it(void)
{
    char path[96];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/kernel", kernel_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_return_code(ftruncate(fd, sizeof(*kernel)), errno);
    kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(kernel != MAP_FAILED);
    (void)close(fd);
}

static void set_dir(const char *dir)
{
    (void)snprintf(kernel_dir, sizeof(kernel_dir), "%s", dir);
    (void)snprintf(kernel_sysfs, sizeof(kernel_sysfs), "%s/sys", kernel_dir);
    (void)snprintf(kernel_proc, sizeof(kernel_proc), "%s/proc", kernel_dir);
    (void)snprintf(kernel_lib, sizeof(kernel_lib), "%s/lib", kernel_dir);
    (void)snprintf(kernel_boot, sizeof(kernel_boot), "%s/boot", kernel_dir);
    (void)snprintf(kernel_config, sizeof(kernel_config), "%s/etc.d", kernel_dir);
    (void)snprintf(kernel_run, sizeof(kernel_run), "%s/run", kernel_dir);
    (void)snprintf(kernel_store, sizeof(kernel_store), "%s/store", kernel_dir);
}

int kernel_setup(void **state)
{
    static const char *const dirs[] = { "", "/bus", "/bus/pci", "/bus/pci/devices",
                                        "/bus/pci/drivers" };
    char dir[] = "/tmp/pcibackd-host.XXXXXX", path[256];

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    set_dir(dir);
    map_it();
    for (unsigned i = 0; i < PB_ARRAY_SIZE(dirs); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", kernel_sysfs, dirs[i]);
        make_dir(path);
    }
    bus_path(path, "drivers_probe");
    put_file(path, "", 0);
    make_dir(kernel_run);
    kernel_put("proc/sys/kernel/random/boot_id", KERNEL_BOOT_ID "\n");
    kernel_add_driver("e1000e");
    kernel_add_driver("pci-stub");
    kernel_add_device(kernel_nic, PB_CONFIG_SIZE_PCIE);
    kernel_bind(kernel_nic, "e1000e");
    return 0;
}

int kernel_teardown(void **state)
{
    (void)state;
    (void)munmap(kernel, sizeof(*kernel));
    kernel = NULL;
    pb_tree_remove(kernel_dir);
    return 0;
}

bool kernel_is_helper(int argc, char **argv, int *ret_status)
{
    char dir[sizeof(kernel_dir)];

    if (argc < 5 || strcmp(argv[1], "--helper") != 0 || strcmp(argv[3], "--sysfs") != 0)
        return false;
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(argv[4]) - strlen("/sys")), argv[4]);
    set_dir(dir);
    in_helper = true;
    map_it();
    *ret_status = pb_helper_main(argc, argv);
    return true;
}
