"""Ranks for a test: processes that call one function of the test's module and hand back what it returns."""

import importlib.util
import os
import pickle
import select
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


def environment(n, port):
    """What all ranks have in common."""
    return {**os.environ, "WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}


class RankFailed(Exception):
    """A rank raised or died; the text is what all of them printed."""


def _end(group):
    """All processes of the group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Starter:
    """A process that has loaded a test's module, which takes seconds, and forks the ranks of one run after another."""

    def __init__(self, file):
        self.file = file
        self.process = subprocess.Popen([sys.executable, __file__, file], stdin=subprocess.PIPE, bufsize=0,
                                        stdout=subprocess.PIPE, start_new_session=True, env=environment(0, 0))

    def hear(self, deadline):
        """Its next line; empty: it has ended, or says nothing in time."""
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
        return self.process.stdout.readline() if ready else b""

    def run(self, base, n, port, limit):
        """True: the ranks have ended within the limit."""
        deadline = time.monotonic() + limit
        self.process.stdin.write(f"{n} {port} {base}\n".encode())
        group = self.hear(deadline)
        ended = group and self.hear(deadline)
        if group and not ended:
            _end(int(group))
        if not ended:
            self.close()
        return bool(ended)

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.file = None


_starter = None  # for the module that was used last


def _run_loaded(file, base, n, port, limit):
    global _starter
    if not _starter or _starter.file != file:
        if _starter and _starter.file:
            _starter.close()
        _starter = Starter(file)
    return _starter.run(base, n, port, limit)


def _run_anew(base, n, port, limit, env):
    process = subprocess.Popen([sys.executable, __file__, str(base), str(n)], stdin=subprocess.DEVNULL,
                               start_new_session=True, env={**environment(n, port), **env})
    try:
        process.wait(limit)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        _end(process.pid)
        process.wait()


def run(n, function, *arguments, directory, dies=(), limit=LIMIT, env=None, exit_at_once=False):
    """What function(*arguments) returned on ranks 0 to n-1. Ranks in `dies` are meant to die: theirs is None. With
    settings in `env` the ranks import everything anew, under these. `exit_at_once`: without the exit handlers."""
    file, port = sys.modules[function.__module__].__file__, free_port()
    base = directory / f"ranks-{port}"
    base.mkdir()
    (base / "call").write_bytes(pickle.dumps((function.__name__, arguments, exit_at_once)))
    (base / "file").write_text(file)
    ended = _run_anew(base, n, port, limit, env) if env else _run_loaded(file, base, n, port, limit)
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


def be_ranks(module, base, n):
    name, arguments, exit_at_once = pickle.loads((base / "call").read_bytes())
    pids = []
    for rank in range(n):
        pids.append(start_rank(base, rank))
        if pids[-1] == 0:
            return be_rank(base, rank, getattr(module, name), arguments, exit_at_once)
    return wait_for(base, pids)


def be_rank(base, rank, function, arguments, exit_at_once):
    try:
        (base / f"result-{rank}").write_bytes(pickle.dumps(function(*arguments)))
        if exit_at_once:
            os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # peers learn of it at once, and no exit handler waits for them


def be_starter(module):
    """Says the ranks' process group, and when they have ended."""
    for line in sys.stdin:
        n, port, base = line.rstrip("\n").split(" ", 2)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.environ.update(environment(int(n), port))
            return be_ranks(module, Path(base), int(n))
        print(pid, flush=True)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _end(pid)  # ranks that are left
        os.waitpid(pid, 0)
        print("done", flush=True)


def main():
    if len(sys.argv) == 2:
        return be_starter(load(sys.argv[1]))
    base = Path(sys.argv[1])
    return be_ranks(load((base / "file").read_text()), base, int(sys.argv[2]))


if __name__ == "__main__":
    main()
