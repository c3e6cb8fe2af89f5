"""No instruction of the library needs more than its file may have: AVX-512 only in avx512.c and bf16.c, AVX2 only there
and in avx2.c, and nothing beyond x86-64's first version elsewhere. Nor is a multiplication fused with an addition.

usage: check_instructions.py OBJDUMP LIBRARY KERNEL_OBJECT...

The kernels' object files are disassembled, and the library, whose other parts the linker has optimised together."""

import re
import subprocess
import sys
from pathlib import Path

TIERS = ["x86-64", "AVX2", "AVX-512"]
TIER_OF_FILE = {"avx2.c": 1, "avx512.c": 2, "bf16.c": 2}
FIRST_BYTES = {0x62: 2, 0xC4: 1, 0xC5: 1}  # how EVEX and VEX begin, which nothing else does in 64-bit mode
AVX512_OPERAND = re.compile(r"%(zmm|k[0-7])")  # masks are handled with VEX too
FUSED = re.compile(r"\tvf(n?m(add|sub)|msubadd|maddsub)")
LINE = re.compile(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(\t.*)?$")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def instructions(objdump, file):
    """(address, tier, text) of each."""
    for line in run(objdump, "-d", "--insn-width=16", file):
        match = LINE.match(line)
        if match and match[3]:
            tier = 2 if AVX512_OPERAND.search(match[3]) else FIRST_BYTES.get(int(match[2].split()[0], 16), 0)
            yield int(match[1], 16), tier, match[3]


def file_of(object_file):
    return Path(object_file).name.removesuffix(".o")


def symbols(objdump, file):
    """(address, size, name, source file) of each function; the file is None where the linker does not say it."""
    source = None
    for line in run(objdump, "-t", file):
        match = re.match(r"^([0-9a-f]+) (.{7}) (\S+)\t([0-9a-f]+) +(?:\.hidden )?(.*)$", line)
        if match and "f" in match[2]:
            source = match[5] or None
        elif match and "F" in match[2]:
            yield int(match[1], 16), int(match[4], 16), match[5], source if "l" in match[2] else None


def ranges(objdump, library, objects):
    """(from, to, tier) of the library's functions that may have more than the rest."""
    of_global = {name: TIER_OF_FILE.get(file_of(o), 0)
                 for o in objects for _, _, name, source in symbols(objdump, o) if source is None}
    for start, size, name, source in symbols(objdump, library):
        tier = TIER_OF_FILE.get(source, 0) or of_global.get(name, 0)
        if tier:
            yield start, start + size, tier


def check(objdump, file, allowed):
    """`allowed` says the tier for an address. The number of instructions of each tier, and the failures."""
    counts, failures = [0, 0, 0], []
    for address, tier, text in instructions(objdump, file):
        counts[tier] += 1
        if tier > allowed(address) or FUSED.search(text):
            failures.append(f"{file}: {address:x}:{text} is not for {TIERS[allowed(address)]}, or is fused")
    return counts, failures


def main():
    objdump, library, *objects = sys.argv[1:]
    failures = []
    for file in objects:
        tier = TIER_OF_FILE.get(file_of(file), 0)
        counts, bad = check(objdump, file, lambda _: tier)
        print(f"{file_of(file)}: " + ", ".join(f"{n} of {name}" for n, name in zip(counts, TIERS)))
        if counts[tier] == 0:
            bad.append(f"{file}: no instruction of {TIERS[tier]}: this check sees nothing")
        failures += bad
    special = sorted(ranges(objdump, library, objects))
    counts, bad = check(objdump, library, lambda a: next((t for start, end, t in special if start <= a < end), 0))
    print(f"{Path(library).name}: " + ", ".join(f"{n} of {name}" for n, name in zip(counts, TIERS)))
    if 0 in counts:
        bad.append(f"{library}: a tier has no instruction: this check sees nothing")
    failures += bad
    print("\n".join(failures[:20]) or "no instruction is out of its place")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
