"""What unisono wants to be beside the peers that live in PyTorch, and what it was in a run."""

from dataclasses import dataclass

import figures

KI, MI, SMALLEST = 1 << 10, 1 << 20, 8
ALL_REDUCE = ("all_reduce", "float32", 2)


@dataclass(frozen=True)
class Goal:
    """At these sizes the peer takes at least so many times as long as unisono."""
    peer: str
    memory: str
    first: int
    last: int
    ratio: float

    def __str__(self):
        sizes = figures.size_text(self.first)
        if self.last != self.first:
            sizes += f" to {figures.size_text(self.last)}"
        return f"{self.peer}'s time / unisono's, {self.memory} memory, {sizes}"


RATIOS = [Goal("DeepSpeed", "private", 8, 4 * KI, 1.5), Goal("DeepSpeed", "private", 32 * KI, 64 * MI, 1.2),
          Goal("DeepSpeed", "shared", 32 * KI, 32 * KI, 2.5), Goal("DeepSpeed", "shared", 256 * KI, 64 * MI, 4),
          Goal("gloo", "private", 8, 2 * MI, 30), Goal("gloo", "private", 16 * MI, 16 * MI, 8),
          Goal("gloo", "private", 64 * MI, 64 * MI, 4)]
# µs that Python adds to a small call: of the operator, which is measured beside DeepSpeed's, and of dist.all_reduce.
SHARES = [("DeepSpeed", "torch.ops.unisono.all_reduce_", 1.2), ("gloo", "torch.distributed.all_reduce", 6)]


def row(what, goal, measured, size, good):
    return [what, goal, f"{measured:.3g}", f"{figures.size_text(size)}{'' if good else ', missed'}"]


def reached_ratio(cell, goal):
    """By the size at which it is nearest to a miss."""
    found = {size: ratio for size, ratio in figures.ratios(cell, goal.peer, goal.memory).items()
             if goal.first <= size <= goal.last}
    if not found:
        return None
    size = min(found, key=found.get)
    return row(str(goal), f">= {goal.ratio:g}", found[size], size, found[size] >= goal.ratio)


def reached_share(cell, peer, call, limit):
    """What the call takes from Python, less what it takes from C."""
    from_c = [records[SMALLEST]["us"]["private"] for records in cell.values()
              if SMALLEST in records and not records[SMALLEST]["python"]]
    if not from_c or SMALLEST not in cell[peer]:
        return None
    share = cell[peer][SMALLEST]["us"]["private"] - min(from_c)
    return row(f"µs that Python adds, {call}", f"<= {limit:g}", share, SMALLEST, share <= limit)


def reached(table):
    """[what, goal, measured, at which size] of what was measured."""
    cell = table.get(ALL_REDUCE, {})
    rows = [reached_ratio(cell, goal) for goal in RATIOS if goal.peer in cell]
    rows += [reached_share(cell, *share) for share in SHARES if share[0] in cell]
    return [found for found in rows if found]
