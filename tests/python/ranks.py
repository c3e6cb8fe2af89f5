"""Ranks for a test: processes that call one function of the test's module and hand back what it returns."""

import importlib.util
import os
import pickle
import signal
import socket
import subprocess
import sys
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


def environment(n, port):
    """What all ranks have in common."""
    return {**os.environ, "WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}


class RankFailed(Exception):
    """A rank raised or died; the text is what all of them printed."""


def _end(process):
    """With all ranks, which are in its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(n, function, *arguments, directory, dies=(), limit=LIMIT, env=None):
    """What function(*arguments) returned on ranks 0 to n-1. Ranks in `dies` are meant to die: theirs is None."""
    file, port = sys.modules[function.__module__].__file__, free_port()
    base = directory / f"ranks-{port}"
    base.mkdir()
    (base / "call").write_bytes(pickle.dumps((file, function.__name__, arguments)))
    process = subprocess.Popen([sys.executable, __file__, str(base), str(n)], stdin=subprocess.DEVNULL,
                               start_new_session=True, env={**environment(n, port), **(env or {})})
    try:
        process.wait(limit)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    finally:
        _end(process)
    statuses = [int(s.read_text()) if s.exists() else None for s in (base / f"status-{r}" for r in range(n))]
    text = "".join(f"--- rank {rank}, status {statuses[rank]}\n{log.read_text()[-6000:] if log.exists() else ''}\n"
                   for rank, log in enumerate(base / f"log-{r}" for r in range(n)))
    if not ended:
        raise RankFailed(f"not done within {limit} s\n{text}")
    if any(status != 0 and rank not in dies for rank, status in enumerate(statuses)):
        raise RankFailed(text)
    return [None if rank in dies else pickle.loads((base / f"result-{rank}").read_bytes()) for rank in range(n)]


# ---- in the process that becomes the ranks


def load(file):
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def start_rank(base, rank):
    """The new process's id; 0 in there, where what is printed goes to its log."""
    pid = os.fork()
    if pid == 0:
        log = os.open(base / f"log-{rank}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    return pid


def wait_for(base, pids):
    for rank in range(len(pids)):
        pid, status = os.wait()
        (base / f"status-{pids.index(pid)}").write_text(str(os.waitstatus_to_exitcode(status)))


def main():
    base, n = Path(sys.argv[1]), int(sys.argv[2])
    file, name, arguments = pickle.loads((base / "call").read_bytes())
    module = load(file)  # once for all ranks: it takes seconds
    pids = []
    for rank in range(n):
        pids.append(start_rank(base, rank))
        if pids[-1] == 0:
            return be_rank(base, rank, getattr(module, name), arguments)
    return wait_for(base, pids)


def be_rank(base, rank, function, arguments):
    try:
        (base / f"result-{rank}").write_bytes(pickle.dumps(function(*arguments)))
        if "EXIT_AT_ONCE" in os.environ:
            os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # peers learn of it at once, and no exit handler waits for them


if __name__ == "__main__":
    main()
