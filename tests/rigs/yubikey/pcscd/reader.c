/*
 * A reader for pcscd with one slot, whose card is a process at the other end of a Unix socket. The device's place on the
 * bus (bus.c) is its path.
 *
 * Two connections are made. 'C' carries commands: a kind (U power up, D power down, T transmit), four bytes of length,
 * most significant first, and the body; the answer is a byte (0 done, 1 no card), a length and a body. 'E' carries
 * events: a byte whenever a card comes (1) or goes (0). When the card's process closes them, the whole reader is gone.
 */
#include <errno.h>
#include <ifdhandler.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READERS 16
#define LONGEST (64 * 1024 + 16)

static struct reader {
    atomic_int used, present, gone;
    int commands, events, stop;
    UCHAR atr[MAX_ATR_SIZE];
    size_t atr_length;
} readers[READERS];

static struct reader *reader(DWORD lun)
{
    size_t number = (lun >> 16) & 0xffff;
    return number < READERS && readers[number].used ? &readers[number] : NULL;
}

static int get(int from, UCHAR *bytes, size_t length)
{
    while (length > 0) {
        ssize_t got = recv(from, bytes, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        bytes += got;
        length -= (size_t)got;
    }
    return 1;
}

static int put(int to, const UCHAR *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(to, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return 0;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 1;
}

/* pcscd names a device usb:1050/0407:libudev:0:PATH. */
static int dial(const char *device, UCHAR kind)
{
    struct sockaddr_un place = { .sun_family = AF_UNIX };
    const char *path = strstr(device, ":/");
    int end = path == NULL ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (end < 0)
        return -1;
    path++;
    strncpy(place.sun_path, path, sizeof place.sun_path - 1);
    if (strlen(path) >= sizeof place.sun_path || connect(end, (struct sockaddr *)&place, sizeof place) != 0 ||
        !put(end, &kind, 1)) {
        close(end);
        return -1;
    }
    return end;
}

/* Asks the card. `length` is the room for the answer, then its length. */
static RESPONSECODE ask(struct reader *r, UCHAR kind, const UCHAR *body, size_t body_length, UCHAR *answer, DWORD *length)
{
    UCHAR head[5] = { kind, body_length >> 24, body_length >> 16 & 0xff, body_length >> 8 & 0xff, body_length & 0xff };
    size_t coming;
    if (r->gone || !put(r->commands, head, 5) || !put(r->commands, body, body_length) || !get(r->commands, head, 5)) {
        r->gone = 1;
        return IFD_NO_SUCH_DEVICE;
    }
    coming = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (coming > *length || !get(r->commands, answer, coming)) {
        r->gone = 1;
        return IFD_NO_SUCH_DEVICE;
    }
    *length = coming;
    return head[0] == 0 ? IFD_SUCCESS : IFD_COMMUNICATION_ERROR;
}

/* Takes the events that have come, without waiting. */
static void look(struct reader *r)
{
    UCHAR event;
    ssize_t got;
    while (!r->gone && (got = recv(r->events, &event, 1, MSG_DONTWAIT)) != -1)
        if (got == 0)
            r->gone = 1;
        else
            r->present = event;
    if (!r->gone && errno != EAGAIN && errno != EINTR)
        r->gone = 1;
}

static void hang_up(struct reader *r)
{
    int ends[] = { r->commands, r->events, r->stop };
    for (size_t end = 0; end < 3; end++)
        if (ends[end] >= 0)
            close(ends[end]);
    r->used = 0;
}

/* pcscd's event thread stands here until something happens. */
static RESPONSECODE wait_for_event(DWORD lun, int timeout)
{
    struct reader *r = reader(lun);
    struct pollfd ends[2];
    eventfd_t asked;
    if (r == NULL)
        return IFD_NO_SUCH_DEVICE;
    ends[0] = (struct pollfd){ .fd = r->stop, .events = POLLIN };
    ends[1] = (struct pollfd){ .fd = r->gone ? -1 : r->events, .events = POLLIN };
    poll(ends, 2, timeout);
    if (ends[0].revents)
        eventfd_read(r->stop, &asked);
    return IFD_SUCCESS;
}

static RESPONSECODE stop_waiting(DWORD lun)
{
    struct reader *r = reader(lun);
    return r != NULL && eventfd_write(r->stop, 1) == 0 ? IFD_SUCCESS : IFD_COMMUNICATION_ERROR;
}

RESPONSECODE IFDHCreateChannelByName(DWORD Lun, LPSTR DeviceName)
{
    size_t number = (Lun >> 16) & 0xffff;
    struct reader *r = &readers[number];
    UCHAR event;
    if (number >= READERS || r->used)
        return IFD_COMMUNICATION_ERROR;
    r->used = 1;
    r->gone = r->present = 0;
    r->atr_length = 0;
    r->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->commands = dial(DeviceName, 'C');
    r->events = r->commands < 0 ? -1 : dial(DeviceName, 'E');
    if (r->stop < 0 || r->events < 0 || !get(r->events, &event, 1)) {
        hang_up(r);
        return IFD_COMMUNICATION_ERROR;
    }
    r->present = event;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannel(DWORD Lun, DWORD Channel)
{
    (void)Lun, (void)Channel;
    return IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHCloseChannel(DWORD Lun)
{
    struct reader *r = reader(Lun);
    if (r == NULL)
        return IFD_COMMUNICATION_ERROR;
    hang_up(r);
    return IFD_SUCCESS;
}

RESPONSECODE IFDHGetCapabilities(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
    struct reader *r = reader(Lun);
    void (*function)(void) = NULL;
    switch (Tag) {
    case TAG_IFD_ATR:
        if (r == NULL || *Length < r->atr_length)
            return IFD_COMMUNICATION_ERROR;
        memcpy(Value, r->atr, r->atr_length);
        *Length = r->atr_length;
        return IFD_SUCCESS;
    case TAG_IFD_SLOTS_NUMBER:
    case TAG_IFD_THREAD_SAFE:
    case TAG_IFD_SIMULTANEOUS_ACCESS:
        if (*Length < 1)
            return IFD_ERROR_INSUFFICIENT_BUFFER;
        *Value = Tag == TAG_IFD_SIMULTANEOUS_ACCESS ? READERS : 1;
        *Length = 1;
        return IFD_SUCCESS;
    case TAG_IFD_POLLING_THREAD_WITH_TIMEOUT:
        function = (void (*)(void))wait_for_event;
        break;
    case TAG_IFD_STOP_POLLING_THREAD:
        function = (void (*)(void))stop_waiting;
        break;
    default:
        return IFD_ERROR_TAG;
    }
    if (*Length < sizeof function)
        return IFD_ERROR_INSUFFICIENT_BUFFER;
    memcpy(Value, &function, sizeof function);
    *Length = sizeof function;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHSetCapabilities(DWORD Lun, DWORD Tag, DWORD Length, PUCHAR Value)
{
    (void)Lun, (void)Tag, (void)Length, (void)Value;
    return IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHSetProtocolParameters(DWORD Lun, DWORD Protocol, UCHAR Flags, UCHAR PTS1, UCHAR PTS2, UCHAR PTS3)
{
    (void)Lun, (void)Flags, (void)PTS1, (void)PTS2, (void)PTS3;
    return Protocol == SCARD_PROTOCOL_T1 ? IFD_SUCCESS : IFD_PROTOCOL_NOT_SUPPORTED;
}

RESPONSECODE IFDHPowerICC(DWORD Lun, DWORD Action, PUCHAR Atr, PDWORD AtrLength)
{
    struct reader *r = reader(Lun);
    DWORD length = sizeof r->atr;
    RESPONSECODE done;
    *AtrLength = 0;
    if (r == NULL)
        return IFD_COMMUNICATION_ERROR;
    done = ask(r, Action == IFD_POWER_DOWN ? 'D' : 'U', NULL, 0, r->atr, &length);
    r->atr_length = done == IFD_SUCCESS ? length : 0;
    memcpy(Atr, r->atr, r->atr_length);
    *AtrLength = r->atr_length;
    return done == IFD_COMMUNICATION_ERROR ? IFD_ERROR_POWER_ACTION : done;
}

RESPONSECODE IFDHTransmitToICC(DWORD Lun, SCARD_IO_HEADER SendPci, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer,
                               PDWORD RxLength, PSCARD_IO_HEADER RecvPci)
{
    struct reader *r = reader(Lun);
    DWORD length = *RxLength;
    RESPONSECODE done;
    (void)SendPci, (void)RecvPci;
    *RxLength = 0;
    if (r == NULL || TxLength > LONGEST)
        return IFD_COMMUNICATION_ERROR;
    done = ask(r, 'T', TxBuffer, TxLength, RxBuffer, &length);
    if (done == IFD_SUCCESS)
        *RxLength = length;
    return done;
}

RESPONSECODE IFDHControl(DWORD Lun, DWORD dwControlCode, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer, DWORD RxLength,
                         LPDWORD pdwBytesReturned)
{
    (void)Lun, (void)dwControlCode, (void)TxBuffer, (void)TxLength, (void)RxBuffer, (void)RxLength;
    *pdwBytesReturned = 0;
    return IFD_ERROR_NOT_SUPPORTED;
}

RESPONSECODE IFDHICCPresence(DWORD Lun)
{
    struct reader *r = reader(Lun);
    if (r == NULL)
        return IFD_COMMUNICATION_ERROR;
    look(r);
    return r->gone ? IFD_NO_SUCH_DEVICE : r->present ? IFD_ICC_PRESENT : IFD_ICC_NOT_PRESENT;
}
