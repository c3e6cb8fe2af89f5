#pragma once

#include <cstdint>

namespace unisono {

/* Where unisono_operators_sum of the operators' library is. */
void set_sum(uintptr_t function);

} // namespace unisono
