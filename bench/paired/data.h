/* What the ranks send, and what they must receive: small whole numbers, whose sums are exact. */
#ifndef DATA_H
#define DATA_H

#include "paired.h"

/* Elements of the send and receive buffers of a call. */
size_t data_sent(const struct call *call);
size_t data_received(const struct call *call);

void data_fill(const struct call *call, size_t seed);

/* Overwrites what was received, unless that is what is sent. */
void data_forget(const struct call *call);

/* Ends the program where call->recv is not what the ranks' data_fill with this seed makes it. */
void data_check(const struct call *call, size_t seed, const char *contestant);

#endif
