"""Checkpoints: whole or absent, read back as written, resumed only with the same settings."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from training.learning.checkpoint import (
    CheckpointError,
    Parts,
    changed_settings,
    plain_settings,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from training.learning.settings import TrainingMethod


@dataclass(frozen=True)
class StoredSettings:
    name: str
    method: TrainingMethod
    sizes: tuple[int, ...]
    initial: "StoredSettings | None" = None


SETTINGS = StoredSettings("second", TrainingMethod.EOS, (3, 5), StoredSettings("first", TrainingMethod.RC, (1,)))


def parts(seed: int) -> Parts:
    """A network, an optimiser with a state, and a generator that was drawn from."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters(), 0.1)
    network(torch.rand(4, 3, generator=generator)).sum().backward()
    optimiser.step()
    return {"network": network, "optimiser": optimiser, "generator": generator}


def next_step(of: Parts) -> torch.Tensor:
    """The weights after one more step on random inputs: all parts decide them."""
    network, optimiser, generator = of.values()
    assert isinstance(network, nn.Linear)
    assert isinstance(optimiser, torch.optim.Adam)
    assert isinstance(generator, torch.Generator)
    optimiser.zero_grad()
    network(torch.rand(4, 3, generator=generator)).square().sum().backward()
    optimiser.step()
    return network.weight.detach()


def test_restored_parts_continue_as_the_saved_ones(tmp_path: Path) -> None:
    saved, other = parts(seed=0), parts(seed=1)
    write_checkpoint(tmp_path / "run" / "last.pt", {}, saved, {"epoch": 3})
    checkpoint = read_checkpoint(tmp_path / "run" / "last.pt")
    assert checkpoint["epoch"] == 3
    restore(other, checkpoint)
    torch.testing.assert_close(next_step(other), next_step(saved), atol=0, rtol=0)


def test_settings_are_read_back_as_plain_values(tmp_path: Path) -> None:
    plain = plain_settings(SETTINGS)
    write_checkpoint(tmp_path / "last.pt", plain, {}, {})
    assert read_checkpoint(tmp_path / "last.pt")["settings"] == plain
    assert plain == {
        "name": "second",
        "method": "eos",
        "sizes": (3, 5),
        "initial": {"name": "first", "method": "rc", "sizes": (1,), "initial": None},
    }


def test_changed_settings_are_new_gone_or_different() -> None:
    assert changed_settings({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 0, "d": 3}) == ["b", "c", "d"]
    assert changed_settings({"a": (1, 2)}, {"a": (1, 2)}) == []


def test_a_stopped_write_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    path = tmp_path / "last.pt"
    write_checkpoint(path, {}, {}, {"epoch": 1})
    monkeypatch.setattr(torch, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, {}, {}, {"epoch": 2})
    assert read_checkpoint(path)["epoch"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the checkpoint of a run, got no such file"),
        ({"network": {}}, "expected the checkpoint of a run, got a file without settings"),
        (torch.zeros(3), "expected the checkpoint of a run, got a file without settings"),
        (b"not torch", "expected the checkpoint of a run, got another file"),
    ],
)
def test_another_file_is_refused(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_a_checkpoint_without_a_part_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"with the state of optimiser, generator, got \['network'\]"):
        restore(parts(seed=0), {"network": nn.Linear(3, 2).state_dict()})
