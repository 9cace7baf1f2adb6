"""Many training runs at once, each in a process of its own with one thread; what is in the folder is not repeated.

Knows nothing of what is learnt or measured.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from functools import reduce
from multiprocessing import get_context, parent_process
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

WORKERS = 2

Weights = Mapping[str, Tensor]
Measure = Callable[[Any], dict[str, Any]]  # of a network
Tell = Callable[[tuple[str, float]], None]


class Trained(NamedTuple):
    """The weights that a run is measured by, its last ones, and its figures through training."""

    chosen: Weights
    last: Weights
    history: list[dict[str, float]]


class Settings(Protocol):
    """A frozen dataclass of everything that decides a run."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...  # of all runs that differ by their seed alone

    @property
    def key(self) -> str: ...  # what one run is called among all

    @property
    def base(self) -> Any: ...  # the settings of the run whose last weights it begins with, or None

    def build(self) -> nn.Module: ...


Train = Callable[[Any, Weights | None, Callable[[float], None]], Trained]  # settings, weights of the base, who listens


def run_all(train: Train, measure: Measure, runs: Sequence[Settings], folder: Path) -> list[dict[str, Any]]:
    """Train and measure every run; returns what was measured of each, with its history, run by run."""
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    helper = SyncManager(ctx=context)
    helper.start(leave_with_parent)
    with Progress() as bars, helper as manager, ProcessPoolExecutor(WORKERS, context, settle_in) as pool:
        rows = {one.key: bars.add_task(one.key, total=1.0) for one in runs}
        heard = manager.Queue()
        tasks = [pool.submit(run_chain, train, measure, chain, folder, heard.put) for chain in chains(runs)]
        follow(tasks, rows, heard, bars)
        return [found for task in tasks for found in task.result()]


def settle_in() -> None:
    """Begin a process of the pool."""
    torch.set_num_threads(1)
    leave_with_parent()


def leave_with_parent() -> None:
    """End this process when its parent does: one that was killed could not say so, and its runs will be begun again."""
    if (parent := parent_process()) is not None:
        threading.Thread(target=end_after, args=(parent,), daemon=True).start()


def end_after(process: BaseProcess) -> None:
    process.join()
    os._exit(1)


def chains(runs: Sequence[Settings]) -> list[list[Settings]]:
    """Runs that must follow each other: those that begin with the weights of a run come after it."""
    found: dict[str, list[Settings]] = {}
    for one in sorted(runs, key=lambda one: len(lineage(one))):
        found.setdefault(lineage(one)[0].key, []).append(one)
    return list(found.values())


def lineage(run: Settings) -> list[Settings]:
    """The run, last, and those whose weights led to it."""
    return [*lineage(run.base), run] if run.base else [run]


def follow(tasks: Sequence[Future[Any]], rows: dict[str, Any], heard: Any, bars: Progress) -> None:
    """Move the bars until every task is done; what a failed one raised is raised here."""
    while not all(task.done() for task in tasks):
        for failed in (task for task in tasks if task.done() and task.exception()):
            failed.result()
        try:
            name, share = heard.get(timeout=0.2)
        except queue.Empty:
            continue
        bars.update(rows[name], completed=share)
    for row in rows.values():
        bars.update(row, completed=1.0)


def run_chain(
    train: Train, measure: Measure, chain: Sequence[Settings], folder: Path, tell: Tell
) -> list[dict[str, Any]]:
    """In a process of its own."""
    return [run_one(train, measure, one, folder, tell) for one in chain]


def run_one(train: Train, measure: Measure, settings: Settings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Train, or take up what was trained before, and measure."""
    trained = kept(settings, folder) or keep(settings, folder, train, lambda share: tell((settings.key, share)))
    network = settings.build()
    network.load_state_dict(trained.chosen)
    tell((settings.key, 1.0))
    return {"settings": asdict(settings), "history": trained.history, **measure(network)}


def kept(settings: Settings, folder: Path) -> Trained | None:
    """What an earlier call trained with the same settings."""
    path = folder / f"{settings.key}.pt"
    saved: dict[str, Any] = torch.load(path, weights_only=True) if path.exists() else {}
    return Trained(**saved["trained"]) if saved.get("settings") == asdict(settings) else None


def keep(settings: Settings, folder: Path, train: Train, tell: Callable[[float], None]) -> Trained:
    """Train, and write what was trained to the folder; a file is whole or not there."""
    base = kept(settings.base, folder) if settings.base else None
    trained = train(settings, base.last if base else None, tell)
    draft = folder / f"{settings.key}.part"
    torch.save({"settings": asdict(settings), "trained": trained._asdict()}, draft)
    draft.replace(draft.with_suffix(".pt"))
    return trained


def grouped(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Runs by name, seeds in order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault(one["settings"]["name"], []).append(one)
    return groups


def mean_and_spread(values: Sequence[float], unit: float = 1.0) -> str:
    """Mean ± standard deviation over seeds, in `unit`s."""
    scaled = np.array(values) / unit
    return f"{scaled.mean():.2f} ± {scaled.std():.2f}" if len(scaled) > 1 else f"{scaled.mean():.2f}"


def percent(values: Sequence[float]) -> str:
    return mean_and_spread(values, 0.01) + " %"


def over_seeds(runs: Sequence[Mapping[str, Any]], *path: str) -> list[float]:
    """One figure of every run, found by its keys."""
    return [reduce(lambda found, key: found[key], path, one) for one in runs]  # type: ignore[misc]
