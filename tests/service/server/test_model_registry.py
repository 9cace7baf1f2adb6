from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from service.bundled import BUNDLED_MODEL
from service.server.model_registry import ModelRegistry
from service.settings import Settings
from service.spotting.config import ProtocolError
from service.spotting.metadata import ModelError
from service.spotting.model import QUIET
from service.telemetry.metrics import Metrics
from tests.support.tone_model import METADATA, tone_model, write_model


def registry(models_dir: Path, **settings: Any) -> ModelRegistry:
    return ModelRegistry(Settings(models_dir=models_dir, **settings), Metrics())


def test_the_default_model(tmp_path: Path) -> None:
    write_model(tmp_path, "one")
    assert registry(tmp_path).default == "one"
    write_model(tmp_path, "two")
    with pytest.raises(ModelError, match=f"default model: expected among one, two, got '{BUNDLED_MODEL}'"):
        registry(tmp_path)
    assert registry(tmp_path, default_model="two").default == "two"
    write_model(tmp_path, BUNDLED_MODEL)
    assert registry(tmp_path).default == BUNDLED_MODEL


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "one").rename(tmp_path / "copy")
    write_model(tmp_path, "one")
    with pytest.raises(ModelError, match="expected a name of its own, got one again"):
        registry(tmp_path)


async def test_models_are_served_from_the_start(models_dir: Path) -> None:
    models = registry(models_dir, default_model="tones")
    started = [models.started]
    models.start()
    started.append(models.started)
    assert models.get(None) is models.get("tones") is not models.get("other")
    with pytest.raises(ProtocolError, match="model: expected among other, tones, got 'three'"):
        models.get("three")
    assert started == [False, True]


def test_silence_is_skipped_unless_that_is_off(tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    onnx.save(tone_model(replace(METADATA, silence={"level": 0.01, "after_s": 0.1})), tmp_path / "tones" / "model.onnx")
    (skipping,), (running,) = registry(tmp_path), registry(tmp_path, skip_silence=False)
    assert {*skipping.initial_state(1)} - {*running.initial_state(1)} == {QUIET}
