"""Draws what bench.py has measured: usage: charts.py RESULTS.json DIRECTORY. SVG and PNG of each chart."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

import figures  # noqa: E402

# Okabe and Ito's colours, told apart with every kind of colour vision; markers and dashes tell them apart in grey.
STYLES = {
    "unisono, shared memory": {"color": "#D55E00", "marker": "o", "linewidth": 2.4},
    "unisono, private memory": {"color": "#E69F00", "marker": "s", "linewidth": 2.4},
    "Intel MPI": {"color": "#0072B2", "marker": "^"},
    "Open MPI": {"color": "#009E73", "marker": "v"},
    "MPICH": {"color": "#56B4E9", "marker": "D"},
    "oneCCL": {"color": "#CC79A7", "marker": "P"},
    "TCP": {"color": "#999999", "marker": "X"},
    "gloo": {"color": "#882255", "marker": "<"},
    "DeepSpeed": {"color": "#332288", "marker": ">"},
    "memcpy on all ranks": {"color": "#000000", "linestyle": ":", "linewidth": 1.2},
    "exchange of a flag": {"color": "#000000", "linestyle": "--", "linewidth": 1.2},
}
OPERATIONS = ["broadcast", "all_gather", "reduce_scatter", "all_to_all"]
plt.rcParams.update({"font.size": 11, "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True,
                     "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "unisono",
                     "lines.markersize": 5, "axes.spines.top": False, "axes.spines.right": False})


TICKS = [8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20, 64 << 20]


def plain(value, _=None):
    return f"{value:g}"


def duration(value, _=None):
    """Of a time in µs."""
    for unit, text in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if value >= unit:
            return f"{value / unit:g} {text}"
    return f"{value * 1e3:g} ns"


def line(axes, name, values):
    if values:
        axes.plot(list(values), list(values.values()), label=name, **STYLES[name])


def set_up(axes, title, sizes, label, format_value):
    axes.set(xscale="log", yscale="log", title=title, xlabel="size of the buffer")
    ticks = [size for size in TICKS if min(sizes) <= size < max(sizes) / 2] + [max(sizes)]
    axes.set_xticks(ticks, [figures.size_text(size) for size in ticks], rotation=35, ha="right")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(format_value))
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel(label)


def sizes_of(cell):
    return sorted({size for records in cell.values() for size in records})


def draw_times(axes, cell, title):
    for name, values in [("unisono, shared memory", figures.of_all(cell, "shared")),
                         ("unisono, private memory", figures.of_all(cell, "private")),
                         *((peer, figures.of_peer(cell, peer)) for peer in STYLES if peer in cell),
                         ("memcpy on all ranks", figures.of_all(cell, "memcpy")),
                         ("exchange of a flag", figures.of_all(cell, "flag"))]:
        line(axes, name, values)
    set_up(axes, title, sizes_of(cell), "time of a call (slowest rank, median)", duration)
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())


def draw_ratios(axes, cell, memory, title):
    for peer in STYLES:
        if peer in cell:
            line(axes, peer, figures.ratios(cell, peer, memory))
    axes.axhline(1, color="black", linewidth=1)
    set_up(axes, title, sizes_of(cell), "peer's time / unisono's", plain)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend(figure, columns):
    """One for all the panels, below them."""
    entries = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(name, handle)
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=columns)


def panels(rows, columns):
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 4.3 * rows), layout="constrained", squeeze=False,
                                sharey="row")
    return figure, [a for row in axes for a in row]


def time_chart(table):
    cells = [(dtype, table.get(("all_reduce", dtype, 2))) for dtype in ("float32", "bfloat16")]
    cells = [(dtype, cell) for dtype, cell in cells if cell]
    figure, axes = panels(1, len(cells))
    for a, (dtype, cell) in zip(axes, cells):
        draw_times(a, cell, f"all_reduce, {dtype}, 2 ranks")
    legend(figure, 4)
    return figure


def ratio_chart(table):
    figure, axes = panels(1, 2)
    for a, memory in zip(axes, ("shared", "private")):
        draw_ratios(a, table["all_reduce", "float32", 2], memory, f"all_reduce, float32, 2 ranks, {memory} memory")
    legend(figure, 5)
    return figure


def operations_chart(table):
    figure, axes = panels(2, len(OPERATIONS))
    for row, memory in enumerate(("shared", "private")):
        for column, operation in enumerate(OPERATIONS):
            draw_ratios(axes[row * len(OPERATIONS) + column], table[operation, "float32", 2], memory,
                        f"{operation}, {memory} memory")
    legend(figure, 4)
    return figure


def crowded_chart(table):
    ranks = sorted({n for operation, _, n in table if n > 2 and operation == "all_reduce"})
    figure, axes = panels(1, len(ranks))
    for a, n in zip(axes, ranks):
        draw_times(a, table["all_reduce", "float32", n], f"all_reduce, float32, {n} ranks")
    legend(figure, 4)
    return figure


CHARTS = {"all_reduce-time": (time_chart, [("all_reduce", "float32", 2)]),
          "all_reduce-ratio": (ratio_chart, [("all_reduce", "float32", 2)]),
          "operations-ratio": (operations_chart, [(operation, "float32", 2) for operation in OPERATIONS]),
          "crowded-time": (crowded_chart, [("all_reduce", "float32", 4)])}


def main():
    results, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    table = figures.load(results)
    for name, (draw, needed) in CHARTS.items():
        if not all(key in table for key in needed):
            print(f"no chart {name}: not measured")
            continue
        figure = draw(table)
        figure.suptitle(f"{results['processor']}, {results['processors']} processors", fontsize=10, color="#555555")
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
        figure.savefig(directory / f"{name}.png", dpi=130)
        plt.close(figure)


if __name__ == "__main__":
    main()
