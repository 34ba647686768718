"""The options of `soundgen generate` that say what to hear, how to draw it, and where it goes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from soundgen.commands._completion import model_names
from soundgen.commands._sound_files import FORMATS, Format

# `soundgen.pipelines.sound_request` has these too, and NumPy, which --help must not wait for.
MIN_DURATION_S, MAX_DURATION_S, MAX_SEED = 0.1, 300.0, 2**63 - 1
DEFAULT_TEMPERATURE, DEFAULT_TOP_K, DEFAULT_TOP_P, DEFAULT_CFG_SCALE = 1.0, 50, 0.0, 4.0

_SOUND, _SAMPLING, _OUTPUT, _RUN = "The sound", "Sampling", "Output", "Running"

PromptsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PROMPT...", help="What to hear, in a few words."),
]
TableOption = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="Read prompts from a file instead: .txt has one a line; .csv (with a header) and "
        ".jsonl have a sound a row, with prompt and, where it differs from the options here, "
        "output (a name as in --name, with a suffix), duration, seed, n, negative_prompt, loop, "
        "temperature, top_k, top_p, cfg_scale, best_of, continue, seconds_of_context, "
        "variation_of, strength. - reads standard input.",
        rich_help_panel=_SOUND,
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="How files are called: text with {prompt}, {seed}, {row}, {variation} (both from 1), "
        "{duration}; {row:03d} pads; a / makes folders. Several are {prompt}_{seed} without it.",
        rich_help_panel=_OUTPUT,
    ),
]
DurationOption = Annotated[
    str,
    typer.Option(
        "-d",
        "--duration",
        metavar="SECONDS|auto",
        help=f"Length, {MIN_DURATION_S:g} to {MAX_DURATION_S:g} s; auto lets the model end "
        "the sound. With --continue, of what is added.",
        rich_help_panel=_SOUND,
    ),
]
VariationsOption = Annotated[
    int,
    typer.Option(
        "-n",
        "--variations",
        metavar="N",
        min=1,
        help="Sounds for each prompt; number k is made with seed + k.",
        rich_help_panel=_SOUND,
    ),
]
BestOfOption = Annotated[
    int,
    typer.Option(
        "--best-of",
        metavar="N",
        min=1,
        help="Make N candidates for each sound and keep the one that fits the prompt best, as "
        "the model's matcher hears it. It takes N times as long, and memory for sixteen. "
        "Variation k chooses among the N seeds from seed + k x N on; of several files each is "
        "named after its first candidate, and its tags hold the seed that was chosen.",
        rich_help_panel=_SOUND,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=MAX_SEED,
        help="Repeats a sound; drawn and shown if not given.",
        rich_help_panel=_SOUND,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Make the I-th of N parts of the sounds, each as it is without; with --seed.",
        rich_help_panel=_OUTPUT,
    ),
]
NegativePromptOption = Annotated[
    str,
    typer.Option(
        "--negative-prompt",
        metavar="TEXT",
        help="What not to hear.",
        rich_help_panel=_SOUND,
    ),
]
TemperatureOption = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="X",
        min=0.0,
        help="Above 1 wilder, below 1 tamer.",
        rich_help_panel=_SAMPLING,
    ),
]
TopKOption = Annotated[
    int,
    typer.Option(
        "--top-k",
        metavar="N",
        min=0,
        help="Draw from the k likeliest codes; 0: from all.",
        rich_help_panel=_SAMPLING,
    ),
]
TopPOption = Annotated[
    float,
    typer.Option(
        "--top-p",
        metavar="X",
        min=0.0,
        max=1.0,
        help="Draw from the likeliest codes that sum to p; 0: no such limit.",
        rich_help_panel=_SAMPLING,
    ),
]
CfgScaleOption = Annotated[
    float,
    typer.Option(
        "--cfg-scale",
        metavar="X",
        min=0.0,
        help="How closely to follow the prompt (guidance); 1: no guidance. A new sound longer than "
        "5 s is guided less: 4 counts as 3.",
        rich_help_panel=_SAMPLING,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        help="File format, where --output names none; wav otherwise.",
        rich_help_panel=_OUTPUT,
    ),
]
PlotOption = Annotated[
    bool,
    typer.Option(
        "--plot",
        help="Draw waveform and spectrogram beside each sound: rain.wav, rain.png.",
        rich_help_panel=_OUTPUT,
    ),
]
PlayOption = Annotated[
    bool,
    typer.Option("--play", help="Play each sound once it is written.", rich_help_panel=_OUTPUT),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        autocompletion=model_names,
        metavar="NAME|DIR|hf:OWNER/NAME",
        help="A shipped model, a model folder, or one on the hub.",
        rich_help_panel=_RUN,
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16", "int8"],
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16|int8",
        help="Of the language model's weights; bfloat16, and int8 on a processor, are faster where "
        "there are instructions for them, and give other sounds than float32 for a seed.",
        rich_help_panel=_RUN,
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="Where to write; the suffix picks the format. A folder for several sounds. "
        "Without it, a file here that is named after the prompt.",
        rich_help_panel=_OUTPUT,
    ),
]
LoopOption = Annotated[
    bool,
    typer.Option(
        "--loop",
        help="Make a seamless loop of exactly --duration: what follows its end is crossfaded over "
        "its beginning, and a sound whose seam would be heard is refused. A .wav gets loop points "
        "(smpl). Only .wav and .flac.",
        rich_help_panel=_SOUND,
    ),
]
