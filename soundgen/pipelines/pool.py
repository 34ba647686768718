"""Work spread over processes that a crash, a kill or Ctrl-C cannot leave in a mess."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def default_jobs() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    function: Callable[[J], R], jobs: Sequence[J], num_processes: int
) -> Generator[tuple[J, R | None]]:
    """Run `function` on each job in other processes and yield (job, result) as they come.

    A job whose process dies (a decoder that crashes, the kernel's out-of-memory killer) is tried
    once more on its own; dying again gives the result `None`. What `function` raises is raised
    here. When this process ends in any way, SIGKILL included, the others end too.

    Args:
        function: A function of a module, so that a new interpreter can import it.
        jobs: Arguments, one a call; they and the results travel between processes.
        num_processes: How many to use; no more than there are jobs.
    """
    pending = deque(jobs)
    num_processes = max(1, min(num_processes, len(jobs)))
    while pending:
        suspects: list[J] = []
        with _pool(num_processes) as pool:
            running: dict[Future[R], J] = {}
            while pending or running:
                # A short queue keeps workers busy, and few jobs under suspicion after a crash.
                while pending and len(running) < 2 * num_processes and not suspects:
                    job = pending.popleft()
                    try:
                        running[pool.submit(function, job)] = job
                    except BrokenProcessPool:
                        suspects.append(job)
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    try:
                        yield job, future.result()
                    except BrokenProcessPool:
                        suspects.append(job)
        for job in suspects:
            yield job, _run_alone(function, job)


def _run_alone(function: Callable[[J], R], job: J) -> R | None:
    with _pool(1) as pool:
        try:
            return pool.submit(function, job).result()
        except BrokenProcessPool:
            return None


class _pool:  # noqa: N801
    """A process pool that is killed when its block is left by an exception."""

    def __init__(self, num_processes: int) -> None:
        # Not fork: this process may have threads (a progress bar, PyTorch) that hold locks.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(num_processes, context, _start_worker)

    def __enter__(self) -> ProcessPoolExecutor:
        return self._pool

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            # There is no public way before Python 3.14. Waiting could take as long as the longest
            # file does; clips are written under other names first, so killing leaves no halves.
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    # libmpg123 writes its complaints about damaged files to stderr by itself; what matters comes
    # back as an error.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _end_with(sentinel: int) -> None:
    """Leave at once when the parent has gone; a worker would wait for its jobs for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
