/* The far end of every softkey's cable: a umockdev testbed in which each plugged key is a hidraw node.
 *
 *   claviger-softkey-bridge SOCKET [--copies]
 *
 * A softkey connects to SOCKET (SOCK_SEQPACKET) and says "VENDOR PRODUCT SERIAL NAME", the numbers in hex. The bridge adds
 * a node, answers with its name ("hidraw0"), and carries reports: 65 bytes to the key (report number first, as written to
 * hidraw), 64 bytes from it. When the key closes its end, the node goes, and then the bridge closes its own end.
 *
 * Behind a node is a pty: one queue of reports, one lock. With --copies it is a pty for each program that opens the node,
 * so that each gets every report, as the kernel does it; but then their locks are of different files.
 *
 * On stdout: "ready DIRECTORY" with what UMOCKDEV_DIR has to be, then "added NODE SERIAL" and "removed NODE SERIAL".
 * It ends when its stdin does. It has to run under libumockdev-preload itself, or it could tell no udev monitor. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <umockdev-1.0/umockdev.h>
#include <unistd.h>

enum { KEYS = 16, LINES = 8, REPORT = 64, WRITTEN = 65 };

/* Usage page 0xF1D0, usage 1; one report of 64 bytes each way, no report numbers (CTAP 2.1, section 11.2.8.1). */
static const char *DESCRIPTOR = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0";

/* A pty, and whether somebody has it open. */
struct line {
	int node, watch, opened;
	unsigned char written[WRITTEN];
	size_t have;
};

struct key {
	int cable; /* the softkey's socket */
	struct line lines[LINES], *next; /* the one that the node's name leads to */
	char serial[64];
	char *usb, *hid, *raw, *path;
};

static struct key keys[KEYS];
/* Vendor and product that ioctls on a slot's node tell; libumockdev takes them once for each name. */
static unsigned ids[KEYS];
static UMockdevTestbed *testbed;
static char *root;
static int watcher, copies;

