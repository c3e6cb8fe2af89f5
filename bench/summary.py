"""The figures as text."""

import choice
import figures
import goals


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def print_columns(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.rjust(width) for text, width in zip(row, widths)))


def gigabytes(size, microseconds):
    return f"{size / microseconds / 1e3:.3g}" if microseconds else "-"


def print_times(cell):
    """µs of everybody, and how many times as long as unisono each peer took, on shared and private memory."""
    names, sizes = list(cell), sorted({size for records in cell.values() for size in records})
    columns = {"shared": figures.of_all(cell, "shared"), "private": figures.of_all(cell, "private"),
               **{name: figures.of_peer(cell, name) for name in names},
               "memcpy": figures.of_all(cell, "memcpy"), "flag": figures.of_all(cell, "flag")}
    columns = {name: times for name, times in columns.items() if times}
    print("µs (median of the slowest rank)")
    print_columns([["bytes", *columns]] + [
        [figures.size_text(size), *(number(times.get(size)) for times in columns.values())] for size in sizes])
    print("peer's time / unisono's, on shared | private memory")
    print_columns([["bytes", *names]] + [
        [figures.size_text(size), *(" | ".join(number(figures.ratios(cell, name, memory).get(size))
                                               for memory in ("shared", "private")) for name in names)]
        for size in sizes])


def print_bandwidth(cell):
    tcp = figures.of_peer(cell, "TCP")
    if not tcp:
        return
    shared, private = figures.of_all(cell, "shared"), figures.of_all(cell, "private")
    print("GB/s, bytes of the buffer by time")
    print_columns([["bytes", "shared", "private", "TCP"]] + [
        [figures.size_text(size), *(gigabytes(size, times.get(size)) for times in (shared, private, tcp))]
        for size in tcp])


def print_decoding(cell):
    """Of a step's time the tokens a second, by what reduces the vectors of a layer."""
    print(f"{'sequences':>9}  {'of each layer':>13}  tokens/s")
    for peer, records in cell.items():
        for size, record in sorted(records.items()):
            rates = {name: record["tokens"] * 1e6 / us for name, us in record["us"].items()}
            print(f"{record['tokens']:>9}  {figures.size_text(size):>13}  {peer} {number(rates['peer'])}, "
                  f"unisono {number(rates['private'])}, in shared memory {number(rates['shared'])}")


def print_goals(table):
    """What unisono wants to be, and was."""
    rows = goals.reached(table)
    if rows:
        print("\n== goals, on 2 ranks")
        print_columns([["", "goal", "measured", "at"], *rows])


def print_choice(found):
    """What the library chooses beside the best of all algorithms."""
    rows = [[what, f"{within} of {sizes}", f"{worst:.2f}", figures.size_text(size["bytes"]), size["algorithm"]]
            for what, within, sizes, worst, size in choice.judge(found)]
    if rows:
        print(f"\n== the choice by the best algorithm's time: sizes at most {choice.WITHIN:g}, and the worst")
        print_columns([["", "sizes", "worst", "at", "best there"], *rows])


def print_tables(results):
    table = figures.load(results)
    for (operation, dtype, ranks), cell in table.items():
        print(f"\n== {operation}, {dtype}, {ranks} ranks")
        if operation == "decode":
            print_decoding(cell)
        print_times(cell)
        if "TCP" in cell:
            print_bandwidth(cell)
    print_choice(results.get("choice", []))
    print_goals(table)
