/* SPDX-License-Identifier: MIT */
/*
 * One line a PCI device: what its next owner finds, in sysfs and in config space. A program and not
 * a script because a snapshot is taken often, and starting a process costs 30 ms under emulation.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEVICES          "/sys/bus/pci/devices"
#define CONFIG_SIZE      256
#define CAPABILITIES_MAX 48

enum { CAP_POWER = 0x01, CAP_MSI = 0x05, CAP_MSIX = 0x11 };

static void read_line(const char *bdf, const char *name, char *line, size_t size)
{
    char path[512];
    snprintf(path, sizeof(path), DEVICES "/%s/%s", bdf, name);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, line, size - 1);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

static void read_driver(const char *bdf, char *driver, size_t size)
{
    char path[512], target[512];
    snprintf(path, sizeof(path), DEVICES "/%s/driver", bdf);
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    target[len > 0 ? len : 0] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(driver, size, "%s", slash ? slash + 1 : "none");
}

static uint16_t word(const uint8_t *config, unsigned int at)
{
    return (uint16_t)(config[at] | config[at + 1] << 8);
}

static void print_capabilities(const uint8_t *config)
{
    unsigned int at = word(config, 6) & 0x10 ? config[0x34] & 0xfc : 0;
    for (int left = CAPABILITIES_MAX; at >= 0x40 && at < CONFIG_SIZE - 8 && left > 0; left--) {
        if (config[at] == CAP_POWER)
            printf(" power=D%u", config[at + 4] & 3);
        if (config[at] == CAP_MSI)
            printf(" msi=%s", config[at + 2] & 1 ? "on" : "off");
        if (config[at] == CAP_MSIX)
            printf(" msix=%s%s", config[at + 3] & 0x80 ? "on" : "off",
                   config[at + 3] & 0x40 ? ",all-masked" : "");
        at = config[at + 1] & 0xfc;
    }
}

int main(void)
{
    DIR *dir = opendir(DEVICES);
    if (!dir)
        return 1;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[512], driver[256], override[256], enable[32];
        uint8_t config[CONFIG_SIZE] = { 0 };
        if (entry->d_name[0] == '.')
            continue;
        read_driver(entry->d_name, driver, sizeof(driver));
        read_line(entry->d_name, "driver_override", override, sizeof(override));
        read_line(entry->d_name, "enable", enable, sizeof(enable));
        snprintf(path, sizeof(path), DEVICES "/%s/config", entry->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || pread(fd, config, sizeof(config), 0) != (ssize_t)sizeof(config))
            printf("pci %s config is unreadable\n", entry->d_name);
        if (fd >= 0)
            close(fd);
        printf("pci %s driver=%s override=%s enable=%s command=%04x cacheline=%u", entry->d_name,
               driver, strcmp(override, "(null)") == 0 ? "" : override, enable, word(config, 4),
               config[0x0c]);
        print_capabilities(config);
        printf("\n");
    }
    closedir(dir);
    return 0;
}
