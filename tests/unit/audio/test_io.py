"""Audio files in and out: every format, both directions, and what is refused in which words."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundgen.audio.io import (
    blocks_mono,
    conversion_notice,
    pcm_subtype,
    probe,
    read_audio,
    read_mono,
    write_audio,
)
from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError, OutputError, UsageError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def sweep(
    sample_rate: int = 16000, channels: int = 1, duration_s: float = 0.5
) -> NDArray[np.float32]:
    """Return `[C, T]`: a sweep, a little different in each channel."""
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    rows = [0.4 * np.sin(2 * np.pi * (300 + 50 * c + 800 * t) * t) for c in range(channels)]
    return np.stack(rows).astype(np.float32)


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_keeps_length_rate_and_sound(tmp_path: Path, suffix: str) -> None:
    samples = sweep(channels=2)
    path = tmp_path / f"a{suffix}"
    write_audio(path, Waveform(samples, 16000))
    back = read_audio(path)
    assert (back.sample_rate, back.samples.shape) == (16000, samples.shape)
    error = back.samples - samples
    # Lossless formats err by half a step, lossy ones by a few percent of the energy.
    limit = 1e-8 if suffix in (".wav", ".flac") else 0.05 * np.mean(samples**2)
    assert np.mean(error**2) < limit


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_come_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    tags = {
        "title": 'Regen auf "Blech" – 雨',
        # Longer than what libsndfile keeps of a comment in a WAV.
        "comment": json.dumps({"prompt": "räin", "seed": 7, "notes": "x" * 5000}),
        "software": "soundgen",
        "license": "CC0-1.0",
        "artist": "Zoë",
    }
    path = tmp_path / f"a{suffix}"
    write_audio(path, Waveform(sweep(), 16000), tags=tags)
    assert {name: probe(path).tags.get(name) for name in tags} == tags
    assert read_audio(path).num_samples == 8000


def test_a_wav_carries_its_tags_twice(tmp_path: Path) -> None:
    """As INFO and as ID3: some programs read only the one, some only the other."""
    from mutagen.wave import WAVE

    tags = {"title": "rain", "comment": '{"seed": 7}', "license": "CC0-1.0"}
    write_audio(tmp_path / "a.wav", Waveform(sweep(), 16000), tags=tags)
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert (file.title, file.comment) == ("rain", '{"seed": 7}')
    id3 = WAVE(tmp_path / "a.wav").tags
    assert id3["TIT2"].text == ["rain"] and id3["TXXX:license"].text == ["CC0-1.0"]
    assert [frame.text for frame in id3.getall("COMM")] == [['{"seed": 7}']]


@pytest.mark.parametrize(
    ("name", "bit_depth", "subtype"),
    [
        ("a.wav", None, None),
        ("a.mp3", None, None),
        ("a.wav", 16, "PCM_16"),
        ("a.WAV", 24, "PCM_24"),
        ("a.wav", 32, "PCM_32"),
        ("a.flac", 24, "PCM_24"),
    ],
)
def test_bit_depths(name: str, bit_depth: int | None, subtype: str | None) -> None:
    assert pcm_subtype(Path(name), bit_depth) == subtype


@pytest.mark.parametrize(
    ("name", "bit_depth", "hint"),
    [
        ("a.flac", 32, ".flac has 16 or 24"),
        ("a.mp3", 16, "only wav and flac have a bit depth"),
        ("a.ogg", 24, "only wav and flac have a bit depth"),
    ],
)
def test_bit_depths_that_a_format_has_not(name: str, bit_depth: int, hint: str) -> None:
    with pytest.raises(UsageError, match=f"has no bit depth of {bit_depth}") as caught:
        pcm_subtype(Path(name), bit_depth)
    assert caught.value.hint == hint


def test_a_file_without_tags_has_none(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac"):
        for tags in ({}, {"title": ""}):
            write_audio(tmp_path / f"a{suffix}", Waveform(sweep(), 16000), tags=tags)
            assert probe(tmp_path / f"a{suffix}").tags == {}


def test_an_unknown_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tag 'mood'"):
        write_audio(tmp_path / "a.wav", Waveform(sweep(), 16000), tags={"mood": "x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_what_was_read_is_written_again_bit_by_bit(tmp_path: Path, subtype: str) -> None:
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(first, sweep(channels=3).T, 22050, subtype=subtype)
    write_audio(second, read_audio(first), subtype=subtype)
    assert probe(second).subtype == subtype
    assert np.array_equal(read_audio(first).samples, read_audio(second).samples)


def test_16_bit_is_the_default_and_loud_samples_clip(tmp_path: Path) -> None:
    loud = np.array([[1.5, -1.5, 1.0, -1.0, 0.0]], dtype=np.float32)
    for suffix in (".wav", ".flac"):
        path = tmp_path / f"a{suffix}"
        write_audio(path, Waveform(loud, 16000))
        assert probe(path).subtype == "PCM_16"
        top = 32767 / 32768
        assert read_audio(path).samples[0].tolist() == [top, -1.0, top, -1.0, 0.0]


@pytest.mark.parametrize(
    ("sample_rate", "channels", "subtype"),
    [(8000, 1, "PCM_U8"), (44100, 2, "PCM_24"), (192000, 8, "PCM_16"), (11025, 6, "FLOAT"),
     (48000, 2, "PCM_32"), (16000, 1, "PCM_16")],
)  # fmt: skip
def test_any_rate_and_channel_count_becomes_mono_16k(
    tmp_path: Path, sample_rate: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sweep(sample_rate, channels).T, sample_rate, subtype=subtype)
    waveform, notice = read_mono(path, 16000)
    assert (waveform.channels, waveform.sample_rate) == (1, 16000)
    assert waveform.num_samples == pytest.approx(8000, abs=1)
    if (sample_rate, channels) == (16000, 1):
        assert notice == ""
    else:
        shown = "mono" if channels == 1 else f"{channels} channels"
        assert notice == f"{path}: {sample_rate} Hz, {shown} -> 16000 Hz mono"
    streamed = np.concatenate(list(blocks_mono(path, 16000, block_s=0.01)))
    assert np.array_equal(streamed, waveform.samples[0])


def test_the_tone_survives_the_resampling(tmp_path: Path) -> None:
    t = np.arange(48000) / 48000
    both = np.stack([np.sin(2 * np.pi * 1000 * t), np.sin(2 * np.pi * 9500 * t)], axis=1)
    soundfile.write(tmp_path / "a.wav", 0.5 * both, 48000, subtype="FLOAT")
    samples = read_mono(tmp_path / "a.wav", 16000)[0].samples[0, 1000:-1000]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hz = np.fft.rfftfreq(len(samples), 1 / 16000)
    assert hz[spectrum.argmax()] == pytest.approx(1000, abs=2)
    # 9.5 kHz lies above what 16 kHz can hold; it must not come back as 6.5 kHz.
    alias = spectrum[np.abs(hz - 6500) < 20].max()
    assert alias < 1e-5 * spectrum.max()


def test_blocks_of_a_stream_equal_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, sweep(44100, 2).T, 44100)
    whole = np.concatenate(list(blocks_mono(path, 16000)))
    with path.open("rb") as stream:
        assert np.array_equal(np.concatenate(list(blocks_mono(stream, 16000))), whole)


def test_an_empty_sound_is_no_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), 44100)
    waveform, _ = read_mono(tmp_path / "a.wav", 16000)
    assert waveform.samples.shape == (1, 0)
    assert list(blocks_mono(tmp_path / "a.wav", 16000)) == []


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sweep().T, 16000)
    for name in ("a.wav", "a.txt", "a", "a.mp3", "a.raw", "a.vox"):
        shutil.copy(tmp_path / "a.flac", tmp_path / "copy")
        os.replace(tmp_path / "copy", tmp_path / name)
        assert probe(tmp_path / name).format == "FLAC"
        assert read_audio(tmp_path / name).num_samples == 8000


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"b\xff\xfe.wav")
    write_audio(path, Waveform(sweep(), 16000))
    assert read_audio(path).num_samples == 8000


def _cut(path: Path, num_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:num_bytes])


def test_a_cut_off_file_is_refused_in_every_reader(tmp_path: Path) -> None:
    for suffix in (".wav", ".aiff", ".flac", ".mp3"):
        path = tmp_path / f"a{suffix}"
        soundfile.write(path, sweep().T, 16000)
        _cut(path, path.stat().st_size // 2)
        with pytest.raises(InputError, match=r"truncated|damaged"):
            read_audio(path)
        with pytest.raises(InputError, match=r"truncated|damaged"):
            list(blocks_mono(path, 16000))
    path = tmp_path / "b.wav"
    soundfile.write(path, sweep().T, 16000)
    _cut(path, path.stat().st_size - 1)
    with pytest.raises(InputError, match="truncated: 1 bytes fewer than its header promises"):
        probe(path)


def test_a_header_written_before_the_length_was_known(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sweep().T, 16000)
    data = bytearray(path.read_bytes())
    where = data.index(b"data") + 4
    for unknown in (0xFFFFFFFF, 0, 0x7FFFF000):
        data[where : where + 4] = struct.pack("<I", unknown)
        path.write_bytes(data)
        probe(path)  # not called truncated


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 20, "JPEG image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG image"),
        (b"%PDF-1.7\n", "PDF document"),
        (b"PK\x03\x04" + bytes(100), "ZIP archive"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(100), "not a WAV"),
        (b"just some words, no sound\n", r"not an audio file \(a text file\)"),
        (bytes(5000), "only zero bytes"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "damaged WAV"),
        (b"fLaC" + bytes(40), "damaged FLAC"),
        (b"OggS" + bytes(40), "damaged Ogg"),
        (b"ID3\x04" + bytes(40), "damaged MP3"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for read in (probe, read_audio, lambda p: list(blocks_mono(p, 16000))):
        with pytest.raises(InputError, match=words) as caught:
            read(path)
        assert caught.value.message.startswith(f"{path}: ")
        assert "\n" not in caught.value.message


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.wav")
    for name, words in (
        ("gone.wav", "No such file"),
        ("folder.wav", "is a folder"),
        ("link.wav", "does not exist"),
        ("pipe.wav", "a named pipe"),
    ):
        with pytest.raises(InputError, match=words):
            probe(tmp_path / name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    samples = sweep()
    samples[0, -1] = bad
    soundfile.write(tmp_path / "a.wav", samples.T, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="NaN or infinite"):
        read_audio(tmp_path / "a.wav")
    with pytest.raises(InputError, match="NaN or infinite"):
        write_audio(tmp_path / "b.wav", Waveform(samples, 16000))
    assert not (tmp_path / "b.wav").exists()


def test_an_impossible_rate_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep().T, 16000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = struct.pack("<I", 3)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match="impossible sample rate of 3 Hz"):
        probe(tmp_path / "a.wav")


def test_what_a_format_cannot_hold_is_a_usage_error(tmp_path: Path) -> None:
    for name, waveform, subtype in (
        ("a.xyz", Waveform(sweep(), 16000), None),
        ("a.opus", Waveform(sweep(), 44100), None),
        ("a.mp3", Waveform(sweep(channels=3), 16000), None),
        ("a.mp3", Waveform(sweep(), 96000), None),
        ("a.flac", Waveform(sweep(), 16000), "FLOAT"),
    ):
        with pytest.raises(UsageError):
            write_audio(tmp_path / name, waveform, subtype=subtype)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_audio(tmp_path / "no" / "a.wav", Waveform(sweep(), 16000))


def test_conversion_notice_names_what_was_changed() -> None:
    assert conversion_notice("a.wav", 16000, 1, 16000) == ""
    assert conversion_notice("a.wav", 8000, 1, 16000) == "a.wav: 8000 Hz, mono -> 16000 Hz mono"


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("suffix", [".m4a", ".wma", ".aac", ".mka", ".webm", ".avi"])
def test_what_soundfile_cannot_read_goes_through_ffmpeg(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, sweep(48000, 2, 2.0).T, 48000)
    path = tmp_path / f"a{suffix}"
    ffmpeg("-i", source, "-metadata", "title=Tür", path)
    info = probe(path)
    assert (info.sample_rate, info.channels) == (48000, 2)
    if suffix != ".aac":  # a bare stream has no tags
        assert info.tags["title"] == "Tür"
    waveform, notice = read_mono(path, 16000)
    assert waveform.duration_s == pytest.approx(2.0, abs=0.15)
    assert "48000 Hz, 2 channels" in notice
    assert np.abs(waveform.samples).max() == pytest.approx(0.4, abs=0.1)
    # The suffix does not matter, nor whether it is a file at all.
    shutil.copy(path, tmp_path / "b.wav")
    assert np.array_equal(read_audio(tmp_path / "b.wav").samples, read_audio(path).samples)


@pytest.mark.needs_ffmpeg
def test_the_sound_of_a_video_and_a_video_without(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, sweep().T, 16000)
    picture = ("-f", "lavfi", "-i", "testsrc=size=32x32:rate=5:duration=0.5")
    ffmpeg("-i", source, *picture, "-shortest", tmp_path / "with.mp4")
    ffmpeg(*picture, tmp_path / "without.mp4")
    assert read_audio(tmp_path / "with.mp4").duration_s == pytest.approx(0.5, abs=0.1)
    with pytest.raises(InputError, match="holds no sound track"):
        read_audio(tmp_path / "without.mp4")


@pytest.mark.needs_ffmpeg
def test_a_damaged_m4a_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep().T, 16000)
    ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.m4a")
    _cut(tmp_path / "a.m4a", 2000)
    with pytest.raises(InputError, match="ffmpeg"):
        read_audio(tmp_path / "a.m4a")


def test_without_ffmpeg_the_message_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00" + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs ffmpeg, which is not installed") as caught:
        read_audio(tmp_path / "a.m4a")
    assert "install ffmpeg" in caught.value.hint
