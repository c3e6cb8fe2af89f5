#!/usr/bin/env python3
"""Did anything become slower? Measures a few sizes, in less than a minute, and compares them with baseline.json.

What is compared are ratios to what the machine itself can do, measured in turn with it: small calls to one exchange of
a flag, larger ones to memcpy of the same bytes. They depend on whether the processors share a cache, which changes on
virtual machines: the baseline has a set of ratios for each time of an exchange that was seen. What looks slower is
measured again, up to twice; only what is slower every time is reported. Exit status 1 then; 2 where other programs
leave too little of the machine to tell."""

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
SAVED_RUNS = 5
ALIKE = 2  # times of an exchange whose ratio is less are of one state of the machine
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


def run(job, build):
    records, complaint = jobs.run(job, build, SECONDS)
    if complaint:
        sys.exit(f"bench-quick: {job.title} {complaint}")
    return records


def exchange_time(build):
    """Of two ranks, in µs."""
    return run(jobs.Job(peers.NOBODY, peers.Variant(), 2, ("all_reduce",), (8,)), build)[0]["us_p10"]["flag"]


def alike(exchange, other):
    return exchange == other or (other and 1 / ALIKE < exchange / other < ALIKE)


def nearest(states, exchange):
    """The one of these times that is alike; None: there is none."""
    return min((state for state in states if alike(state, exchange)),
               key=lambda state: max(state, exchange) / min(state, exchange) if exchange else 0, default=None)


def measure(job, build):
    """The time of an exchange, 0 where ranks share processors and it is the scheduler's, and the ratios: of a run in
    which the machine seems to have stayed as it was."""
    is_crowded = job.ranks > len(os.sched_getaffinity(0))
    for _ in range(ATTEMPTS):
        before = 0 if is_crowded else exchange_time(build)
        records = run(job, build)
        if is_crowded or alike(before, exchange_time(build)):
            break
    return before, {what: ratio for record in records for what, ratio in ratios(record).items()}


def save(todo, build):
    """Of a state that is not met now the old ratios stay."""
    old = json.loads(BASELINE.read_text())
    states = {state["exchange"]: state["ratios"] for state in old["states"]} if old["processor"] == processor() else {}
    found = {}
    for job in todo * SAVED_RUNS:
        exchange, some = measure(job, build)
        state = nearest(states, exchange)
        if state is None:
            state = round(exchange, 3)
            states[state] = {}
        for what, ratio in some.items():
            found.setdefault((state, what), []).append(ratio)
    for (state, what), several in found.items():
        states[state][what] = round(statistics.median(several), 3)
    BASELINE.write_text(json.dumps({"processor": processor(), "processors": len(os.sched_getaffinity(0)), "states": [
        {"exchange": state, "ratios": states[state]} for state in sorted(states)]}, indent=1) + "\n")
    print(f"written: {BASELINE}")


def tolerance(what):
    return TOLERANCE if ", 2 ranks," in what else CROWDED_TOLERANCE


def slower(found, baseline):
    return [key for key, ratio in found.items() if key in baseline and ratio > tolerance(key[1]) * baseline[key]]


def compare(todo, build, baseline):
    """The best ratio of each: {(time of an exchange, what): ratio}."""
    best = {}
    for job in todo:
        for attempt in range(ATTEMPTS):
            exchange, found = measure(job, build)
            state = nearest({state for state, what in baseline}, exchange)
            found = {(state, what): ratio for what, ratio in found.items()}
            best.update({key: min(ratio, best.get(key, ratio)) for key, ratio in found.items()})
            bad = slower({key: best[key] for key in found}, baseline)
            print(f"{job.title}: {len(found)} ratios" + (f", {len(bad)} look slower" if bad else ""), flush=True)
            if not bad:
                break
    return best


def tell(best, baseline):
    bad = slower(best, baseline)
    for key, ratio in best.items():
        if key not in baseline:
            print(f"new     {key[1]}: {ratio:.2f}")
        elif ratio * tolerance(key[1]) < baseline[key]:
            print(f"faster  {key[1]}: {ratio:.2f}, was {baseline[key]:.2f}")
    for key in bad:
        print(f"SLOWER  {key[1]}: {best[key]:.2f}, was {baseline[key]:.2f} (an exchange took {key[0]} µs)")
    unknown = sum(key not in baseline for key in best)
    print(f"{len(best)} ratios, {len(bad)} slower than the baseline" +
          (f"; {unknown} have none: --save adds this state of the machine" if unknown else ""))
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
    saved, load = json.loads(BASELINE.read_text()), others_run()
    if saved["processor"] != processor():
        print(f"The baseline is of another processor ({saved['processor']}): some ratios differ by the machine.")
    baseline = {(state["exchange"], what): ratio
                for state in saved["states"] for what, ratio in state["ratios"].items()}
    slower_now = tell(compare(plan(), build, baseline), baseline)
    if slower_now and load > BUSY:
        print(f"The machine was busy (load {load:.1f} a processor): that proves nothing; measure again when it is not.")
        return 2
    return int(slower_now)


if __name__ == "__main__":
    sys.exit(main())
