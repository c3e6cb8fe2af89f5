# The engine oneCCL: a library of its own, beside libunisono.so, which loads it when it is asked for.

set(UNISONO_ONECCL AUTO CACHE STRING "The engine oneCCL: AUTO (where CMake finds oneCCL), ON or OFF")
set_property(CACHE UNISONO_ONECCL PROPERTY STRINGS AUTO ON OFF)
if(NOT UNISONO_ONECCL)
  return()
endif()

# Of PyPI: CCL_ROOT=VENV in the environment, or -DCMAKE_PREFIX_PATH. (The library of package oneccl, which is for SYCL's
# devices, waits in every call: it cannot serve.)
if(NOT EXISTS "${ONECCL_LIBRARY}")
  unset(ONECCL_INCLUDE_DIR CACHE) # it has gone
  unset(ONECCL_LIBRARY CACHE)
endif()
find_path(ONECCL_INCLUDE_DIR oneapi/ccl.hpp HINTS ENV CCL_ROOT PATH_SUFFIXES include)
find_library(ONECCL_LIBRARY NAMES libccl.so.1 HINTS ENV CCL_ROOT PATH_SUFFIXES lib)
mark_as_advanced(ONECCL_INCLUDE_DIR ONECCL_LIBRARY)
if(NOT ONECCL_INCLUDE_DIR OR NOT ONECCL_LIBRARY)
  set(level STATUS)
  if(NOT UNISONO_ONECCL STREQUAL AUTO)
    set(level FATAL_ERROR)
  endif()
  message(${level} "oneCCL was not found, the engine oneccl is not built (packages oneccl-cpu and oneccl-cpu-devel of "
                   "PyPI; CCL_ROOT or -DCMAKE_PREFIX_PATH leads to them)")
  return()
endif()

message(STATUS "The engine oneccl is built with ${ONECCL_LIBRARY}")
enable_language(CXX)
find_package(Threads REQUIRED)
file(GLOB oneccl_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/engines/oneccl/*.cpp)
add_library(unisono_oneccl MODULE ${oneccl_sources})
target_compile_features(unisono_oneccl PRIVATE cxx_std_17)
set_target_properties(unisono_oneccl PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:unisono>)
target_include_directories(unisono_oneccl PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_include_directories(unisono_oneccl SYSTEM PRIVATE ${ONECCL_INCLUDE_DIR})
target_link_libraries(unisono_oneccl PRIVATE ${ONECCL_LIBRARY} Threads::Threads)
install(TARGETS unisono_oneccl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
