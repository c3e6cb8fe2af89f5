/* all_to_all of so little that it rides with the entries of the call. */
#ifndef UNI_MACHINES_RIDE_H
#define UNI_MACHINES_RIDE_H

#include "machines/span.h"

bool uni_rides(const struct uni_span *span, const struct uni_call *call);
unisono_status uni_ride(struct uni_span *span, const struct uni_call *call);

#endif
