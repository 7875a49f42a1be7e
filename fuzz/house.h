/* A whole house in one process, for fuzzing what its services do with calls of a peer that was taken over: a real
 * store, auth, script and courier, joined by real channels. DNS answers that the courier gets are made of the input,
 * too; the resolver itself has a server that is not there. Nothing leaves the machine: connecting to anything but a
 * Unix socket is refused (house_connect.c).
 *
 * The house lives as long as the program, so what one input left behind meets the next ones; an input that fails only
 * behind others says so by its stack trace. The store is made anew behind an input that removed or changed the people
 * whose grants the inputs are made with, and when much was stored in it. */
#ifndef FUZZ_HOUSE_H
#define FUZZ_HOUSE_H

#include "ipc/services.h"

enum house_service {
    HOUSE_READER,
    HOUSE_WRITER,
    HOUSE_AUTH,
    HOUSE_COURIER,
    HOUSE_SCRIPT,
    HOUSE_MY,
    HOUSE_RESOLVER,
    HOUSE_SERVICES
};

/* Plays the input as calls of that service: who calls, which method, the message, the attachment, a descriptor. Returns
 * 0; aborts where a service does not answer or breaks its store. */
int house_play(enum house_service service, const uint8_t *data, size_t size);

#endif
