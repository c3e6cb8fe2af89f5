# Section 3 of the manual, generated from the public header's comments. (Section 1 is written by hand: man/unisono.1.)

find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(man3 ${PROJECT_BINARY_DIR}/man3)
add_custom_command(OUTPUT ${man3}/unisono.3
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/man3.py
          ${PROJECT_SOURCE_DIR}/include/unisono.h ${PROJECT_SOURCE_DIR}/man/summaries ${man3}
  DEPENDS scripts/man3.py include/unisono.h man/summaries
  COMMENT "Writing the man pages")
add_custom_target(man ALL DEPENDS ${man3}/unisono.3)

install(DIRECTORY ${man3}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT development)
