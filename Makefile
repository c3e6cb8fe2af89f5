# The two commands of the README are `make run` and `make test`; CMake does the work.

BUILD ?= build
PREFIX ?= /usr/local

.PHONY: build run test test-long lint format asan tsan processors packages machines python bench bench-quick scale \
        install package clean help

build:
	@scripts/setup build
	@[ -f $(BUILD)/CMakeCache.txt ] || cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	@cmake --build $(BUILD)

run: build
	@scripts/run-demo $(BUILD)

bench: build
	@scripts/setup bench
	@python3 bench/bench.py --build $(BUILD) --charts docs/charts --json docs/charts/figures.json $(BENCH)

bench-quick: build
	@python3 bench/quick.py --build $(BUILD) $(BENCH)

scale:
	@scripts/setup build scale
	@python3 bench/scale/run.py --json docs/charts/scale.json --charts docs/charts

test:
	@scripts/setup build test
	@scripts/test

test-long lint asan tsan processors packages machines python:
	@scripts/setup build test
	@scripts/test $(@:test-long=long)

format:
	find include src tools examples tests bench bindings -name '*.[ch]' -o -name '*.cpp' | xargs clang-format-14 -i

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

# For another processor: make package FOR=riscv64, or aarch64.
package:
	@scripts/setup build package $(if $(FOR),processors)
	@cmake -S . -B build-package$(FOR:%=-%) -G Ninja -DUNISONO_DEBIAN=ON $(FOR:%=-DCMAKE_TOOLCHAIN_FILE=cmake/%.cmake)
	@cmake --build build-package$(FOR:%=-%) --target package

clean:
	rm -rf $(BUILD) build-gcc build-clang build-riscv64 build-aarch64 build-asan build-tsan build-long build-python build-bench \
	       build-package build-package-riscv64 build-package-aarch64 build-machines

help:
	@echo 'make            build the library, the command, the examples and the tests in $(BUILD)/'
	@echo 'make run        train the digits classifier with every algorithm, then print the bench table'
	@echo 'make test       all tests: gcc, clang, other processors, packages, sanitizers, lint, several machines, Python (half an hour on 2 processors)'
	@echo 'make test-long  the tests that take minutes or gigabytes each'
	@echo 'make asan       the suite under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make tsan       the tests with threads under ThreadSanitizer'
	@echo 'make processors the kernels and whole runs for RISC-V, Arm and older x86, under QEMU'
	@echo 'make packages   the Debian packages, checked, installed and used, for three processors'
	@echo 'make machines   several machines, as network namespaces, with MPICH, Intel MPI, Open MPI and oneCCL (root; 3 minutes)'
	@echo 'make python     the Python package and its tests'
	@echo 'make lint       format, length of functions, man pages, every public function tested'
	@echo 'make format     put every C file into the format of .clang-format'
	@echo 'make bench      unisono beside MPI, oneCCL, gloo, DeepSpeed and TCP, with charts: 10 minutes (BENCH="--quick": 2)'
	@echo 'make bench-quick  did anything become slower? under a minute'
	@echo 'make scale      up to 1,024 machines, simulated, with a chart (docs/scale.md): half an hour, 7 GB'
	@echo 'make install    install to PREFIX ($(PREFIX))'
	@echo 'make package    Debian packages in build-package/; FOR=riscv64 or FOR=aarch64 for these'
	@echo 'make clean      remove the build directories'
