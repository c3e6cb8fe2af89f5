# The two commands of the README are `make run` and `make test`; CMake does the work.

BUILD ?= build
PREFIX ?= /usr/local

.PHONY: build run test test-long lint format asan tsan python bench install clean help

build:
	@scripts/setup build
	@[ -f $(BUILD)/CMakeCache.txt ] || cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	@cmake --build $(BUILD)

run: build
	@scripts/run-demo $(BUILD)

bench: build
	@$(BUILD)/tools/unisono bench all_reduce

test:
	@scripts/setup build test
	@scripts/test

test-long lint asan tsan python:
	@scripts/setup build test
	@scripts/test $(@:test-long=long)

format:
	find include src tools examples tests bindings -name '*.[ch]' -o -name '*.cpp' | xargs clang-format-14 -i

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf $(BUILD) build-gcc build-clang build-asan build-tsan build-long build-python

help:
	@echo 'make            build the library, the command, the examples and the tests in $(BUILD)/'
	@echo 'make run        train the digits classifier with every algorithm, then print the bench table'
	@echo 'make test       all tests: gcc, clang, sanitizers, lint, Python (about 15 minutes on 2 processors)'
	@echo 'make test-long  the tests that take minutes or gigabytes each'
	@echo 'make asan       the suite under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make tsan       the tests with threads under ThreadSanitizer'
	@echo 'make python     the Python package and its tests'
	@echo 'make lint       format, length of functions, man pages, every public function tested'
	@echo 'make format     put every C file into the format of .clang-format'
	@echo 'make bench      the table of unisono bench all_reduce'
	@echo 'make install    install to PREFIX ($(PREFIX))'
	@echo 'make clean      remove the build directories'