static void end(const char *what)
{
	fprintf(stderr, "claviger-softkey-bridge: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(const char *what, gboolean good, GError *error)
{
	if (good)
		return;
	fprintf(stderr, "claviger-softkey-bridge: %s: %s\n", what, error ? error->message : "no reason given");
	exit(1);
}

/* What ioctl(2) says of the node: its descriptor, and the bus, vendor and product. */
static void answer_ioctls(const char *path, unsigned vendor, unsigned product)
{
	char *name = g_build_filename(g_get_tmp_dir(), "softkey-ioctl-XXXXXX", NULL);
	int file = g_mkstemp(name);
	FILE *out = file < 0 ? NULL : fdopen(file, "w");
	GError *error = NULL;
	if (!out)
		end(name);
	fprintf(out, "@DEV %s\nHIDIOCGRDESCSIZE 0 22000000\nHIDIOCGRDESC 0 22000000%s", path, DESCRIPTOR);
	for (size_t at = strlen(DESCRIPTOR) / 2; at < 4096; at++)
		fputs("00", out);
	fprintf(out, "\nHIDIOCGRAWINFO 0 03000000%02X%02X%02X%02X\n", vendor & 255, vendor >> 8, product & 255, product >> 8);
	fclose(out);
	check("ioctls", umockdev_testbed_load_ioctl(testbed, path, name, &error), error);
	unlink(name);
	g_free(name);
}

/* A file of the testbed: what the preload library reads of a node. */
static char *file(const char *folder, const char *name)
{
	char *path = g_build_filename(root, folder, NULL);
	if (g_mkdir_with_parents(path, 0755) < 0)
		end(path);
	char *whole = g_build_filename(path, name, NULL);
	g_free(path);
	return whole;
}

/* Made aside and moved there, for who opens it meanwhile. */
static void link_to(const char *target, char *path)
{
	if (!target)
		unlink(path);
	else if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
		if (symlink(target, path) < 0)
			end(path);
	} else {
		char *aside = file("dev/.node", "aside");
		if (symlink(target, aside) < 0 || rename(aside, path) < 0)
			end(path);
		g_free(aside);
	}
	g_free(path);
}

/* What the preload library has to know of a pty: which device it is. */
static void map_pty(const struct key *key, const char *pty, int make)
{
	char *flat = g_strdelimit(g_strdup(pty), "/", '_'), *number = g_strdup_printf("240:%u", (unsigned)(key - keys));
	link_to(make ? number : NULL, file("dev/.ptymap", flat));
	link_to(make ? number : NULL, file("dev/.node", key->path + 5));
	g_free(number);
	g_free(flat);
}

/* Not by libumockdev, which makes no node twice under one name. */
static void make_line(struct line *line)
{
	struct termios raw;
	int terminal;
	line->node = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (line->node < 0 || grantpt(line->node) < 0 || unlockpt(line->node) < 0)
		end("a pty");
	const char *pty = ptsname(line->node);
	terminal = open(pty, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || tcgetattr(terminal, &raw) < 0)
		end(pty);
	cfmakeraw(&raw);
	if (tcsetattr(terminal, TCSANOW, &raw) < 0)
		end(pty);
	/* Nobody has it open then, and the near end says so; it stays as it is set for as long as that is open. */
	close(terminal);
	line->watch = inotify_add_watch(watcher, pty, IN_OPEN | IN_CLOSE);
	if (line->watch < 0)
		end(pty);
}

/* A pty that nobody has open, to which the node's name leads from now on. */
static void add_line(struct key *key)
{
	struct line *line = key->lines;
	while (line < key->lines + LINES && (line == key->next || line->opened))
		line++;
	if (line == key->lines + LINES)
		return; /* the next program shares the last one's */
	if (line->node < 0)
		make_line(line);
	key->next = line;
	const char *pty = ptsname(line->node);
	map_pty(key, pty, 1);
	link_to(pty, file("dev", key->path + 5));
}

/* Whoever has it open reads its end. */
static void end_line(struct line *line)
{
	inotify_rm_watch(watcher, line->watch);
	close(line->node);
	*line = (struct line){.node = -1, .watch = -1};
}

static void no_key(struct key *key)
{
	memset(key, 0, sizeof *key);
	key->cable = -1;
	for (struct line *line = key->lines; line < key->lines + LINES; line++)
		*line = (struct line){.node = -1, .watch = -1};
}

/* The key in this slot as Linux shows a USB HID device: usb_device, usb_interface, hid, hidraw. */
static void plug(unsigned slot, unsigned vendor, unsigned product, const char *name)
{
	struct key *key = &keys[slot];
	GError *error = NULL;
	key->usb = g_strdup_printf("/devices/pci0000:00/0000:00:14.0/usb1/1-%u", slot + 1);
	key->hid = g_strdup_printf("%s/1-%u:1.0/0003:%04X:%04X.%04X", key->usb, slot + 1, vendor, product, slot + 1);
	key->raw = g_strdup_printf("%s/hidraw/hidraw%u", key->hid, slot);
	key->path = g_strdup_printf("/dev/hidraw%u", slot);
	char *text = g_strdup_printf(
		"P: %s\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nA: manufacturer=claviger\nA: product=%s\nA: serial=%s\n"
		"A: bcdDevice=0100\nA: idVendor=%04x\nA: idProduct=%04x\n\n"
		"P: %s/1-%u:1.0\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\nA: bInterfaceNumber=00\n\n"
		"P: %s\nE: SUBSYSTEM=hid\nE: DRIVER=hid-generic\nE: HID_ID=0003:%08X:%08X\nE: HID_NAME=%s\n"
		"E: HID_PHYS=usb-%u\nE: HID_UNIQ=%s\nH: report_descriptor=%s\n\n"
		"P: %s\nE: SUBSYSTEM=hidraw\nE: DEVNAME=/dev/hidraw%u\nE: MAJOR=240\nE: MINOR=%u\n"
		"A: dev=240:%u\nL: device=../../../0003:%04X:%04X.%04X\n\n",
		key->usb, name, key->serial, vendor, product, key->usb, slot + 1, key->hid, vendor, product, name, slot + 1,
		key->serial, DESCRIPTOR, key->raw, slot, slot, slot, vendor, product, slot + 1);
	char *path = g_strconcat("/sys", key->raw, NULL);
	check("a device", umockdev_testbed_add_from_string(testbed, text, &error), error);
	g_free(text);
	if (!ids[slot])
		answer_ioctls(key->path, vendor, product);
	ids[slot] = vendor << 16 | product;
	add_line(key);
	/* The first such event is libumockdev's own, before there was a node. */
	umockdev_testbed_uevent(testbed, path, "add");
	g_free(path);
	printf("added %s %s\n", key->path + 5, key->serial);
	if (send(key->cable, key->path + 5, strlen(key->path + 5), MSG_NOSIGNAL) < 0)
		perror("claviger-softkey-bridge: a softkey that is gone at once");
}

static void unplug(struct key *key)
{
	char *path = g_strconcat("/sys", key->raw, NULL);
	umockdev_testbed_uevent(testbed, path, "remove");
	link_to(NULL, file("dev", key->path + 5));
	for (struct line *line = key->lines; line < key->lines + LINES; line++)
		if (line->node >= 0)
			map_pty(key, ptsname(line->node), 0);
	/* From the leaf to the root: umockdev forgets the directories below a device, but not their links. */
	for (; strlen(path) >= strlen("/sys") + strlen(key->usb); *strrchr(path, '/') = 0)
		if (!g_str_has_suffix(path, "/hidraw"))
			umockdev_testbed_remove_device(testbed, path);
	g_free(path);
	for (struct line *line = key->lines; line < key->lines + LINES; line++)
		if (line->node >= 0)
			end_line(line);
	printf("removed %s %s\n", key->path + 5, key->serial);
	g_free(key->usb);
	g_free(key->hid);
	g_free(key->raw);
	g_free(key->path);
	close(key->cable);
	no_key(key);
}

static int read_line(struct key *key, struct line *line)
{
	ssize_t size = read(line->node, line->written + line->have, WRITTEN - line->have);
	if (size <= 0)
		return 0;
	line->have += size;
	if (line->have == WRITTEN) {
		line->have = 0;
		if (send(key->cable, line->written, WRITTEN, MSG_NOSIGNAL) < 0)
			perror("claviger-softkey-bridge: a report that came too late");
	}
	return 1;
}

/* Reports are for who has the node open; what nobody read is not for the next, as with hidraw. Openers cannot be counted:
 * inotify tells two opens, or two closes, as one. */
static void look(struct key *key, struct line *line)
{
	struct pollfd state = {.fd = line->node};
	int was = line->opened;
	if (line->node < 0 || poll(&state, 1, 0) < 0)
		return;
	line->opened = !(state.revents & POLLHUP);
	if (was && !line->opened) {
		/* What its last one wrote before it went; then what that one did not read. */
		while (read_line(key, line))
			;
		line->have = 0;
		int terminal = open(ptsname(line->node), O_RDWR | O_NOCTTY | O_CLOEXEC);
		tcflush(terminal, TCIFLUSH);
		close(terminal);
	}
	if (copies && line == key->next && line->opened)
		add_line(key);
}

static void look_at_lines(struct key *key)
{
	for (struct line *line = key->lines; line < key->lines + LINES; line++)
		look(key, line);
}

/* Somebody has come or gone. */
static void look_at_all(void)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	int seen = 0;
	while (read(watcher, &buffer, sizeof buffer) > 0)
		seen = 1;
	if (seen)
		for (struct key *key = keys; key < keys + KEYS; key++)
			if (key->cable >= 0)
				look_at_lines(key);
}

