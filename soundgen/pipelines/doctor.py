"""What soundgen finds on this machine, and whether that is enough to make a sound."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, shipped_models
from soundgen.errors import CheckpointError
from soundgen.progress import Progress, SilentProgress
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import text_encoder_status

# Formats that soundfile's own library reads and writes; DESIGN promises each of them.
_FORMATS = {"WAV": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: What, in a word or two.
        ok: It is there and works.
        required: Without it no sound can be made from a prompt.
        detail: What was found, or what is wrong.
        hint: What to do about it; empty where nothing needs doing.
    """

    name: str
    ok: bool
    required: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything that was looked for, in order.

    Attributes:
        ok: All that is required is there.
        findings: One an item.
    """

    ok: bool
    findings: tuple[Finding, ...]


def examine(*, progress: Progress = SilentProgress()) -> DoctorReport:
    """Look for everything that soundgen uses, and check the shipped models' digests.

    Args:
        progress: Told of each item as it is looked at.
    """
    progress.start("looking", None)
    findings = []
    for finding in _findings():
        findings.append(finding)
        progress.advance()
    progress.finish()
    ok = all(finding.ok for finding in findings if finding.required)
    return DoctorReport(ok, tuple(findings))


def _findings() -> Iterator[Finding]:
    yield Finding("soundgen", True, True, _version("soundgen"))
    yield Finding("python", True, True, f"{platform.python_version()}, {platform.platform()}")
    yield from _torch()
    yield _ffmpeg()
    yield _sound_formats()
    yield from _models()
    yield _text_encoder()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        yield Finding("torch", False, True, f"cannot be imported ({error})", "pip install soundgen")
        return
    yield Finding("torch", True, True, torch.__version__)
    from soundgen.training.device import resolve_device

    device = str(resolve_device("auto"))
    if device == "cuda":
        device += f": {torch.cuda.get_device_name()}"
    elif torch.backends.mps.is_available():
        device += "; mps if asked for"
    yield Finding("device", True, False, f"auto is {device}")
    yield Finding("threads", True, False, f"{torch.get_num_threads()} of {os.cpu_count()} cores")


def _ffmpeg() -> Finding:
    path = shutil.which("ffmpeg")
    if path is None:
        return Finding(
            "ffmpeg",
            False,
            False,
            "not found; m4a, aac, wma and video files cannot be read",
            "install ffmpeg with the system's package manager",
        )
    try:
        shown = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("ffmpeg", False, False, f"{path} does not run ({error})")
    first = shown.stdout.partition("\n")[0]
    return Finding("ffmpeg", shown.returncode == 0, False, f"{first or 'no answer'} ({path})")


def _sound_formats() -> Finding:
    import soundfile

    there = soundfile.available_formats()
    names = [name for key, name in _FORMATS.items() if key in there]
    if "OGG" in there and "OPUS" in soundfile.available_subtypes("OGG"):
        names.append("opus")
    missing = sorted({*_FORMATS.values(), "opus"} - set(names))
    detail = f"{', '.join(names)} (libsndfile {soundfile.__libsndfile_version__})"
    if missing:
        detail += f"; missing: {', '.join(missing)}"
    return Finding("sound formats", not missing, False, detail)


def _models() -> Iterator[Finding]:
    models = shipped_models()
    if DEFAULT_MODEL not in [model.name for model in models]:
        yield Finding(
            f"model {DEFAULT_MODEL}",
            False,
            True,
            "not in this installation",
            "train one, and name its folder with --model",
        )
    for model in models:
        yield _model(model)


def _model(model: ModelFolder) -> Finding:
    name = f"model {model.name}"
    required = model.name == DEFAULT_MODEL
    try:
        model.verify()
    except CheckpointError as error:
        return Finding(name, False, required, error.message, "install soundgen again")
    return Finding(name, True, required, f"whole; digest {model.model_digest}")


def _text_encoder() -> Finding:
    status = text_encoder_status(TextEncoderConfig())
    if not status.ready:
        return Finding("text encoder", False, True, status.problem, status.hint)
    detail = f"{status.name} in {status.source}; sha256 {status.digest}"
    return Finding("text encoder", True, True, detail)
