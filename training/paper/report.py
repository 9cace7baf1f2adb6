"""The page of all experiments of the paper: our results, the paper's, and what is possible.

Gathers data.json and the figures of those that have run. Knows nothing of networks or data.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from training.errors import TrainingError
from training.paper import sequence_spotting_report, speech_study_report, temporal_mnist_report, two_sequence_report
from training.paper.sequence_spotting import SequenceSpottingResult
from training.paper.speech_study import StudyResult
from training.paper.temporal_mnist import TemporalMnistResult
from training.paper.two_sequence import TwoSequenceResult

HEADING = "## "
DATA = "data.json"
FIGURES = "figures"  # folder beside the page
Result = SequenceSpottingResult | TwoSequenceResult | TemporalMnistResult | StudyResult


class Experiment(NamedTuple):
    title: str
    result: type[Result]
    table: Callable[[Any], list[str]]


EXPERIMENTS = {  # by folder
    "sequence-spotting": Experiment(
        "Continuous sequence spotting, section 3.1", SequenceSpottingResult, sequence_spotting_report.paper_table
    ),
    "two-sequence": Experiment("2-sequence problem, section 3.2", TwoSequenceResult, two_sequence_report.paper_table),
    "temporal-mnist": Experiment("Temporal MNIST, section 3.3", TemporalMnistResult, temporal_mnist_report.paper_table),
    "speech-study": Experiment("Spoken keywords, section 3.4", StudyResult, speech_study_report.paper_table),
}


def gather(runs: Path, out: Path) -> Path:
    """Write README.md to `out` from the folders in `runs` that have the names of experiments; returns the page.

    Sections of experiments that are not in `runs` stay as they are on a page that exists.
    """
    available = [name for name in EXPERIMENTS if (runs / name / DATA).exists()]
    if not available:
        raise TrainingError(f"{runs}: expected NAME/{DATA} of one of {', '.join(EXPERIMENTS)}, got none")
    page = out / "README.md"
    before = sections(page.read_text()) if page.exists() else {}
    lines = [
        "# The experiments of the paper",
        "",
        "Jeffares et al., ICLR 2022, arXiv 2110.02865. Written by `rc-train report`, every number from a data.json; "
        "mean ± standard deviation over seeds. What was tried, and why some figures fall short: "
        "[experiment log](../../experiment-log.md).",
    ]
    for name, experiment in EXPERIMENTS.items():
        if name in available:
            figures = sorted((runs / name).glob("*.png"))
            lines += section(experiment, experiment.result.read(runs / name / DATA))
            lines += [f"![{figure.stem}]({copy_figure(figure, name, out)})\n" for figure in figures]
        elif experiment.title in before:
            lines += ["", HEADING + before[experiment.title].rstrip() + "\n"]
    out.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines))
    return page


def sections(page: str) -> dict[str, str]:
    """The sections of a page by title, the title's line included."""
    return {part.split("\n", 1)[0]: part for part in page.split(f"\n{HEADING}")[1:]}


def section(experiment: Experiment, result: Result) -> list[str]:
    about = f"Seeds: {result.seeds}. {result.measured}."
    return ["", f"{HEADING}{experiment.title}", "", about, "", *experiment.table(result), ""]


def copy_figure(figure: Path, name: str, out: Path) -> str:
    """Copy a figure of an experiment; returns its place relative to the page."""
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    place = f"{FIGURES}/{name}-{figure.name}"
    shutil.copyfile(figure, out / place)
    return place
