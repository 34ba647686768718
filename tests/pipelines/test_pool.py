"""Work in other processes: results, errors, and processes that die of their work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from soundgen.errors import InputError, OutputError
from soundgen.pipelines.convert import ConvertJob, convert_file
from soundgen.pipelines.model import use_threads
from soundgen.pipelines.pool import default_jobs, run_jobs


def test_results_come_with_their_jobs() -> None:
    jobs = list(range(-20, 20))
    assert dict(run_jobs(abs, jobs, 2)) == {job: abs(job) for job in jobs}
    assert list(run_jobs(abs, [], 2)) == []


def test_a_job_that_kills_its_process_costs_itself_only() -> None:
    # Killing its own process, as a crash in a decoder does; signal 0 does nothing.
    results = dict(run_jobs(signal.raise_signal, [0] * 0 + [signal.SIGKILL], 2))
    assert results == {signal.SIGKILL: None}
    jobs = ["/", "/usr", "/bin"]
    assert set(dict(run_jobs(os.path.isdir, jobs, 2)).values()) == {True}


def test_the_jobs_beside_a_crash_are_done() -> None:
    jobs = [0.0, 0.001, "crash", 0.002, 0.003, 0.004, 0.005, 0.006]
    results = dict(run_jobs(nap_or_crash, jobs, 2))
    assert results == {job: None if job == "crash" else job for job in jobs}


def nap_or_crash(job: float | str) -> float | str:
    if isinstance(job, str):
        os.kill(os.getpid(), signal.SIGSEGV)
    return job


def test_errors_of_jobs_are_raised_with_their_hints(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list(run_jobs(refuse, [1, 2, 3], 2))
    assert (caught.value.message, caught.value.hint) == ("no", "try yes")


def refuse(job: int) -> None:
    raise InputError("no", hint="try yes")


def test_a_disk_that_cannot_be_written_stops_the_work(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(8000) / 9), 16000)
    (tmp_path / "audio").write_text("a file where a folder should be")
    job = ConvertJob(
        source=tmp_path / "a.wav", name="a.wav", folder=tmp_path, stem="audio/a", trim=True,
        split_s=None,
    )  # fmt: skip
    with pytest.raises(OutputError, match="cannot be made"):
        convert_file(job)


def test_default_jobs() -> None:
    assert default_jobs() >= 1


def test_threads_are_as_many_as_said_in_the_call_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for said, threads, expected in (
        ("3", None, 3),
        ("3", 1, 1),
        ("", None, default_jobs()),
        ("0", None, default_jobs()),
        ("many", None, default_jobs()),
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        use_threads(threads)
        assert torch.get_num_threads() == expected
