"""Many training runs at once, each in a process of its own with one thread; runs in the folder are not repeated.

Knows nothing of what is trained or measured.
"""

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import torch
from rich.progress import Progress
from torch import Tensor, nn

from training.learning.checkpoint import plain_settings, read_checkpoint, write_checkpoint
from training.machine import keep_freed_memory, processors
from training.paper.processes import exit_with_parent
from training.records import Record

MAX_RUNNING = 2  # processes at once; fewer where `taskset` leaves fewer processors

Weights = Mapping[str, Tensor]
OnProgress = Callable[[float], None]  # with the share that is done
OnRunProgress = Callable[[tuple[str, float]], None]  # with the key of the run and the share of it that is done
Row = TypeVar("Row", bound=Record)
Figures = TypeVar("Figures", bound=Record)


class TrainedRun(NamedTuple):
    """The weights that a run is measured by, its last ones, and its metrics through training."""

    chosen: Weights
    last: Weights
    history: list[Any]


class PoolSettings(Protocol):
    """A frozen dataclass of everything that decides a run."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    row: ClassVar[type[Record]]  # type of a row of the history

    @property
    def name(self) -> str: ...  # the same for runs that differ by their seed alone

    @property
    def key(self) -> str: ...  # unique among all runs

    @property
    def initial_run(self) -> Any: ...  # the settings of the run whose last weights it begins with, or None

    def build(self) -> nn.Module: ...


Train = Callable[[Any, Weights | None, OnProgress], TrainedRun]  # settings, weights of the initial run
Measure = Callable[[Any], Record]  # trained network -> its figures


@dataclass(frozen=True)
class RunResult(Record, Generic[Row, Figures]):
    """One run: its settings as plain values, its history, and what was measured of it."""

    settings: dict[str, Any]
    history: list[Row]
    figures: Figures


def run_all(train: Train, measure: Measure, runs: Sequence[PoolSettings], folder: Path) -> list[RunResult[Any, Any]]:
    """Train and measure every run."""
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    manager = SyncManager(ctx=context)
    manager.start(exit_with_parent)
    with (
        Progress() as bars,
        manager,
        ProcessPoolExecutor(min(MAX_RUNNING, processors()), context, start_worker) as pool,
    ):
        rows = {run.key: bars.add_task(run.key, total=1.0) for run in runs}
        progress = manager.Queue()
        tasks = [pool.submit(run_chain, train, measure, chain, folder, progress.put) for chain in chains(runs)]
        follow(tasks, rows, progress, bars)
        return [result for task in tasks for result in task.result()]


def start_worker() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    exit_with_parent()


def chains(runs: Sequence[PoolSettings]) -> list[list[PoolSettings]]:
    """Runs that must follow each other: those that begin with the weights of a run come after it."""
    by_first: dict[str, list[PoolSettings]] = {}
    for run in sorted(runs, key=lambda run: len(lineage(run))):
        by_first.setdefault(lineage(run)[0].key, []).append(run)
    return list(by_first.values())


def lineage(run: PoolSettings) -> list[PoolSettings]:
    """The run, last, and those whose weights led to it."""
    return [*lineage(run.initial_run), run] if run.initial_run else [run]


def follow(tasks: Sequence[Future[Any]], rows: Mapping[str, Any], progress: Any, bars: Progress) -> None:
    """Move the bars until every task is done; the error of a failed one is raised here."""
    while not all(task.done() for task in tasks):
        for failed in (task for task in tasks if task.done() and task.exception()):
            failed.result()
        try:
            key, share = progress.get(timeout=0.2)
        except queue.Empty:
            continue
        bars.update(rows[key], completed=share)
    for row in rows.values():
        bars.update(row, completed=1.0)


def run_chain(
    train: Train, measure: Measure, chain: Sequence[PoolSettings], folder: Path, on_progress: OnRunProgress
) -> list[RunResult[Any, Any]]:
    """In a process of its own."""
    return [run_one(train, measure, run, folder, on_progress) for run in chain]


def run_one(
    train: Train, measure: Measure, settings: PoolSettings, folder: Path, on_progress: OnRunProgress
) -> RunResult[Any, Any]:
    """Train, or load what was trained before, and measure."""
    trained = load_trained(settings, folder)
    if trained is None:
        trained = train_and_keep(settings, folder, train, lambda share: on_progress((settings.key, share)))
    network = settings.build()
    network.load_state_dict(trained.chosen)
    on_progress((settings.key, 1.0))
    return RunResult(plain_settings(settings), trained.history, measure(network))


def load_trained(settings: PoolSettings, folder: Path) -> TrainedRun | None:
    """What an earlier call trained with the same settings."""
    path = folder / f"{settings.key}.pt"
    if not path.exists() or (saved := read_checkpoint(path))["settings"] != plain_settings(settings):
        return None
    return TrainedRun(saved["chosen"], saved["last"], [settings.row.from_json(row) for row in saved["history"]])


def train_and_keep(settings: PoolSettings, folder: Path, train: Train, on_progress: OnProgress) -> TrainedRun:
    """Train, and write what was trained to the folder."""
    initial = load_trained(settings.initial_run, folder) if settings.initial_run else None
    trained = train(settings, initial.last if initial else None, on_progress)
    facts = {"chosen": trained.chosen, "last": trained.last, "history": [row.to_json() for row in trained.history]}
    write_checkpoint(folder / f"{settings.key}.pt", plain_settings(settings), {}, facts)
    return trained


def by_name(results: Sequence[RunResult[Any, Any]]) -> dict[str, list[RunResult[Any, Any]]]:
    """Runs by name, seeds in order."""
    groups: dict[str, list[RunResult[Any, Any]]] = {}
    for result in results:
        groups.setdefault(result.settings["name"], []).append(result)
    return groups
