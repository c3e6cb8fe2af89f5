#!/usr/bin/env python3
"""Did anything become slower? Measures a few sizes, in less than a minute, and compares them with baseline.json.

What is compared are ratios to what the machine itself can do, measured in turn with it: small calls to one exchange of
a flag, larger ones to memcpy of the same bytes. What looks slower is measured again, up to twice; only what is slower
every time is reported. Exit status 1 then; 2 where other programs leave too little of the machine to tell."""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import figures
import jobs
import peers
from bench import processor

BASELINE = Path(__file__).resolve().parent / "baseline.json"
TOLERANCE = 1.25
CROWDED_TOLERANCE = 1.5  # with more ranks than processors the scheduler has its say
ATTEMPTS = 3
BUSY = 2  # load a processor
SECONDS = 0.15  # a size
KI, MI = jobs.KI, jobs.MI


def plan():
    def job(*arguments):
        return jobs.Job(peers.NOBODY, peers.Variant(), *arguments)

    return [job(2, ("all_reduce",), (8, 512, 4 * KI, 64 * KI, MI, 16 * MI)),
            job(2, ("all_reduce",), (512, 64 * KI, MI), "bfloat16"),
            job(2, ("all_reduce",), (512, 64 * KI), "float32", True),
            job(2, (*jobs.OTHERS, "barrier"), (8, 64 * KI, MI)),
            job(4, ("all_reduce", "barrier"), (8, 512))]


def ratios(record):
    """{what: its time / the machine's}, each by its fastest decile, which other programs disturb least."""
    times = record["us_p10"]
    limit = "flag" if "flag" in times else "memcpy"
    where = f"{record['operation']} {record['dtype']}, {figures.size_text(record['bytes'])}, {record['ranks']} ranks"
    return {f"{where}, {memory} / {limit}": times[memory] / times[limit]
            for memory in ("private", "shared") if memory in times}


def measure(job, build):
    records, complaint = jobs.run(job, build, SECONDS)
    if complaint:
        sys.exit(f"bench-quick: {job.title} {complaint}")
    return {what: ratio for record in records for what, ratio in ratios(record).items()}


def save(todo, build):
    runs = [[measure(job, build) for job in todo] for _ in range(ATTEMPTS)]
    middle = {what: round(statistics.median(run[i][what] for run in runs), 3)
              for i, first in enumerate(runs[0]) for what in first}
    BASELINE.write_text(json.dumps({"processor": processor(), "processors": len(os.sched_getaffinity(0)),
                                    "ratios": middle}, indent=1) + "\n")
    print(f"written: {BASELINE}")


def tolerance(what):
    return TOLERANCE if ", 2 ranks," in what else CROWDED_TOLERANCE


def slower(found, baseline):
    return [what for what, ratio in found.items() if what in baseline and ratio > tolerance(what) * baseline[what]]


def compare(todo, build, baseline):
    """The best ratio of each: {what: ratio}."""
    best = {}
    for job in todo:
        for attempt in range(ATTEMPTS):
            found = measure(job, build)
            best.update({what: min(ratio, best.get(what, ratio)) for what, ratio in found.items()})
            bad = slower({what: best[what] for what in found}, baseline)
            print(f"{job.title}: {len(found)} ratios" + (f", {len(bad)} look slower" if bad else ""), flush=True)
            if not bad:
                break
    return best


def tell(best, baseline):
    bad = slower(best, baseline)
    for what, ratio in best.items():
        if what not in baseline:
            print(f"new     {what}: {ratio:.2f}")
        elif ratio * tolerance(what) < baseline[what]:
            print(f"faster  {what}: {ratio:.2f}, was {baseline[what]:.2f}")
    for what in bad:
        print(f"SLOWER  {what}: {best[what]:.2f}, was {baseline[what]:.2f}")
    print(f"{len(best)} ratios, {len(bad)} slower than the baseline")
    return bool(bad)


def others_run():
    """How many others want a processor, for each there is, before anything is measured."""
    return os.getloadavg()[0] / len(os.sched_getaffinity(0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build"), help="where unisono was built (default: build)")
    parser.add_argument("--save", action="store_true", help="write the baseline")
    options = parser.parse_args()
    build = options.build.resolve()
    try:
        peers.prepare(peers.NOBODY, build)
    except peers.Missing as reason:
        sys.exit(f"bench-quick: {reason}")
    if options.save:
        return save(plan(), build)
    baseline, load = json.loads(BASELINE.read_text()), others_run()
    if baseline["processor"] != processor():
        print(f"The baseline is of another processor ({baseline['processor']}): some ratios differ by the machine.")
    slower_now = tell(compare(plan(), build, baseline["ratios"]), baseline["ratios"])
    if slower_now and load > BUSY:
        print(f"The machine was busy (load {load:.1f} a processor): that proves nothing; measure again when it is not.")
        return 2
    return int(slower_now)


if __name__ == "__main__":
    sys.exit(main())
