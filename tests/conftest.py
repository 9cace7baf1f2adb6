"""Fixtures of the whole suite."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.server import Running, serving
from tests.support.tone_model import write_model

for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[variable]  # every server of the tests is on this machine
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: its threads would wait on each other


@pytest.fixture(autouse=True)
def _logs_outlive_the_test() -> Iterator[None]:
    """A server that a test starts logs to the stderr of that test; later lines of other servers must not go there."""
    yield
    for name in ("", "uvicorn", "service"):
        for handler in logging.getLogger(name).handlers:
            if type(handler) is logging.StreamHandler:
                handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of two models, `tones` and `other`; `tones` has an evaluation."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory, "other")
    (write_model(directory, "tones") / "report.json").write_text('{"accuracy": 0.5}')
    return directory


@pytest.fixture(scope="session")
def model(models_dir: Path) -> Model:
    return Model(models_dir / "tones")


@pytest.fixture(scope="session")
def server(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir) as running:
        yield running
