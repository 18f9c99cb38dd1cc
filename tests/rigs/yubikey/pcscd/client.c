/*
 * A bare PC/SC client, for comparison: what a card's work takes without anything around it.
 *
 *   claviger-card-client
 *
 * A line in: how often, the instruction that asks for the rest of a long answer, and APDUs, all but the first in
 * hexadecimal. Each time all of them are sent in one transaction. A line out: the median from before the transaction until
 * the last answer is there, in microseconds. It is connected to the only reader from its start to its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

enum { ROUNDS = 1000, APDUS = 16, LONGEST = 65538 };

static SCARDHANDLE card;
static SCARD_IO_REQUEST protocol;

static void check(const char *what, LONG error)
{
    if (error != SCARD_S_SUCCESS) {
        fprintf(stderr, "claviger-card-client: %s: %s\n", what, pcsc_stringify_error(error));
        exit(1);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Sends an APDU and fetches all of its answer. */
static void exchange(const BYTE *apdu, DWORD length, BYTE more)
{
    static BYTE answer[LONGEST];
    const BYTE rest[] = { 0, more, 0, 0 };
    do {
        DWORD room = sizeof answer;
        check("transmit", SCardTransmit(card, &protocol, apdu, length, NULL, answer, &room));
        if (room < 2 || (answer[room - 2] != 0x61 && answer[room - 2] != 0x90)) {
            fprintf(stderr, "claviger-card-client: the card refuses: %02x\n", room < 2 ? 0 : answer[room - 2]);
            exit(1);
        }
        if (answer[room - 2] == 0x90)
            return;
        apdu = rest;
        length = sizeof rest;
    } while (1);
}

static DWORD bytes(const char *text, BYTE *to)
{
    DWORD count = 0;
    for (unsigned byte; count < 300 && sscanf(text, "%2x", &byte) == 1; text += 2)
        to[count++] = (BYTE)byte;
    return count;
}

static int earlier(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int main(void)
{
    SCARDCONTEXT context;
    char reader[1024], line[8192];
    DWORD room = sizeof reader, active;
    check("pcscd", SCardEstablishContext(SCARD_SCOPE_USER, NULL, NULL, &context));
    check("readers", SCardListReaders(context, NULL, reader, &room));
    check("connect", SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &active));
    protocol = active == SCARD_PROTOCOL_T0 ? *SCARD_PCI_T0 : *SCARD_PCI_T1;
    while (fgets(line, sizeof line, stdin)) {
        static double times[ROUNDS];
        BYTE apdus[APDUS][300], more = 0;
        DWORD lengths[APDUS], count = 0;
        char *word = strtok(line, " \n");
        int rounds = word ? atoi(word) : 0;
        if ((word = strtok(NULL, " \n")))
            bytes(word, &more);
        while (count < APDUS && (word = strtok(NULL, " \n"))) {
            lengths[count] = bytes(word, apdus[count]);
            count++;
        }
        if (rounds < 1 || rounds > ROUNDS || count == 0)
            return 2;
        for (int round = 0; round < rounds; round++) {
            double begun = now();
            check("transaction", SCardBeginTransaction(card));
            for (DWORD at = 0; at < count; at++)
                exchange(apdus[at], lengths[at], more);
            times[round] = now() - begun;
            check("its end", SCardEndTransaction(card, SCARD_LEAVE_CARD));
        }
        qsort(times, (size_t)rounds, sizeof *times, earlier);
        printf("%.1f\n", times[rounds / 2]);
        fflush(stdout);
    }
    SCardDisconnect(card, SCARD_LEAVE_CARD);
    return 0;
}
