"""What the records of a run say, as tables and charts need it."""

from collections import defaultdict
from statistics import median


def load(results):
    """{(operation, dtype, ranks): {peer: {bytes: record}}}; of a peer's variants the best, size by size."""
    table = defaultdict(lambda: defaultdict(dict))
    for record in results["records"]:
        place = table[record["operation"], record["dtype"], record["ranks"]][record["peer"]]
        best = place.get(record["bytes"])
        if "peer" in record["us"] and (best is None or peer_over(record, "private") < peer_over(best, "private")):
            place[record["bytes"]] = record
    return table


def peer_over(record, memory):
    """How many times as long the peer took as unisono, round by round; None where that was not measured."""
    return record.get(f"over_{memory}", {}).get("peer")


def of_all(cell, what):
    """{bytes: µs} of unisono or a limit: the median over the runs with all the peers. Runs from Python, whose calls
    are slower, count where there are no others."""
    records = [record for of_peer in cell.values() for record in of_peer.values() if what in record["us"]]
    from_c = [record for record in records if not record["python"]]
    found = defaultdict(list)
    for record in from_c or records:
        found[record["bytes"]].append(record["us"][what])
    return {size: median(times) for size, times in sorted(found.items())}


def of_peer(cell, peer):
    return {size: record["us"]["peer"] for size, record in sorted(cell[peer].items())}


def ratios(cell, peer, memory):
    return {size: peer_over(record, memory) for size, record in sorted(cell[peer].items())
            if peer_over(record, memory) is not None}


def size_text(size):
    for unit, text in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if size >= unit:
            return f"{size // unit} {text}B"
    return f"{size} B"
