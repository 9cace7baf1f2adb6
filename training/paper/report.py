"""The page that shows what the experiments of the paper gave here, beside what the paper gives and what is possible.

Gathers the report.json and figures of those that have run. Knows nothing of networks or data.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.paper import sequence_spotting, speech_study_report, temporal_mnist, two_sequence

HEADING = "## "
FIGURES = "figures"  # folder beside the page
EXPERIMENTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], list[str]]]] = {  # folder: title, table
    "sequence-spotting": ("Continuous sequence spotting, section 3.1", sequence_spotting.paper_table),
    "two-sequence": ("2-sequence problem, section 3.2", two_sequence.paper_table),
    "temporal-mnist": ("Temporal MNIST, section 3.3", temporal_mnist.paper_table),
    "speech-study": ("Spoken keywords, section 3.4", speech_study_report.paper_table),
}


def gather(runs: Path, out: Path) -> Path:
    """Write README.md to `out` from the folders in `runs` that have the names of experiments; returns the page.

    A page that is there keeps its sections of experiments that are not in `runs`.
    """
    there = [name for name in EXPERIMENTS if (runs / name / "report.json").exists()]
    if not there:
        raise ValueError(f"{runs}: expected NAME/report.json of one of {', '.join(EXPERIMENTS)}, got none")
    page = out / "README.md"
    before = sections(page.read_text()) if page.exists() else {}
    lines = [
        "# The experiments of the paper",
        "",
        "Jeffares et al., ICLR 2022, arXiv 2110.02865. Written by `rc-train report`, every number from a report.json; "
        "mean ± standard deviation over seeds. What was tried, and why some figures fall short: "
        "[experiment log](../../experiment-log.md).",
    ]
    for name, (title, _) in EXPERIMENTS.items():
        if name in there:
            lines += section(name, json.loads((runs / name / "report.json").read_text()))
            lines += [f"![{each.stem}]({copied(each, name, out)})\n" for each in sorted((runs / name).glob("*.png"))]
        elif title in before:
            lines += ["", HEADING + before[title].rstrip() + "\n"]
    page.write_text("\n".join(lines))
    return page


def sections(page: str) -> dict[str, str]:
    """What a page says by title, the title's line included."""
    return {part.split("\n", 1)[0]: part for part in page.split(f"\n{HEADING}")[1:]}


def section(name: str, result: Mapping[str, Any]) -> list[str]:
    title, table = EXPERIMENTS[name]
    measured = result["measured"]
    about = f"Seeds: {result['seeds']}. `{measured['command']}`, {measured['date']}, {measured['machine']}."
    return ["", f"{HEADING}{title}", "", about, "", *table(result), ""]


def copied(figure: Path, name: str, out: Path) -> str:
    """Where a figure of an experiment lies, seen from the page."""
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    place = f"{FIGURES}/{name}-{figure.name}"
    shutil.copyfile(figure, out / place)
    return place
