"""Runs in processes of their own: order, what follows what, what is kept, and how a failure is told."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from training.paper import run_pool as runs
from training.paper.sequences import two_sequence
from training.paper.toy import SequenceNetwork, ToySettings, train

TRAIN = partial(train, draw=two_sequence)
SIZE: dict[str, Any] = {"examples": 256, "hidden": 4}
FIRST = ToySettings("first", "rc", seed=0, **SIZE)
SECOND = ToySettings("second", "eos", seed=0, **SIZE)
AFTER = ToySettings("after", "rc", seed=0, base=FIRST, **SIZE)


def size(network: SequenceNetwork) -> dict[str, Any]:
    return {"hidden": network.lstm.hidden_size, "threads": torch.get_num_threads()}


def fail(network: SequenceNetwork) -> dict[str, Any]:
    raise ValueError("no figures")


def test_what_goes_on_from_a_run_comes_after_it() -> None:
    other = ToySettings("first", "rc", seed=1, **SIZE)
    last = replace(AFTER, name="last", base=AFTER)
    assert runs.chains([last, AFTER, FIRST, SECOND, other]) == [[FIRST, AFTER, last], [SECOND], [other]]


def test_every_run_is_trained_measured_and_kept(tmp_path: Path) -> None:
    found = runs.grouped(runs.run_all(TRAIN, size, [AFTER, SECOND, FIRST], tmp_path / "runs"))
    assert set(found) == {"first", "after", "second"}
    for (one,) in found.values():
        assert (one["hidden"], one["threads"]) == (4, 1)
        assert one["history"][-1]["examples"] == 256
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"{name} seed 0.pt" for name in found}


def test_other_settings_are_trained_anew(tmp_path: Path) -> None:
    runs.keep(FIRST, tmp_path, TRAIN, lambda share: None)
    assert runs.kept(FIRST, tmp_path) is not None
    assert runs.kept(ToySettings("first", "rc", seed=0, examples=128, hidden=4), tmp_path) is None
    assert runs.kept(SECOND, tmp_path) is None


def test_what_went_on_from_another_base_is_trained_anew(tmp_path: Path) -> None:
    runs.keep(FIRST, tmp_path, TRAIN, lambda share: None)
    runs.keep(AFTER, tmp_path, TRAIN, lambda share: None)
    assert runs.kept(AFTER, tmp_path) is not None
    assert runs.kept(replace(AFTER, base=replace(FIRST, examples=128)), tmp_path) is None


def test_a_failure_in_a_process_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no figures"):
        runs.run_all(TRAIN, fail, [SECOND], tmp_path)


ORPHAN = """
from multiprocessing import get_context
from time import sleep
from training.paper.run_pool import leave_with_parent
with get_context("spawn").Pool(1, leave_with_parent) as pool:
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
    assert runs.mean_and_spread([0.94, 0.96], 0.01) == "95.00 ± 1.00"
    assert runs.mean_and_spread([14.0]) == "14.00"
