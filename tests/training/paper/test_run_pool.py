"""Runs in processes of their own: their order, what is kept, and how a failure is raised."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from training.learning.settings import TrainingMethod
from training.paper import run_pool
from training.paper.sequences import two_sequence
from training.paper.toy import SequenceNetwork, ToySettings, train
from training.records import Record
from training.reports.markdown import mean_and_spread

TRAIN = partial(train, draw=two_sequence)
SIZE: dict[str, Any] = {"examples": 256, "hidden": 4}
FIRST = ToySettings("first", TrainingMethod.RC, seed=0, **SIZE)
SECOND = ToySettings("second", TrainingMethod.EOS, seed=0, **SIZE)
AFTER = ToySettings("after", TrainingMethod.RC, seed=0, initial_run=FIRST, **SIZE)


@dataclass(frozen=True)
class Size(Record):
    hidden: int
    threads: int


def size(network: SequenceNetwork) -> Size:
    return Size(network.lstm.hidden_size, torch.get_num_threads())


def fail(network: SequenceNetwork) -> Size:
    raise ValueError("no figures")


def test_a_run_that_continues_another_comes_after_it() -> None:
    other = ToySettings("first", TrainingMethod.RC, seed=1, **SIZE)
    last = replace(AFTER, name="last", initial_run=AFTER)
    assert run_pool.chains([last, AFTER, FIRST, SECOND, other]) == [[FIRST, AFTER, last], [SECOND], [other]]


def test_every_run_is_trained_measured_and_kept(tmp_path: Path) -> None:
    results = run_pool.by_name(run_pool.run_all(TRAIN, size, [AFTER, SECOND, FIRST], tmp_path / "runs"))
    assert set(results) == {"first", "after", "second"}
    for (result,) in results.values():
        assert result.figures == Size(hidden=4, threads=1)
        assert result.history[-1].examples == 256
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"{name} seed 0.pt" for name in results}


def test_other_settings_are_trained_again(tmp_path: Path) -> None:
    run_pool.train_and_keep(FIRST, tmp_path, TRAIN, lambda share: None)
    assert run_pool.load_trained(FIRST, tmp_path) is not None
    assert (
        run_pool.load_trained(ToySettings("first", TrainingMethod.RC, seed=0, examples=128, hidden=4), tmp_path) is None
    )
    assert run_pool.load_trained(SECOND, tmp_path) is None


def test_a_run_from_another_initial_run_is_trained_again(tmp_path: Path) -> None:
    run_pool.train_and_keep(FIRST, tmp_path, TRAIN, lambda share: None)
    run_pool.train_and_keep(AFTER, tmp_path, TRAIN, lambda share: None)
    assert run_pool.load_trained(AFTER, tmp_path) is not None
    assert run_pool.load_trained(replace(AFTER, initial_run=replace(FIRST, examples=128)), tmp_path) is None


def test_a_failure_in_a_process_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no figures"):
        run_pool.run_all(TRAIN, fail, [SECOND], tmp_path)


ORPHAN = """
from multiprocessing import get_context
from time import sleep
from training.paper.processes import exit_with_parent
with get_context("spawn").Pool(1, exit_with_parent) as pool:
    pool.apply(print, ("begun",), {"flush": True})
    pool.apply(sleep, (600,))
"""


def test_processes_do_not_outlive_a_killed_parent() -> None:
    """Their end of the pipe closes when they are gone."""
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"begun\n"
    parent.kill()
    parent.communicate(timeout=60)


def test_mean_and_spread() -> None:
    assert mean_and_spread([0.94, 0.96], 0.01) == "95.00 ± 1.00"
    assert mean_and_spread([14.0]) == "14.00"
