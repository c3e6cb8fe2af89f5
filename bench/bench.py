#!/usr/bin/env python3
"""Measures unisono beside its peers on this machine, writes the figures as JSON, prints them and draws them.

The first time it installs the peers into build-bench/. A peer that cannot be had is left out, and a line says so."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import choice
import jobs
import peers
import summary


def say(text):
    print(text, flush=True)


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def key_of(peer):
    """How the command line calls it."""
    return peer.name.lower().replace(" ", "")


def commit():
    """Of the sources, where they are a clone."""
    found = subprocess.run(["git", "-C", str(peers.ROOT), "describe", "--always", "--dirty", "--exclude=*"],
                           capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def prepare(names, build):
    """The peers that can take part."""
    ready = []
    for peer in peers.PEERS:
        if names and key_of(peer) not in names:
            continue
        new = peer.packages and not peers.is_installed(peer.home, peer.packages)
        say(f"-- {peer.name}: {'installing and ' if new else ''}building")
        try:
            peers.prepare(peer, build)
            ready.append(peer)
        except peers.Missing as reason:
            say(f"   left out: {reason}")
    return ready


def measure(todo, build, minutes, records):
    """Runs the jobs and adds to the records. Where some take longer than planned, less is left for the others."""
    start = time.monotonic()
    say(f"\n{len(todo)} jobs, about {minutes:g} minutes")
    for i, job in enumerate(todo):
        passed = time.monotonic() - start
        say(f"[{i + 1:2}/{len(todo)} {passed:4.0f} s] {job.title}")
        found, complaint = jobs.run(job, build, jobs.seconds_a_point(todo[i:], 60 * minutes - passed))
        records += found
        if complaint:
            say(f"   {complaint}; {len(found)} of its sizes were measured")


def draw(results, directory):
    """matplotlib lives in the bench's environment, so another Python draws."""
    try:
        peers.install(peers.DRIVER, ("matplotlib",), pip=True)
    except peers.Missing as reason:
        return say(f"no charts: {reason}")
    directory.mkdir(parents=True, exist_ok=True)
    program = peers.ROOT / "bench/charts.py"
    subprocess.run([str(peers.DRIVER / "bin/python"), str(program), str(results), str(directory)], check=True)
    return say(f"charts: {directory}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build"), help="where unisono was built (default: build)")
    parser.add_argument("--minutes", type=float, default=10, help="how long to measure, about (default: 10)")
    parser.add_argument("--quick", action="store_true", help="2 minutes, up to 16 MiB")
    parser.add_argument("--peers", help="only these: " + ",".join(key_of(p) for p in peers.PEERS))
    parser.add_argument("--json", type=Path, default=peers.FOLDER / "results.json", help="the figures")
    parser.add_argument("--charts", type=Path, default=peers.FOLDER / "charts", help="the folder of the charts")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    build = options.build.resolve()
    if not (build / "libunisono.so").exists():
        sys.exit(f"bench: no library in {options.build}; type make first")
    ready = prepare(options.peers.split(",") if options.peers else None, build)
    if not ready:
        sys.exit("bench: no peer can take part")
    todo = jobs.plan(ready, (16 if options.quick else 64) * jobs.MI)
    records, choices = [], []
    try:
        measure(todo, build, 2 if options.quick else options.minutes, records)
        if not options.quick:
            choices = choice.compare(build, say)
    except KeyboardInterrupt:
        say("interrupted: what was measured so far counts")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({
        "processor": processor(), "processors": len(os.sched_getaffinity(0)), "date": time.strftime("%Y-%m-%d"),
        "commit": commit(), "versions": {peer.name: peer.version for peer in ready}, "records": records,
        "choice": choices}, indent=1) + "\n")
    summary.print_tables(json.loads(options.json.read_text()))
    say(f"\nfigures: {options.json}")
    draw(options.json, options.charts)


if __name__ == "__main__":
    main()
