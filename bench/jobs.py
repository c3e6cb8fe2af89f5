"""What is measured: a list of jobs, each one start of a paired program, within a given time."""

import getpass
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from peers import TORCH_RANKS, Peer, Variant

KI, MI = 1 << 10, 1 << 20
ALL_REDUCE_SIZES = [8, 64, 512, 4 * KI, 32 * KI, 128 * KI, 256 * KI, MI, 2 * MI, 16 * MI, 64 * MI]
OTHER_SIZES = [8, 4 * KI, 32 * KI, 256 * KI, 2 * MI, 16 * MI]
CROWDED_SIZES = [8, 4 * KI, 32 * KI, 64 * KI, MI]
OUT_OF_PLACE = ", out of place"
OTHERS = ["broadcast", "all_gather", "reduce_scatter", "all_to_all"]
CROWDED_RANKS = [4, 8]
DECODE_SIZES = [8 * KI, 128 * KI]  # 1 and 16 sequences
DECODE_WEIGHT = 6  # sizes' time: a step takes a tenth of a second
OVERHEAD = 3.0  # seconds to start and end the ranks of a job
SHORTEST = 0.02  # seconds a size
CHECKS = 0.2  # part of a size's time that goes to checking and warming up


@dataclass(frozen=True)
class Job:
    peer: Peer
    variant: Variant
    ranks: int
    operations: tuple
    sizes: tuple
    dtype: str = "float32"
    out_of_place: bool = False

    @property
    def weight(self):
        return DECODE_WEIGHT if "decode" in self.operations else 1

    @property
    def points(self):
        """How many sizes' time it takes: large ones get four times as much."""
        sizes = self.weight * sum(4 if size >= 8 * MI else 1 for size in self.sizes)
        return sizes * sum(o != "barrier" for o in self.operations) + ("barrier" in self.operations)

    @property
    def title(self):
        what = self.operations[0] if len(self.operations) == 1 else f"{len(self.operations)} operations"
        setting = "" if self.variant.name == "default" else f" ({self.variant.name})"
        placed = OUT_OF_PLACE if self.out_of_place else ""
        return f"{self.peer.name}{setting}: {what}{placed}, {self.dtype}, {self.ranks} ranks"


def plan(peers, sizes_limit):
    """All that `make bench` measures, for these peers."""
    def fitting(sizes):
        return tuple(size for size in sizes if size <= sizes_limit)

    jobs = []
    for peer in peers:
        for variant in peer.variants_for(crowded=False):
            jobs.append(Job(peer, variant, 2, ("all_reduce",), fitting(ALL_REDUCE_SIZES)))
            if peer.bfloat16:
                jobs.append(Job(peer, variant, 2, ("all_reduce",), fitting(ALL_REDUCE_SIZES), "bfloat16"))
            if peer.source == TORCH_RANKS:
                jobs.append(Job(peer, variant, 2, ("decode",), tuple(DECODE_SIZES), "bfloat16"))
            if not peer.reduces_only:
                jobs.append(Job(peer, variant, 2, ("all_reduce",), fitting(OTHER_SIZES), out_of_place=True))
                jobs.append(Job(peer, variant, 2, (*OTHERS, "barrier"), fitting(OTHER_SIZES)))
        for ranks in CROWDED_RANKS if peer.crowded else []:
            for variant in peer.variants_for(crowded=True):
                jobs.append(Job(peer, variant, ranks, ("all_reduce", *OTHERS, "barrier"), fitting(CROWDED_SIZES)))
    return jobs


def seconds_a_point(jobs, left):
    """What each size of these jobs gets of the seconds that are left."""
    measuring = left - OVERHEAD * len(jobs)
    return max(SHORTEST, measuring * (1 - CHECKS) / sum(job.points for job in jobs))


def segments(peer):
    """The names in /dev/shm that are this peer's, its own or of another program."""
    found = Path("/dev/shm").glob(f"{peer.segments}*") if peer.segments else []
    return {path for path in found if path.owner() == getpass.getuser()}


def end(process):
    """The launcher first, so that it ends its ranks; then what is left of its group. Nothing where it has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(job, build, seconds):
    """Starts a job. What it has printed counts, also when it fails or takes too long: (records, complaint or None)."""
    arguments = ["--operations", ",".join(job.operations), "--sizes", ",".join(map(str, job.sizes)),
                 "--dtype", job.dtype, "--seconds", f"{seconds * job.weight:.3f}"]
    arguments += ["--out-of-place"] if job.out_of_place else []
    limit = 60 + 3 * job.points * seconds
    start, before = time.monotonic(), segments(job.peer)
    process = subprocess.Popen(job.peer.command(job.ranks, arguments, build), stdin=subprocess.DEVNULL,
                               env=job.peer.environment(build, job.variant), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
        complaint = f"ended with {process.returncode}" if process.returncode else None
    except subprocess.TimeoutExpired:
        complaint = f"stopped after {time.monotonic() - start:.0f} s"
        end(process)
        output, _ = process.communicate()
    finally:
        end(process)
        for name in segments(job.peer) - before:  # DeepSpeed leaves them always, others when they are killed
            name.unlink(missing_ok=True)
    records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for record in records:
        record["operation"] += OUT_OF_PLACE if job.out_of_place else ""
        record.update(peer=job.peer.name, variant=job.variant.name, python=job.peer.source == TORCH_RANKS)
    if complaint:
        rest = [line for line in output.splitlines() if line.strip() and not line.startswith("{")]
        complaint += f": {rest[0].strip()}" if rest else ""
    return records, complaint
