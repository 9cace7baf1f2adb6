"""What tests of training share."""

from pathlib import Path

import pytest

from tests.support.toy_dataset import write_words
from training import recipe
from training.commands.main import main


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of the data and folder of a run of one step."""
    data = write_words(tmp_path_factory.mktemp("data") / "words")
    out = tmp_path_factory.mktemp("runs") / "tiny"
    command = ["speech", "--data-dir", str(data), "--keywords", "up,down", "--epochs", "1", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "MIN_BATCHES", 1)
        assert main(command) == 0
    return data, out
