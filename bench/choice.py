"""Is what the library chooses as fast as the best algorithm? `unisono bench --algorithms` forces each in turn."""

import subprocess
from dataclasses import dataclass

KI, MI = 1 << 10, 1 << 20
WITHIN = 1.1  # of the best one's time
SECONDS = 0.15  # a size
LIMIT = 120  # seconds for all sizes of a comparison
TIMES = 3  # a size that is not within is measured so often at most: a miss is one that is so each time
OPERATIONS = ("broadcast", "all_gather", "reduce_scatter", "all_to_all")


@dataclass(frozen=True)
class Comparison:
    operation: str
    ranks: int
    memory: str
    largest: int
    dtype: str = "float32"
    in_place: bool = False

    def command(self, build, smallest, largest):
        bound = ["--bind=core"] if self.ranks == 2 else []
        placed = ["--in-place"] if self.in_place else []
        return [str(build / "tools/unisono"), "bench", f"-n{self.ranks}", *bound, *placed, f"--dtype={self.dtype}",
                f"--memory={self.memory}", f"--min={smallest}", f"--max={largest}", "--factor=4",
                f"--seconds={SECONDS}", "--algorithms", self.operation]

    def measure(self, build, smallest, largest):
        done = subprocess.run(self.command(build, smallest, largest), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=LIMIT, check=True)
        return read(done.stdout)

    def __str__(self):
        return (f"{self.operation}, {self.dtype}, {self.ranks} ranks, {self.memory} memory"
                + (", in place" if self.in_place else ""))


def plan():
    todo = []
    for memory in ("private", "shared"):
        todo += [Comparison("all_reduce", 2, memory, 16 * MI), Comparison("all_reduce", 2, memory, MI, "bfloat16"),
                 Comparison("all_reduce", 4, memory, MI)]
        todo += [Comparison(operation, 2, memory, 256 * KI) for operation in OPERATIONS]
    return [*todo, Comparison("all_reduce", 2, "shared", 16 * MI, in_place=True)]


def read(output):
    """[{bytes, chosen, best: µs, its name}] of the table that the command prints."""
    rows = [line.split() for line in output.splitlines() if line.strip() and line.split()[0].isdigit()]
    return [{"bytes": int(row[0]), "chosen": float(row[1]), "best": float(row[1]) / float(row[-1]),
             "algorithm": row[-2]} for row in rows]


def measure_again(comparison, build, size):
    """The machine may have changed in the midst of a size: the first measurement that is within, or the best one."""
    sizes = [size]
    for _ in range(TIMES - 1):
        if ratio(sizes[-1]) <= WITHIN:
            break
        sizes += comparison.measure(build, size["bytes"], size["bytes"])
    return {**min(sizes, key=ratio), "times": len(sizes)}


def compare(build, say):
    """[{what, sizes}] of what did not fail."""
    found = []
    for comparison in plan():
        say(f"[choice] {comparison}")
        try:
            sizes = comparison.measure(build, 64, comparison.largest)
            found.append({"what": str(comparison), "sizes": [measure_again(comparison, build, size) for size in sizes]})
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as reason:
            say(f"   {reason}")
    return found


def ratio(size):
    return size["chosen"] / size["best"]


def judge(found):
    """[what, sizes within, sizes in all, the worst ratio, where]."""
    rows = []
    for one in found:
        worst = max(one["sizes"], key=ratio, default=None)
        if worst:
            within = sum(ratio(size) <= WITHIN for size in one["sizes"])
            rows.append([one["what"], within, len(one["sizes"]), ratio(worst), worst])
    return rows