static void from_key(struct key *key)
{
	unsigned char report[REPORT];
	ssize_t size = recv(key->cable, report, REPORT, 0);
	if (size <= 0) {
		unplug(key);
		return;
	}
	look_at_lines(key);
	for (struct line *line = key->lines; line < key->lines + LINES; line++)
		if (line->opened && write(line->node, report, size) != size)
			perror("claviger-softkey-bridge: a report that nobody fetched");
}

/* The lowest free slot, as the kernel counts, in which ioctls tell the right ids. */
static void accept_key(int listener)
{
	char hello[256] = {0}, serial[64], name[64];
	unsigned vendor, product, slot = 0;
	int cable = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (recv(cable, hello, sizeof hello - 1, 0) < 0 ||
	    sscanf(hello, "%4x %4x %63s %63[^\n]", &vendor, &product, serial, name) != 4) {
		close(cable);
		return;
	}
	while (slot < KEYS && (keys[slot].cable >= 0 || (ids[slot] && ids[slot] != (vendor << 16 | product))))
		slot++;
	if (slot == KEYS) {
		close(cable);
		return;
	}
	keys[slot].cable = cable;
	strcpy(keys[slot].serial, serial);
	plug(slot, vendor, product, name);
}

int main(int count, char **words)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	copies = count == 3 && !strcmp(words[2], "--copies");
	if (count != 2 + copies || strlen(words[1]) >= sizeof name.sun_path) {
		fputs("usage: claviger-softkey-bridge SOCKET [--copies]\n", stderr);
		return 2;
	}
	const char *preloaded = getenv("LD_PRELOAD");
	if (!preloaded || !strstr(preloaded, "libumockdev-preload")) {
		fputs("claviger-softkey-bridge: start it with LD_PRELOAD=libumockdev-preload.so.0\n", stderr);
		return 2;
	}
	strcpy(name.sun_path, words[1]);
	signal(SIGPIPE, SIG_IGN); /* nobody has to read on */
	setvbuf(stdout, NULL, _IOLBF, 0);
	testbed = umockdev_testbed_new();
	root = umockdev_testbed_get_root_dir(testbed);
	/* A watch of /dev is one of the testbed's, even before the first key. */
	g_free(file("dev/.ptymap", ""));
	g_free(file("dev/.node", ""));
	watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (int slot = 0; slot < KEYS; slot++)
		no_key(&keys[slot]);
	if (watcher < 0 || bind(listener, (void *)&name, sizeof name) < 0 || listen(listener, KEYS) < 0)
		end(words[1]);
	printf("ready %s\n", root);
	for (;;) {
		enum { FIXED = 3, EACH = 1 + LINES };
		struct pollfd wait[FIXED + EACH * KEYS] = {
			{.fd = 0, .events = POLLIN}, {.fd = listener, .events = POLLIN}, {.fd = watcher, .events = POLLIN}};
		for (int slot = 0; slot < KEYS; slot++) {
			struct pollfd *of = wait + FIXED + EACH * slot;
			of[LINES] = (struct pollfd){.fd = keys[slot].cable, .events = POLLIN};
			for (int line = 0; line < LINES; line++)
				of[line] = (struct pollfd){.fd = keys[slot].lines[line].opened ? keys[slot].lines[line].node : -1, .events = POLLIN};
		}
		if (poll(wait, FIXED + EACH * KEYS, -1) < 0)
			end("poll");
		if (wait[0].revents)
			break;
		for (int slot = 0; slot < KEYS; slot++) {
			const struct pollfd *of = wait + FIXED + EACH * slot;
			for (int line = 0; line < LINES; line++)
				if (of[line].revents && !read_line(&keys[slot], &keys[slot].lines[line]))
					look(&keys[slot], &keys[slot].lines[line]);
			if (of[LINES].revents)
				from_key(&keys[slot]);
		}
		look_at_all();
		if (wait[1].revents)
			accept_key(listener);
	}
	g_object_unref(testbed);
	return 0;
}
