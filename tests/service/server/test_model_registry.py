from pathlib import Path

import pytest

from service.server.model_registry import BUNDLED, Backend
from service.settings import Settings
from service.spotting.config import ProtocolError
from service.spotting.model import ModelError
from tests.support.tone_model import write_model


def backend(models_dir: Path, **settings: object) -> Backend:
    return Backend(Settings(models_dir=models_dir, **settings))


def test_the_default_model(tmp_path: Path) -> None:
    write_model(tmp_path, "one")
    assert backend(tmp_path).default == "one"
    write_model(tmp_path, "two")
    with pytest.raises(ModelError, match=f"default model: expected among one, two, got '{BUNDLED}'"):
        backend(tmp_path)
    assert backend(tmp_path, default_model="two").default == "two"
    write_model(tmp_path, BUNDLED)
    assert backend(tmp_path).default == BUNDLED


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "one").rename(tmp_path / "copy")
    write_model(tmp_path, "one")
    with pytest.raises(ModelError, match="expected a name of its own, got one again"):
        backend(tmp_path)


async def test_models_are_there_from_start_to_close(models_dir: Path) -> None:
    one = backend(models_dir, default_model="tones")
    assert not one.ready
    one.start()
    assert one.ready
    assert one.pick(None) is one.pick("tones") is not one.pick("other")
    with pytest.raises(ProtocolError, match="model: expected among other, tones, got 'three'"):
        one.pick("three")
    one.close()
    assert not one.ready


def test_streams_are_counted(models_dir: Path) -> None:
    one = backend(models_dir, default_model="tones")
    with one.stream():
        with one.stream():
            assert one.streams == 2
        with pytest.raises(RuntimeError), one.stream():
            raise RuntimeError
        assert one.streams == 1
    assert "kws_streams 0.0" in one.metrics.text().decode()
