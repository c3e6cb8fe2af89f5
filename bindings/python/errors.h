/* A failed status as a Python exception: unisono.MismatchError and so on, with the library's words. */
#pragma once

#include <unisono.h>

#include <string>

/* Raises the exception for `status` with unisono_last_error(); with UNISONO_OK nothing happens. */
void check(unisono_status status);

[[noreturn]] void raise(unisono_status status, const std::string &text);
