"""Ranks for a test: fresh processes that call one function of the test's module and hand back what it returns."""

import importlib.util
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

LIMIT = 90  # seconds for all ranks together


def free_port():
    """One whose successor is free too: UNISONO_PORT is MASTER_PORT + 1."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return first.getsockname()[1]


def environment(rank, n, port):
    return {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(n), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(n),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parent)}


class RankFailed(Exception):
    """A rank raised or died; the text is what all of them printed."""


def _wait(processes, limit):
    deadline = time.monotonic() + limit
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
    return all(p.returncode is not None for p in processes)


def _end(processes):
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(n, function, *arguments, directory, dies=(), limit=LIMIT, env=None):
    """What function(*arguments) returned on ranks 0 to n-1. Ranks in `dies` are meant to die: theirs is None."""
    file, port = sys.modules[function.__module__].__file__, free_port()
    call = directory / f"call-{port}"
    call.write_bytes(pickle.dumps((file, function.__name__, arguments)))
    results = [directory / f"result-{port}-{rank}" for rank in range(n)]
    logs = [open(directory / f"log-{port}-{rank}", "w+") for rank in range(n)]
    processes = [subprocess.Popen([sys.executable, __file__, str(call), str(results[rank])], stdin=subprocess.DEVNULL,
                                  stdout=logs[rank], stderr=subprocess.STDOUT, start_new_session=True,
                                  env={**environment(rank, n, port), **(env or {})}) for rank in range(n)]
    try:
        ended = _wait(processes, limit)
    finally:
        _end(processes)
    text = ""
    for rank, log in enumerate(logs):
        log.seek(0)
        text += f"--- rank {rank}, status {processes[rank].returncode}\n{log.read()[-6000:]}\n"
        log.close()
    if not ended:
        raise RankFailed(f"not done within {limit} s\n{text}")
    if any(p.returncode and rank not in dies for rank, p in enumerate(processes)):
        raise RankFailed(text)
    return [None if rank in dies else pickle.loads(results[rank].read_bytes()) for rank in range(n)]


def main():
    call, result = map(Path, sys.argv[1:])
    file, name, arguments = pickle.loads(call.read_bytes())
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    result.write_bytes(pickle.dumps(getattr(module, name)(*arguments)))
    if "EXIT_AT_ONCE" in os.environ:
        os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # peers learn of it at once, and no exit handler waits for them
