"""How many recordings a new keyword needs: models from different numbers, with and without the weights of another.

Each is trained as `rc-train speech` does, from a folder with links to the clips that it may use; with recordings by
synthetic voices as `rc-train speech --say` does. Training and validation clips are counted together; every test clip
of the words is measured on, and every clip of words that have too few to train on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field

from service.spotting.model import Model
from training.data.labels import Labels
from training.data.links import link
from training.data.recordings import all_clips, read_split, split_of
from training.data.sources import SYNTHETIC_VOICES, DataSources
from training.evaluation.clips import decide, measure, score_clips
from training.learning.checkpoint import read_checkpoint
from training.learning.run import history_of
from training.learning.settings import TrainingMethod
from training.recipe import Recipe, train_and_export
from training.records import Record
from training.reports.markdown import markdown_table, milliseconds, percent
from training.reports.provenance import Provenance
from training.speak.plan import SPEECH
from training.studies.clip_links import link_clips

INITIAL_CHECKPOINT = "models/speech-commands-rc/weights.pt"
TARGET_ACCURACY = 0.95
WITH_WEIGHTS, FROM_SCRATCH = "with --from", "from scratch"
WITH_VOICES = "with --from and synthetic voices"
OTHERS_BESIDE_VOICES = 25  # real clips of each other word beside synthetic ones of the keywords
DRAWS = 2000  # resamples of the test speakers, for an interval


@dataclass(frozen=True)
class StudyPoint(Record):
    """A model on the test clips, at speed `balanced` in mode utterance."""

    clips: int  # per word, for training and validation together
    weights: Annotated[str, Field(validation_alias=AliasChoices("weights", "way"))]
    clips_tested: int
    words_tested: int
    accuracy: float
    decision_time_s: float  # mean
    recall: Annotated[float, Field(validation_alias=AliasChoices("recall", "words_heard"))]  # share of the words
    false_accepts: Annotated[float, Field(validation_alias=AliasChoices("false_accepts", "others_taken"))]
    cpu_minutes: float  # CPU time of training
    recall_interval: tuple[float, float] | None = None  # 95 % of the shares that as many test speakers would give
    recall_by_word: dict[str, float] | None = None


@dataclass(frozen=True)
class KeywordStudy(Record):
    words: list[str]
    data: str
    initial_checkpoint: Annotated[str, Field(validation_alias=AliasChoices("initial_checkpoint", "base"))]
    points: list[StudyPoint]
    measured: Provenance


def study_keywords(
    folder: Path, words: Sequence[str], sizes: Sequence[int], initial_checkpoint: str, out: Path, measured: Provenance,
    synthetic: Path | None = None, beside: Sequence[int] = (),
) -> KeywordStudy:  # fmt: skip
    """A model for each number of clips, with weights and from scratch; those measured before are not repeated.

    With a folder of `rc-train speak` one for each number of real clips `beside` the synthetic ones, too.
    """
    points = []
    runs = out / "runs" / "-".join(words)
    for size in sizes:
        data = link_clips(folder, words, size, runs / f"{size}-clips")
        for weights, checkpoint, name in (
            (WITH_WEIGHTS, initial_checkpoint, f"{size}-weights"),
            (FROM_SCRATCH, "", f"{size}-scratch"),
        ):
            points.append(
                study_point(
                    size, weights, DataSources(data), Recipe(tuple(words), initial_checkpoint=checkpoint), runs / name
                )
            )
    if synthetic:
        points += study_voices(folder, synthetic, words, beside, initial_checkpoint, out)
    return KeywordStudy(list(words), folder.name, initial_checkpoint, points, measured)


def study_voices(
    folder: Path, synthetic: Path, words: Sequence[str], sizes: Sequence[int], initial_checkpoint: str, out: Path
) -> list[StudyPoint]:
    """Models from recordings by synthetic voices, and `size` real ones per word beside them."""
    points = []
    runs = out / "runs" / "-".join(words)
    for size in sizes:
        data = link_clips(folder, words, size, runs / f"{size}-clips-voices", OTHERS_BESIDE_VOICES)
        for clip in all_clips(synthetic):
            if split_of(clip.path.name) != "test":
                link(clip.path, data / clip.word / clip.path.name)
        recipe = Recipe(tuple(words), method=TrainingMethod.STREAMS, initial_checkpoint=initial_checkpoint)
        sources = DataSources(data, speech=(synthetic / SPEECH,), about=f"{SYNTHETIC_VOICES} and {folder.name}")
        points.append(study_point(size, WITH_VOICES, sources, recipe, runs / f"{size}-voices"))
    return points


def study_point(size: int, weights: str, sources: DataSources, recipe: Recipe, run: Path) -> StudyPoint:
    """Train, or resume, and measure; or what was measured before."""
    file = run / "measured.json"
    if not file.is_file():
        train_and_export(sources, recipe, "auto", (run / "last.pt").is_file(), run)
        measure_run(size, weights, sources.recordings, run).write(file)
    return StudyPoint.read(file)


def measure_run(size: int, weights: str, data: Path, run: Path) -> StudyPoint:
    model = Model(run)
    labels = Labels(model.metadata.keywords)
    clips = read_split(data, "test")
    scored = score_clips(model, clips.samples, [labels.name(word) for word in clips.words])
    answers = decide(model, scored, model.metadata.speeds["balanced"]["utterance"])
    pairs = [(clip.target, answer.label) for clip, answer in zip(scored, answers, strict=True)]
    metrics = measure(scored, answers)
    recognised: dict[str, list[bool]] = {}  # by test speaker
    for clip, (target, label) in zip(clips.clips, pairs, strict=True):
        if target in labels.keywords:
            recognised.setdefault(clip.speaker, []).append(label == target)
    by_word = {
        word: share([label == target for target, label in pairs if target == word])
        for word in labels.keywords
        if word in clips.words
    }
    return StudyPoint(
        clips=size,
        weights=weights,
        clips_tested=metrics.clips,
        words_tested=sum(target in labels.keywords for target, _ in pairs),
        accuracy=metrics.accuracy,
        decision_time_s=metrics.decision_time_s.mean,
        recall=share([label == target for target, label in pairs if target in labels.keywords]),
        false_accepts=share([label in labels.keywords for target, label in pairs if target not in labels.keywords]),
        cpu_minutes=round(sum(row.cpu_s for row in history_of(read_checkpoint(run / "last.pt"))) / 60, 1),
        recall_interval=speaker_interval(list(recognised.values())),
        recall_by_word=by_word,
    )


def share(true: Sequence[bool]) -> float:
    return round(float(np.mean(true)), 4)


def speaker_interval(by_speaker: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """95 % of the shares of true values that as many speakers drawn from these would give."""
    right, total = (np.array([count(values) for values in by_speaker]) for count in (sum, len))
    drawn = np.random.default_rng(0).integers(len(by_speaker), size=(DRAWS, len(by_speaker)))
    shares = right[drawn].sum(axis=1) / total[drawn].sum(axis=1)
    low, high = (round(float(value), 4) for value in np.percentile(shares, (2.5, 97.5)))
    return low, high


def write(study: KeywordStudy, out: Path) -> None:
    """README.md, data.json and curve.png in `out`."""
    study.write(out / "data.json")
    (out / "README.md").write_text(page(study))
    plot(study.points, out / "curve.png")


def page(study: KeywordStudy) -> str:
    """README.md; with intervals where any point has one."""
    intervals = any(point.recall_interval for point in study.points)
    table = markdown_table(
        (
            *("clips per word", "weights", "accuracy", "recall", *(["95 % by speaker"] if intervals else [])),
            *("false accepts", "mean decision time", "CPU"),
        ),
        (
            (
                *(point.clips, point.weights, percent(point.accuracy), percent(point.recall)),
                *([interval(point)] if intervals else []),
                *(percent(point.false_accepts), milliseconds(point.decision_time_s), f"{point.cpu_minutes} min"),
            )
            for point in study.points
        ),
    )
    first = study.points[0]
    return "\n".join(
        [
            f"{', '.join(study.words)} of {study.data}: {first.words_tested} of {first.clips_tested} test clips, the "
            "rest are other words; speed balanced, utterance. Recall is the share of the words' clips that are "
            "recognised, false accepts the share of other clips taken for one of them. A ninth of the clips is for "
            "validation.",
            f"Weights of `{study.initial_checkpoint}`. Where that model was trained on the same data set, these words "
            "were among its other words.",
            "",
            *table,
            "",
            *word_lines(study.points),
            str(study.measured),
            "",
        ]
    )


def word_lines(points: Sequence[StudyPoint]) -> list[str]:
    """Recall of each word beside synthetic voices, where it was measured."""
    lines = [
        f"- {point.clips} clips, {point.weights}: "
        + ", ".join(f"{word} {percent(recall)}" for word, recall in point.recall_by_word.items())
        for point in points
        if point.recall_by_word and point.weights == WITH_VOICES
    ]
    return ["Recall by word:", "", *lines, ""] if lines else []


def interval(point: StudyPoint) -> str:
    return " to ".join(percent(share) for share in point.recall_interval) if point.recall_interval else "-"


def plot(points: Sequence[StudyPoint], path: Path) -> None:
    """Accuracy against the number of clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for weights in dict.fromkeys(point.weights for point in points):
        line = [point for point in points if point.weights == weights]
        axes.plot([p.clips for p in line], [100 * p.accuracy for p in line], marker="o", label=weights)
    axes.axhline(100 * TARGET_ACCURACY, color="black", linestyle=":")
    axes.set(xscale="log", xlabel="clips per word", ylabel="accuracy on test speakers (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
