# The language and the flags of everything that is built here.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo)
  endif()
  set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
  set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O3 -g -DNDEBUG")
endif()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wconversion -Wshadow)
if(UNISONO_WERROR)
  add_compile_options(-Werror)
endif()

if(UNISONO_SANITIZE)
  set(sanitizer -fsanitize=${UNISONO_SANITIZE} -fno-sanitize-recover=all)
  add_compile_options(${sanitizer} -O1 -fno-omit-frame-pointer) # -O3 would take minutes to compile
  add_link_options(${sanitizer})
  if(UNISONO_SANITIZE MATCHES thread AND CMAKE_C_COMPILER_ID STREQUAL GNU)
    add_compile_options(-Wno-tsan) # says that ThreadSanitizer does not look at fences
  endif()
endif()
