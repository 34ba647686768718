"""Sounds through this machine's output device."""

from __future__ import annotations

from soundgen.audio.extras import require_extra
from soundgen.audio.waveform import Waveform
from soundgen.errors import DeviceError


def check_playing() -> None:
    """Refuse to play where sounddevice is missing, before anything is computed.

    Raises:
        UsageError: It is.
    """
    require_extra("play", "--play", "leave --play out")


def play(waveform: Waveform) -> None:
    """Play a sound to its end.

    Raises:
        DeviceError: There is no output device, or it does not take the sound.
    """
    try:
        import sounddevice
    except OSError as error:  # it looks for the system's PortAudio when it is imported
        raise DeviceError(
            f"not played: {error}", hint="install PortAudio (Debian: apt install libportaudio2)"
        ) from error
    try:
        sounddevice.play(waveform.samples.T, waveform.sample_rate, blocking=True)
    except sounddevice.PortAudioError as error:
        reason = str(error.args[0] if error.args else "").rstrip(".")
        raise DeviceError(
            f"not played: no usable output device ({reason})",
            hint="the file is written; leave --play out on machines without sound",
        ) from error
