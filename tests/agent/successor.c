/* A successor that goes so far and then dies, or ends its predecessor: succession.rs. Built with -DSTAGE=0 … 5.
   0: before it is ready; 1: once ready; 2: with all that is passed; 3: once prepared; 4: when its turn has come;
   5: kills the one before it, once prepared, and itself; 6: says that it failed; 7: says something else.
   It notes each stage that it reaches in $CLAVIGER_HOME/stages: names and lengths, never what it was given. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int notes;

static void note(const char *text) {
    dprintf(notes, "%s\n", text);
}

static void say(const char *word) {
    send(0, word, strlen(word), MSG_NOSIGNAL);
}

static void until(const char *last) {
    char packet[65536], control[256];
    for (;;) {
        struct iovec part = {packet, sizeof packet};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t length = recvmsg(0, &message, 0);
        if (length <= 0)
            _exit(1);
        char *end = memchr(packet, '\n', length);
        if (!end)
            _exit(1);
        *end = 0;
        if (!strcmp(packet, "master_key"))
            dprintf(notes, "%s %zd\n", packet, length - (end - packet) - 1);
        if (!strcmp(packet, last))
            return;
    }
}

int main(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/stages", getenv("CLAVIGER_HOME"));
    notes = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    note("started");
    if (STAGE == 0)
        raise(SIGKILL);
    if (STAGE == 7) {
        say("hello\nworld");
        pause();
    }
    say("ready\nfake/0");
    note("ready");
    if (STAGE == 1)
        raise(SIGKILL);
    until("end");
    note("given");
    if (STAGE == 2)
        raise(SIGKILL);
    if (STAGE == 6) {
        say("failed\n{\"code\":\"vault.damaged\",\"message\":\"the vault is damaged\"}");
        pause();
    }
    say("prepared\n");
    note("prepared");
    if (STAGE == 3)
        raise(SIGKILL);
    if (STAGE == 5) {
        kill(getppid(), SIGKILL);
        raise(SIGKILL);
    }
    until("go");
    note("its turn");
    raise(SIGKILL);
    return 0;
}
