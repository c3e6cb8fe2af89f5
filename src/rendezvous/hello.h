/* What a rank says of itself when it arrives, and what rank 0 makes of all of it. */
#ifndef UNI_RENDEZVOUS_HELLO_H
#define UNI_RENDEZVOUS_HELLO_H

#include "rendezvous/identity.h"
#include "rendezvous/letter.h"
#include "world.h"

/* This rank's hello, with its pidfd (which the letter owns). */
unisono_status uni_hello_write(const struct uni_identity *identity, const struct uni_world *world,
                               int threads, int64_t deadline, struct uni_letter *letter);

/* OK when the letter is a hello that shows the secret; the words of a refusal are for the log only. */
unisono_status uni_hello_check(const struct uni_letter *letter, const struct uni_identity *identity);

/* When the rank will wait no longer. */
int64_t uni_hello_deadline(const struct uni_letter *letter);

int uni_hello_rank(const struct uni_letter *letter);
int uni_hello_size(const struct uni_letter *letter);

/* The settings of the world that the ranks with these hellos make. `crowded` stays true where it is. */
unisono_status uni_settings_agree(const struct uni_letter *hellos, int n, struct uni_settings *settings);

void uni_settings_pack(const struct uni_settings *settings, struct uni_letter *letter);
void uni_settings_unpack(const struct uni_letter *letter, struct uni_settings *settings);

#endif
