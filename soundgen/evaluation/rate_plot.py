"""The rate-distortion plot of `eval codec`."""

from __future__ import annotations

from pathlib import Path

from soundgen.audio.plot import check_plotting
from soundgen.errors import UsageError
from soundgen.evaluation.codec_report import CodecReport
from soundgen.files import atomic_path

SUFFIXES = (".png", ".svg", ".pdf")
_MEASURES = (
    ("mel_distance", "multi-scale log-mel distance"),
    ("log_spectral_distance_db", "log-spectral distance, dB"),
)
_COLOURS = {"soundgen": "#d1495b", "opus": "#30638e"}


def check_plot(path: Path) -> None:
    """Refuse a plot that could not be drawn, before anything is measured.

    Raises:
        UsageError: matplotlib is not installed, or the suffix is unknown.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path}: must end in {', '.join(SUFFIXES)}")
    check_plotting()


def draw_rates(report: CodecReport, path: Path) -> None:
    """Draw both distances over the real rate: solid over all clips, dashed over tonal ones.

    Raises:
        OutputError: `path` cannot be written.
    """
    # Not pyplot: that would look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    for axes, (measure, title) in zip(panels, _MEASURES, strict=True):
        for codec, colour in _COLOURS.items():
            points = [point for point in report.points if point.codec == codec]
            for group, line in (("overall", "o-"), ("tonal", "s--")):
                found = [getattr(point, group) for point in points if getattr(point, group)]
                if found:
                    axes.plot(
                        [one.kbps for one in found],
                        [getattr(one, measure) for one in found],
                        line,
                        color=colour,
                        label=f"{codec}, {'all clips' if group == 'overall' else 'tonal clips'}",
                    )
        axes.set_xlabel("kbit/s of the files")
        axes.set_ylabel(title)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(f"{report.model}, {report.split}: {report.num_clips} clips")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
