"""Which files a directory gives."""

import os
from pathlib import Path

import pytest

from service.commands.sound_folders import find_files

NAMES = ["a/deep/x.OGG", "a-b.wav", "b/10.flac", "b/2.wav", "c.mp3", "d/voice memo.m4a", "e.aiff"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "b/README.md", "b/wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in find_files([folder])]


def test_directories_are_searched_recursively_in_order(folder: Path) -> None:
    assert names(folder) == NAMES


def test_files_are_taken_as_named(folder: Path) -> None:
    paths = [folder / "c.mp3", folder / "b" / "README.md", folder / "nonesuch", folder / ("x" * 300)]
    assert list(find_files(paths)) == paths


def test_linked_directories_are_searched_once_and_without_end(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.wav").touch()
    (elsewhere / "back").symlink_to(folder)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "a" / "up").symlink_to("..")
    (folder / "self.wav").symlink_to("self.wav")
    (folder / "z.wav").symlink_to("c.mp3")
    assert names(folder) == [*NAMES, "linked/far.wav", "self.wav", "z.wav"]


def test_what_is_not_a_file_is_passed_over(folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    (folder / "dir.wav").mkdir()
    assert names(folder) == NAMES
