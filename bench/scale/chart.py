"""Draws what run.py has simulated: usage: chart.py RESULTS.json DIRECTORY. SVG and PNG."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

import charts  # noqa: E402
import figures  # noqa: E402

NAMES = {"unisono": ("unisono", "#D55E00", "o"),
         "unisono_progress": ("unisono, engine with a thread of its own", "#E69F00", "s"),
         "ring": ("flat ring", "#0072B2", "^"),
         "recursive_doubling": ("flat recursive doubling", "#009E73", "v"),
         "tree": ("flat tree", "#CC79A7", "D")}


def of(records, algorithm, size):
    return {r["machines"]: r["us"] for r in records if r["algorithm"] == algorithm and r["bytes"] == size}


def draw(axes, results, size):
    for algorithm, (name, color, marker) in NAMES.items():
        simulated, formula = of(results["simulated"], algorithm, size), of(results["formulas"], algorithm, size)
        axes.plot(list(formula), list(formula.values()), color=color, linestyle=":", linewidth=1.3)
        axes.plot(list(simulated), list(simulated.values()), color=color, marker=marker, label=name,
                  linewidth=2.4 if algorithm.startswith("unisono") else 1.5)
    machines = sorted(of(results["formulas"], "unisono", size))
    axes.set(xscale="log", yscale="log", title=f"all_reduce of {figures.size_text(size)}", xlabel="machines of 8 ranks")
    axes.set_xticks(machines, machines)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(charts.duration))


def main():
    results, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    sizes = sorted({record["bytes"] for record in results["simulated"]})
    figure, panels = plt.subplots(1, len(sizes), figsize=(5.6 * len(sizes), 5.2), layout="constrained")
    for axes, size in zip(panels, sizes):
        draw(axes, results, size)
    panels[0].set_ylabel("time of a call (slowest rank)")
    panels[0].plot([], [], color="black", linestyle=":", linewidth=1.3, label="by the formulas")
    charts.legend(figure, 3)
    figure.suptitle("simulated: 100 Gb/s, fat tree of two levels", fontsize=10, color="#555555")
    figure.savefig(directory / "scale.svg", metadata={"Date": None})
    figure.savefig(directory / "scale.png", dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
