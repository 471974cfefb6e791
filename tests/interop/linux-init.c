/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only program of the guest of test_linux.py: loads the modules beside it, prints what ACPI and
 * virtio devices the kernel found, waits for the power button and switches off. Static. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In the order in which they need each other. */
static const char *const modules[] = { "virtio_ring", "virtio", "virtio_mmio", "virtio-rng",
                                       "evdev", "button" };

static void load(const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/%s.ko", name);

    int fd = open(path, O_RDONLY);
    long rc = syscall(SYS_finit_module, fd, "", 0);

    printf("module %s: %ld\n", name, rc);
    close(fd);
}

/* One line for each entry of the folder, with the file's text. */
static void list(const char *what, const char *folder, const char *file)
{
    DIR *d = opendir(folder);
    const struct dirent *e;

    while (d && (e = readdir(d))) {
        char path[512], text[128] = "";

        snprintf(path, sizeof(path), "%s/%s/%s", folder, e->d_name, file);

        int fd = open(path, O_RDONLY);

        if (e->d_name[0] == '.' || fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
            continue;
        }
        text[strcspn(text, "\n")] = 0;
        printf("%s %s: %s\n", what, e->d_name, text);
        close(fd);
    }
}

static void wait_for_button(void)
{
    struct input_event ev = { 0 };
    int fd = open("/dev/input/event0", O_RDONLY);

    printf("button: %s\n", fd < 0 ? "none" : "waits");
    if (fd >= 0 && read(fd, &ev, sizeof(ev)) == sizeof(ev)) {
        printf("button: type %d code %d\n", ev.type, ev.code);
    }
}

int main(void)
{
    char random[16], online[16] = "";
    int fd;

    setvbuf(stdout, NULL, _IONBF, 0);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        load(modules[i]);
    }
    list("acpi", "/sys/bus/acpi/devices", "path");
    list("virtio", "/sys/bus/virtio/devices", "device");
    fd = open("/sys/devices/system/cpu/online", O_RDONLY);
    if (read(fd, online, sizeof(online) - 1) > 0) {
        printf("cpus: %s", online);
    }
    fd = open("/dev/hwrng", O_RDONLY);
    printf("random: %zd\n", read(fd, random, sizeof(random)));
    wait_for_button();
    reboot(RB_POWER_OFF);
    return 1;
}
