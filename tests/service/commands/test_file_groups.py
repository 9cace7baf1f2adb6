from pathlib import Path

import pytest

from service.commands import file_groups
from service.commands.file_groups import GROUP_BYTES, groups


def test_groups_are_bounded_in_number_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_groups, "BATCH", 3)
    sizes = [1, 1, 1, 1, GROUP_BYTES, 1, GROUP_BYTES - 1, 1]
    files = [tmp_path / str(i) for i in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        with file.open("wb") as opened:
            opened.truncate(size)
    assert [len(group) for group in groups([*files, tmp_path / "nonesuch"])] == [3, 1, 1, 2, 2]
    assert [file for group in groups(files) for file in group] == files
