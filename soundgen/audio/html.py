"""A sound in a web page, all in one piece of HTML: player and picture, as notebooks show it."""

from __future__ import annotations

import base64
import html
import io

import soundfile

from soundgen.audio.loudness import below_clipping
from soundgen.audio.plot import can_plot, sound_png
from soundgen.audio.waveform import Waveform

_PICTURE_WIDTH = 650


def sound_html(waveform: Waveform, title: str, about: str, *, is_loop: bool = False) -> str:
    """Return HTML that plays a sound, and shows it where matplotlib is installed.

    Args:
        waveform: `[C, T]`.
        title: One line above it, any text.
        about: Likewise, behind the title.
        is_loop: Play it again and again.
    """
    repeat = " loop" if is_loop else ""
    parts = [
        f"<div><b>{html.escape(title)}</b> {html.escape(about)}</div>",
        f'<audio controls{repeat} src="{_data_uri("audio/wav", _wav(waveform))}"></audio>',
    ]
    if waveform.num_samples and can_plot():
        picture = _data_uri("image/png", sound_png(waveform, ""))
        text = html.escape(f"waveform and spectrogram: {title}", quote=True)
        parts.append(f'<div><img width="{_PICTURE_WIDTH}" alt="{text}" src="{picture}"></div>')
    return "\n".join(parts)


def _wav(waveform: Waveform) -> bytes:
    file = io.BytesIO()
    samples = below_clipping(waveform).samples.T
    soundfile.write(file, samples, waveform.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
