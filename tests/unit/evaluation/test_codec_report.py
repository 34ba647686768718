"""Means weighted by seconds, over all clips, tonal ones and each category."""

from __future__ import annotations

import pytest

from soundgen.evaluation.codec_report import ClipMeasure, RateTally


def clip(category: str, duration_s: float, value: float, size_bytes: int) -> ClipMeasure:
    return ClipMeasure(
        category=category,
        duration_s=duration_s,
        size_bytes=size_bytes,
        mel_distance=value,
        log_spectral_distance_db=10 * value,
        si_sdr_db=-value,
    )


def test_seconds_weigh() -> None:
    tally = RateTally(codec="soundgen", n_q=2, nominal_kbps=1.0)
    tally.clips += [clip("rain", 3.0, 1.0, 300), clip("bell", 1.0, 2.0, 200)]
    tally.clips += [clip("piano", 4.0, 0.5, 500)]
    point = tally.point()
    assert point.label == "n_q 2"
    overall = point.overall
    assert (overall.num_clips, overall.seconds) == (3, 8.0)
    assert overall.mel_distance == pytest.approx((3 + 2 + 2) / 8)
    assert overall.log_spectral_distance_db == pytest.approx(70 / 8)
    assert overall.si_sdr_db == pytest.approx(-7 / 8)
    assert overall.kbps == pytest.approx(1000 * 8 / 1000 / 8)
    assert point.tonal is not None
    assert (point.tonal.num_clips, point.tonal.seconds) == (2, 5.0)
    assert point.tonal.mel_distance == pytest.approx(4 / 5)
    assert list(point.categories) == ["bell", "piano", "rain"]
    assert point.categories["rain"].kbps == pytest.approx(0.8)


def test_without_tonal_clips_there_is_no_tonal_figure() -> None:
    tally = RateTally(codec="opus", n_q=None, nominal_kbps=6)
    tally.clips.append(clip("rain", 1.0, 1.0, 1))
    assert tally.point().tonal is None
    assert tally.point().label == "opus 6"
