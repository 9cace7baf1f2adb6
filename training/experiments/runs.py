"""Many training runs at once, each in a process of its own with one thread; what is in the folder is not repeated.

Knows nothing of what is learnt or measured.
"""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from training.experiments.toy import Draw, SequenceNetwork, ToySettings, Trained, train

WORKERS = 2
Measure = Callable[[SequenceNetwork], dict[str, Any]]
Tell = Callable[[tuple[str, float]], None]


def run_all(draw: Draw, measure: Measure, runs: Sequence[ToySettings], folder: Path) -> list[dict[str, Any]]:
    """Train and measure every run; returns what was measured of each, with its history, run by run."""
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    with (
        Progress() as bars,
        context.Manager() as manager,
        ProcessPoolExecutor(WORKERS, context, torch.set_num_threads, (1,)) as pool,
    ):
        rows = {one.key: bars.add_task(one.key, total=1.0) for one in runs}
        heard = manager.Queue()
        tasks = [pool.submit(run_chain, draw, measure, chain, folder, heard.put) for chain in chains(runs)]
        follow(tasks, rows, heard, bars)
        return [found for task in tasks for found in task.result()]


def chains(runs: Sequence[ToySettings]) -> list[list[ToySettings]]:
    """Runs that must follow each other: those that begin with the weights of a run come after it."""
    found: dict[str, list[ToySettings]] = {}
    for one in sorted(runs, key=lambda one: bool(one.base)):
        found.setdefault((one.base or one).key, []).append(one)
    return list(found.values())


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
    draw: Draw, measure: Measure, chain: Sequence[ToySettings], folder: Path, tell: Tell
) -> list[dict[str, Any]]:
    """In a process of its own."""
    return [run_one(draw, measure, one, folder, tell) for one in chain]


def run_one(draw: Draw, measure: Measure, settings: ToySettings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Train, or take up what was trained before, and measure."""
    trained = kept(settings, folder) or keep(settings, folder, draw, lambda share: tell((settings.key, share)))
    network = SequenceNetwork(settings.hidden)
    network.load_state_dict(trained.chosen)
    tell((settings.key, 1.0))
    return {"settings": asdict(settings), "history": trained.history, **measure(network)}


def kept(settings: ToySettings, folder: Path) -> Trained | None:
    """What an earlier call trained with the same settings."""
    path = folder / f"{settings.key}.pt"
    saved: dict[str, Any] = torch.load(path, weights_only=True) if path.exists() else {}
    return Trained(**saved["trained"]) if saved.get("settings") == asdict(settings) else None


def keep(settings: ToySettings, folder: Path, draw: Draw, tell: Callable[[float], None]) -> Trained:
    """Train, and write what was trained to the folder; a file is whole or not there."""
    base = kept(settings.base, folder) if settings.base else None
    trained = train(draw, settings, base.last if base else None, tell)
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
