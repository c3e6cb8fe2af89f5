/* An authenticated TCP connection between two ranks: frames that only who knows the secret can have written.
 *
 * Each side sends a greeting with a random number. Both numbers and the secret make the keys of the
 * connection, one for each direction (BLAKE2b), and every frame is sealed with its direction's key and its
 * number (XSalsa20 and Poly1305, libsodium's secretbox). So nothing can be read, changed, replayed or
 * reordered, and a stranger gets no further than the greeting. Reading never waits. */
#ifndef UNI_RENDEZVOUS_WIRE_H
#define UNI_RENDEZVOUS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

enum { UNI_WIRE_SECRET = 32 };

struct uni_wire;

struct uni_frame {
  uint32_t kind;
  size_t bytes;
  const unsigned char *body; /* the wire's, until the next look at it */
};

enum uni_wire_event { UNI_WIRE_FRAME, UNI_WIRE_NOTHING, UNI_WIRE_CLOSED, UNI_WIRE_STRANGER };

/* Takes over the connected socket, in whatever case, and sends the greeting. */
unisono_status uni_wire_open(int socket, bool host, const unsigned char secret[UNI_WIRE_SECRET],
                             struct uni_wire **wire);
void uni_wire_close(struct uni_wire *wire);

int uni_wire_socket(const struct uni_wire *wire);

/* The next frame, if it is there. STRANGER: the other side does not know the secret, or what came was changed
 * on its way. Not after CLOSED or STRANGER. */
enum uni_wire_event uni_wire_next(struct uni_wire *wire, struct uni_frame *frame);

/* The same, waiting until `deadline` (NOTHING: it has passed). */
enum uni_wire_event uni_wire_await(struct uni_wire *wire, struct uni_frame *frame, int64_t deadline);

/* Waits for the other side's greeting, without which nothing can be sent. FRAME: it is there. */
enum uni_wire_event uni_wire_greet(struct uni_wire *wire, int64_t deadline);

/* Sends a frame, from any thread. Waits for room until `deadline`. When one could not be sent whole no other
 * can. */
bool uni_wire_send(struct uni_wire *wire, uint32_t kind, const void *body, size_t bytes, int64_t deadline);

/* Half-open connections and machines that are cut off show as CLOSED after so long. */
enum { UNI_WIRE_SILENCE_MS = 5000 };

#endif
