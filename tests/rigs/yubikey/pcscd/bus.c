/*
 * The USB bus of a private pcscd, in place of libudev: a folder. A file VENDOR-PRODUCT-NAME in it is a device plugged in,
 * and its place is what the driver connects to. So readers come and go in pcscd exactly as they do on a real bus.
 *
 *     CLAVIGER_BUS      the folder of devices
 *     CLAVIGER_DRIVERS  what pcscd finds at /usr/lib/pcsc/drivers, which is compiled in
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DRIVERS "/usr/lib/pcsc/drivers"
#define DEVICES 16

struct udev_device {
    char action[8], name[64], path[PATH_MAX], vendor[5], product[5];
};
struct udev_list_entry {
    struct udev_list_entry *next;
    char path[PATH_MAX];
};
struct udev_enumerate {
    size_t count;
    struct udev_list_entry entries[DEVICES];
};
struct udev_monitor {
    int changes, ends[2];
};

static const char *bus(void)
{
    const char *folder = getenv("CLAVIGER_BUS");
    return folder ? folder : "/nonexistent";
}

/* A path of a driver, in the folder of the rig. `room` is PATH_MAX bytes. */
static const char *moved(const char *path, char *room)
{
    const char *folder = getenv("CLAVIGER_DRIVERS");
    if (path == NULL || folder == NULL || strncmp(path, DRIVERS, strlen(DRIVERS)) != 0)
        return path;
    snprintf(room, PATH_MAX, "%s%s", folder, path + strlen(DRIVERS));
    return room;
}

DIR *opendir(const char *path)
{
    DIR *(*next)(const char *) = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
    char room[PATH_MAX];
    return next(moved(path, room));
}

FILE *fopen(const char *path, const char *mode)
{
    FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    char room[PATH_MAX];
    return next(moved(path, room), mode);
}

void *dlopen(const char *path, int mode)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    char room[PATH_MAX];
    return next(moved(path, room), mode);
}

/* A device by its path; its name has the form of one. */
static struct udev_device *device(const char *path, const char *action)
{
    struct udev_device *new = calloc(1, sizeof *new);
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (new == NULL || sscanf(name, "%4[0-9a-f]-%4[0-9a-f]-", new->vendor, new->product) != 2) {
        free(new);
        return NULL;
    }
    snprintf(new->name, sizeof new->name, "%s", name);
    snprintf(new->path, sizeof new->path, "%s", path);
    snprintf(new->action, sizeof new->action, "%s", action);
    return new;
}

void *udev_new(void)
{
    static int bus_itself;
    return &bus_itself;
}

void *udev_unref(void *udev)
{
    (void)udev;
    return NULL;
}

struct udev_enumerate *udev_enumerate_new(void *udev)
{
    (void)udev;
    return calloc(1, sizeof(struct udev_enumerate));
}

struct udev_enumerate *udev_enumerate_unref(struct udev_enumerate *list)
{
    free(list);
    return NULL;
}

int udev_enumerate_add_match_subsystem(struct udev_enumerate *list, const char *subsystem)
{
    (void)list, (void)subsystem;
    return 0;
}

int udev_enumerate_scan_devices(struct udev_enumerate *list)
{
    DIR *folder = opendir(bus());
    struct dirent *file;
    while (folder != NULL && (file = readdir(folder)) != NULL && list->count < DEVICES) {
        struct udev_list_entry *entry = &list->entries[list->count];
        struct udev_device *found;
        snprintf(entry->path, sizeof entry->path, "%s/%s", bus(), file->d_name);
        found = device(entry->path, "");
        if (found == NULL)
            continue;
        free(found);
        if (list->count++ > 0)
            entry[-1].next = entry;
    }
    if (folder != NULL)
        closedir(folder);
    return 0;
}

struct udev_list_entry *udev_enumerate_get_list_entry(struct udev_enumerate *list)
{
    return list->count > 0 ? list->entries : NULL;
}

struct udev_list_entry *udev_list_entry_get_next(struct udev_list_entry *entry)
{
    return entry->next;
}

const char *udev_list_entry_get_name(struct udev_list_entry *entry)
{
    return entry->path;
}

struct udev_device *udev_device_new_from_syspath(void *udev, const char *path)
{
    (void)udev;
    return device(path, "");
}

struct udev_device *udev_device_unref(struct udev_device *device)
{
    free(device);
    return NULL;
}

struct udev_device *udev_device_get_parent_with_subsystem_devtype(struct udev_device *device, const char *subsystem,
                                                                 const char *type)
{
    (void)subsystem, (void)type;
    return device;
}

const char *udev_device_get_devnode(struct udev_device *device)
{
    return device->path;
}

const char *udev_device_get_sysname(struct udev_device *device)
{
    return device->name;
}

const char *udev_device_get_action(struct udev_device *device)
{
    return device->action;
}

const char *udev_device_get_sysattr_value(struct udev_device *device, const char *attribute)
{
    if (strcmp(attribute, "idVendor") == 0)
        return device->vendor;
    return strcmp(attribute, "idProduct") == 0 ? device->product : NULL;
}

/* Whoever reads this descriptor has started pcscd: when they are gone, it ends. */
#define LIFE 4

/* One device a record, so that pcscd, which polls before each, misses none. */
static void *tell(void *argument)
{
    struct udev_monitor *monitor = argument;
    _Alignas(struct inotify_event) char room[4096];
    struct pollfd ends[] = { { .fd = monitor->changes, .events = POLLIN }, { .fd = LIFE } };
    ssize_t got;
    while (poll(ends, 2, -1) > 0) {
        if (ends[1].revents & POLLERR)
            _exit(0);
        if ((got = read(monitor->changes, room, sizeof room)) <= 0)
            return NULL;
        for (char *at = room; at < room + got;) {
            struct inotify_event *event = (struct inotify_event *)at;
            char path[PATH_MAX];
            struct udev_device *changed;
            at += sizeof *event + event->len;
            snprintf(path, sizeof path, "%s/%s", bus(), event->len ? event->name : "");
            changed = device(path, event->mask & IN_MOVED_TO ? "add" : "remove");
            if (changed != NULL && write(monitor->ends[1], &changed, sizeof changed) != sizeof changed)
                free(changed);
        }
    }
    return NULL;
}

struct udev_monitor *udev_monitor_new_from_netlink(void *udev, const char *name)
{
    static struct udev_monitor monitor;
    (void)udev, (void)name;
    monitor.changes = inotify_init1(IN_CLOEXEC);
    if (pipe(monitor.ends) != 0 || inotify_add_watch(monitor.changes, bus(), IN_MOVED_TO | IN_DELETE) < 0)
        return NULL;
    return &monitor;
}

int udev_monitor_filter_add_match_subsystem_devtype(struct udev_monitor *monitor, const char *subsystem, const char *type)
{
    (void)monitor, (void)subsystem, (void)type;
    return 0;
}

int udev_monitor_enable_receiving(struct udev_monitor *monitor)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, tell, monitor);
}

int udev_monitor_get_fd(struct udev_monitor *monitor)
{
    return monitor->ends[0];
}

struct udev_device *udev_monitor_receive_device(struct udev_monitor *monitor)
{
    struct udev_device *changed;
    return read(monitor->ends[0], &changed, sizeof changed) == sizeof changed ? changed : NULL;
}
