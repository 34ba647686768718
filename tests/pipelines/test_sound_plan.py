"""From rows to files: seeds, settings, names, and what is refused before a model is looked for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from soundgen.audio.finish import FinishSettings
from soundgen.errors import InputError, UsageError
from soundgen.pipelines.sound_names import NameTemplate
from soundgen.pipelines.sound_plan import SoundPlan
from soundgen.pipelines.sound_request import MAX_SEED, GenerateSettings, SoundRequest
from soundgen.pipelines.sound_source import SoundSource
from soundgen.pipelines.sound_table import SoundRow

PATTERN = SoundRequest(prompt="", seed=0, output=Path(), settings=GenerateSettings(duration_s=2.0))


def row(prompt: str, line: int = 1, **said: object) -> SoundRow:
    return SoundRow(prompt=prompt, where=f"t.csv: line {line}", **said)  # type: ignore[arg-type]


def test_rows_say_otherwise_than_the_command_line() -> None:
    rows = [
        row("rain", variations=2),
        row("hum", seed=100, best_of=3, settings={"duration_s": None, "top_k": 7}),
        row("bell", output="a/bell_{variation}.flac"),
    ]
    plan = SoundPlan(rows=rows, pattern=PATTERN, variations=2, folder=Path("out"), plot=True)
    assert plan.num_sounds == 6
    requests = plan.requests(5)
    assert [(str(one.output), one.seed) for one in requests] == [
        ("out/rain_5.wav", 5),
        ("out/rain_6.wav", 6),
        ("out/hum_100.wav", 100),
        ("out/hum_103.wav", 103),
        ("out/a/bell_1.flac", 7),
        ("out/a/bell_2.flac", 8),
    ]
    assert [(one.row, one.variation) for one in requests[2:5]] == [(2, 1), (2, 2), (3, 1)]
    assert requests[0].settings == GenerateSettings(duration_s=2.0)
    assert requests[2].settings == GenerateSettings(top_k=7)
    assert requests[2].best_of == 3 and list(requests[3].candidates) == [103, 104, 105]
    assert requests[4].plot == Path("out/a/bell_1.png")


def test_one_sound_is_named_after_its_prompt_and_a_template_names_all() -> None:
    one = SoundPlan(rows=[row("Soft rain")], pattern=PATTERN, suffix=".mp3")
    assert [str(request.output) for request in one.requests(1)] == ["soft-rain.mp3"]
    named = SoundPlan(
        rows=[row("rain"), row("hum")],
        pattern=PATTERN,
        name=NameTemplate("{row:02d}_{duration}s_{prompt}"),
    )
    assert [str(request.output) for request in named.requests(1)] == [
        "01_2s_rain.wav",
        "02_2s_hum.wav",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", output="a.doc")], "output: a.doc: no sound format has the suffix '.doc'"),
        ([row("a", output="a")], "no sound format has the suffix ''"),
        ([row("a", output="../a.wav")], "output ../a: '..' is no name"),
        ([row("a", output="/a.wav")], "output /a: '' is no name"),
        ([row("a", output="{x}.wav")], "output {x}: unknown field 'x'"),
        ([row("a", output="a.wav", variations=2)], "a.wav: two of the sounds would have this"),
        ([row("a", seed=MAX_SEED, variations=2)], f"seed {MAX_SEED}: too large for so many"),
        ([row("a", settings={"duration_s": 0.5})], "longer than the sound of 0.5 s"),
    ],
)
def test_what_a_row_cannot_have_is_said_with_its_line(rows: list[SoundRow], message: str) -> None:
    pattern = SoundRequest(
        prompt="",
        seed=0,
        output=Path(),
        settings=GenerateSettings(),
        finish=FinishSettings(fade_in_s=0.6),
    )
    with pytest.raises(InputError) as caught:
        SoundPlan(rows=rows, pattern=pattern).requests(1)
    assert caught.value.message.startswith("t.csv: line 1: ")
    assert message in caught.value.message


def test_names_that_collide_on_some_file_system_name_both_lines() -> None:
    rows = [row("a", 2, output="Rain.wav"), row("b", 3, output="rain.WAV")]
    with pytest.raises(InputError, match=r"line 3: rain\.WAV: two of .* \(t\.csv: line 2\)"):
        SoundPlan(rows=rows, pattern=PATTERN).requests(1)
    # Their pictures would.
    rows = [row("a", 2, output="rain.wav"), row("b", 3, output="rain.flac")]
    SoundPlan(rows=rows, pattern=PATTERN).requests(1)
    with pytest.raises(InputError, match=r"line 3: rain\.png: two of"):
        SoundPlan(rows=rows, pattern=PATTERN, plot=True).requests(1)
    prompts = [SoundRow(prompt="a b"), SoundRow(prompt="a-b!")]
    with pytest.raises(UsageError, match=r"^a-b\.wav: two of the sounds would have this name$"):
        SoundPlan(rows=prompts, pattern=PATTERN, name=NameTemplate("{prompt}")).requests(1)


def test_rows_go_on_from_files_of_their_own(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    long, short, text = tmp_path / "long.wav", tmp_path / "short.wav", tmp_path / "text.wav"
    soundfile.write(long, np.zeros(8000), 16_000)
    soundfile.write(short, np.zeros(800), 16_000)
    text.write_text("no sound")
    common = SoundSource(path=str(long), use="vary", strength=0.3)
    pattern = replace(PATTERN, settings=GenerateSettings(source=common))
    rows = [
        row("a"),
        row("b", source={"strength": 0.9}),
        row("c", source={"continue": str(long), "context_s": 2.0}),
    ]
    sources = [
        request.settings.source for request in SoundPlan(rows=rows, pattern=pattern).requests(1)
    ]
    assert sources == [
        common,
        SoundSource(path=str(long), use="vary", strength=0.9),
        SoundSource(path=str(long), use="continue", context_s=2.0),
    ]
    refused = {
        "exclude each other": {"continue": str(long), "vary": str(long)},
        "need a file to go on from": {"strength": 0.5},
        "strength is for variation_of": {"continue": str(long), "strength": 0.5},
        "0.05 s; a sound to continue has 0.1 to 3600 s": {"continue": str(short)},
        "text.wav: not an audio file": {"continue": str(text)},
    }
    for message, source in refused.items():
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            SoundPlan(rows=[row("a", 7, source=source)], pattern=PATTERN).requests(1)
        assert caught.value.message.startswith("t.csv: line 7: ")
