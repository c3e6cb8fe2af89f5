"""The cluster that is simulated, and what an all_reduce on it should take by the cost formulas of docs/scale.md."""

from dataclasses import dataclass
from math import log2


@dataclass(frozen=True)
class Cluster:
    """Machines on a fat tree of two levels, every link as fast as the machines' own."""
    ranks: int = 8  # of each machine
    leaf: int = 32  # machines at a switch, as many switches above
    link: float = 12.5e9  # bytes/s: 100 Gb/s, each way
    hop: float = 0.6e-6  # s, from one device to the next: two within a leaf, else four
    overhead: float = 0.1e-6  # s that a message takes a rank to send, and another to receive
    near: float = 8e9  # bytes/s of what two ranks of a machine send each other, as they do in flat algorithms
    near_latency: float = 0.01e-6  # s, beside the overhead

    def platform(self):
        """SimGrid's description."""
        return f"""<?xml version="1.0"?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="machine" suffix="" radical="0-{self.leaf * self.leaf - 1}" speed="1Gf"
           bw="{self.link:.0f}Bps" lat="{self.hop * 1e9:.0f}ns" sharing_policy="SPLITDUPLEX"
           loopback_bw="{self.near:.0f}Bps" loopback_lat="{self.near_latency * 1e9:.0f}ns" topology="FAT_TREE"
           topo_parameters="2;{self.leaf},{self.leaf};1,{self.leaf};1,1"/>
</platform>
"""

    def options(self):
        """Of SMPI. Times are exact to the nanosecond; a rank's own computing takes what machine.c says."""
        overhead = f"0:{self.overhead:g}:0"
        return {"smpi/simulate-computation": "no", "smpi/privatization": "no", "smpi/shared-malloc": "global",
                # MPICH's choice for more than 2 KiB, and for short entries. SMPI's own selection of it would first
                # let all ranks send to all.
                "smpi/allreduce": "rab_rdb", "smpi/allgatherv": "mpich_rdb",
                "smpi/os": overhead, "smpi/or": overhead, "network/model": "CM02", "network/bandwidth-factor": "1",
                "network/latency-factor": "1", "network/weight-S": "0", "network/TCP-gamma": "0",
                "network/crosstraffic": "no", "contexts/stack-size": "128", "surf/precision": "1e-9"}

    def latency(self, machines):
        """Of a message between machines, on the average over those of a collective's steps."""
        near = min(log2(self.leaf) / log2(machines), 1)  # partners of the first steps are at the same switch
        return 2 * self.overhead + self.hop * (2 * near + 4 * (1 - near))


class Formulas:
    """Seconds that an all_reduce of `m` bytes takes on `machines` machines. `phases(operation, bytes)`: seconds of a
    collective within a machine, as a part of this all_reduce."""

    def __init__(self, cluster, phases):
        self.c, self.phases = cluster, phases

    def near(self, m):
        return 2 * self.c.overhead + self.c.near_latency + m / self.c.near

    def folded(self, m):
        return self.phases("fold", m)

    def ring(self, m, machines):
        """Every rank passes a part on to the next, twice around, at the pace of the slowest neighbours."""
        ranks = machines * self.c.ranks
        latency = 2 * self.c.overhead + self.c.hop * (2 if machines <= self.c.leaf else 4)
        step = max(latency + m / ranks / self.c.link, self.near(m / ranks))
        return 2 * (ranks - 1) * step + (ranks - 1) * self.folded(m / ranks)

    def recursive_doubling(self, m, machines):
        """All ranks of a machine send everything, over its one link."""
        inner, outer = log2(self.c.ranks), log2(machines)
        return inner * self.near(m) + outer * (self.c.latency(machines) + self.c.ranks * m / self.c.link) + \
            (inner + outer) * self.folded(m)

    def tree(self, m, machines):
        """Reduced to one rank, and broadcast."""
        inner, outer = log2(self.c.ranks), log2(machines)
        return 2 * (inner * self.near(m) + outer * (self.c.latency(machines) + m / self.c.link)) + \
            (inner + outer) * self.folded(m)

    def chunk(self, m, machines):
        """(on the machines before, between them, on them after): a chunk is halved and doubled between them."""
        across = 2 * log2(machines) * self.c.latency(machines) + 2 * m * (machines - 1) / machines / self.c.link + \
            self.folded(m / self.c.ranks)
        return self.phases("reduce_scatter", m), across, self.phases("all_gather", m)

    def chunks(self, m):
        return max(1, m / (self.c.ranks << 19))

    def entered(self, machines):
        return self.phases("all_gather", 512 * self.c.ranks) + log2(machines) * self.c.latency(machines) + \
            self.phases("broadcast", 1)

    def unisono(self, m, machines):
        """One after the other: what an engine without a thread of its own leaves to be waited for."""
        return self.entered(machines) + self.chunks(m) * sum(self.chunk(m / self.chunks(m), machines))

    def unisono_progress(self, m, machines):
        """The longer of the two hides the shorter, but for the first and the last chunk's."""
        before, across, after = self.chunk(m / self.chunks(m), machines)
        return self.entered(machines) + before + across + after + \
            (self.chunks(m) - 1) * max(before + after, across)
