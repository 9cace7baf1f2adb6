"""Partitions of an archive: every file once, the same ones in the next run."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from service.commands.archive import Archive, ArchiveError, Job

JOB = Job((), "0123", "balanced", None)


def of_folder(folder: Path) -> Job:
    return replace(JOB, paths=(str(folder),))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("b.wav", "a.wav", os.fsdecode(b"\xff.wav"), "line\nbreak.wav", "README.md"):
        (folder / name).touch()
    return folder


def test_every_file_is_in_one_partition_in_order(tmp_path: Path, recordings: Path) -> None:
    archive = Archive(tmp_path / "out")
    archive.open(of_folder(recordings), partition_files=3)
    names = ("a.wav", "b.wav", "line\nbreak.wav", os.fsdecode(b"\xff.wav"))
    assert archive.partitions() == archive.remaining() == ["000000", "000001"]
    assert [archive.files(name) for name in archive.partitions()] == [
        [recordings / name for name in names[:3]],
        [recordings / names[3]],
    ]


def test_a_manifest_names_files_that_nobody_looks_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"/far/a.wav\nnear.wav\r\n\n\xff.wav")
    archive = Archive(tmp_path / "out")
    archive.open(of_folder(tmp_path / "list.txt"))
    near = [tmp_path / "near.wav", tmp_path / os.fsdecode(b"\xff.wav")]
    assert archive.files("000000") == [Path("/far/a.wav"), *near]


def test_a_later_run_has_the_same_partitions_and_skips_those_with_results(tmp_path: Path, recordings: Path) -> None:
    archive = Archive(tmp_path / "out")
    archive.open(of_folder(recordings), partition_files=1)
    before = [archive.files(name) for name in archive.partitions()]
    archive.results("000001").touch()
    (archive.folder / "results" / ".draft").touch()
    (recordings / "0.wav").touch()  # would be the first
    archive.open(of_folder(recordings), partition_files=1)
    assert [archive.files(name) for name in archive.partitions()] == before
    assert archive.remaining() == ["000000", "000002", "000003"]


def test_a_list_that_was_interrupted_is_made_again(tmp_path: Path, recordings: Path) -> None:
    archive = Archive(tmp_path / "out")
    archive.open(of_folder(recordings), partition_files=1)
    (archive.folder / "job.json").unlink()
    for name in ("a.wav", "b.wav"):
        (recordings / name).unlink()
    archive.open(of_folder(recordings), partition_files=1)
    assert archive.partitions() == ["000000", "000001"]


def test_results_of_another_job_are_not_mixed_in(tmp_path: Path, recordings: Path) -> None:
    archive = Archive(tmp_path / "out")
    archive.open(of_folder(recordings))
    expected = r"job\.json: expected the same speed as in the run that this one resumes, got 'fast' after 'balanced'"
    with pytest.raises(ArchiveError, match=expected):
        archive.open(replace(of_folder(recordings), speed="fast"))


def test_an_archive_without_sound_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected sound files \(.*\), got none"):
        Archive(tmp_path / "out").open(of_folder(tmp_path))
