"""rc-classify on the tiny model: what /v1/classify says, in the order of the files."""

import csv
import io
import json
import os
from pathlib import Path

import httpx
import pytest
import soundfile

from service.commands import classify as archive
from service.commands.classify import GROUP_BYTES, classify_archive, files_of, groups, main
from service.spotting.classify import classify_encoded
from service.spotting.model import Model
from tests.support.server import Running
from tests.support.speech import say
from tests.support.tone_model import RATE
from tests.support.ws_client import facts


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Six good files of several formats, a bad one among them, and what is no audio."""
    for name, word in [
        ("b/2.wav", "no"),
        ("b/10.flac", "yes"),
        ("a/deep/x.OGG", "no"),
        ("c.mp3", "yes"),
        ("z.wav", "no"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, say(word), RATE, format=Path(name).suffix[1:].upper())
    (tmp_path / "b" / "bad.wav").write_bytes(b"hello")
    (tmp_path / "b" / "README.md").write_text("hello")
    return tmp_path


SORTED = ["a/deep/x.OGG", "b/10.flac", "b/2.wav", "b/bad.wav", "c.mp3", "z.wav"]


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_directories_are_searched_to_their_end_in_order_and_files_are_taken_as_given(recordings: Path) -> None:
    files = [file.relative_to(recordings).as_posix() for file in files_of([recordings])]
    assert files == SORTED
    given = [recordings / "z.wav", recordings / "b" / "README.md", recordings / "nonesuch"]
    assert list(files_of(given)) == given


def test_it_says_what_the_server_says(
    recordings: Path, models_dir: Path, server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = said(capsys, recordings, "--model", models_dir / "tones", "--json", "--threshold", '{"no": 0.95}')
    uploads = [("files", (str(recordings / name), (recordings / name).read_bytes())) for name in SORTED]
    options = {"threshold": '{"no": 0.95}'}
    answer = httpx.post(f"{server.http}/v1/classify", files=uploads, data=options).json()["results"]
    results = [json.loads(line) for line in out.splitlines()]
    for result, of_server in zip(results, answer, strict=True):
        of_server["file"] = result["file"]  # as the multipart form carries it
        if "error" not in result:
            assert facts(result) == facts(of_server)
            result["score"] = of_server["score"]
        assert result == of_server
    assert [result["file"] for result in results] == [str(recordings / name) for name in SORTED]
    assert [name for name, result in zip(SORTED, results, strict=True) if "error" in result] == ["b/bad.wav"]
    assert code == 1


def test_csv_has_a_header_and_a_row_a_file(
    recordings: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = said(capsys, recordings / "z.wav", recordings / "gone.wav", "--model", models_dir / "tones", "--csv")
    good, gone = csv.DictReader(io.StringIO(out))
    assert (code, good["label"], good["crossed"], good["error"]) == (1, "no", "True", "")
    assert float(good["decision_time_s"]) < float(good["duration_s"]) == 0.9
    assert (gone["label"], gone["error"]) == ("", "expected a file that can be read, got: No such file or directory")


def test_a_name_that_is_no_text_can_be_printed(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / os.fsdecode(b"\xff.wav")).write_bytes(b"")
    for shape in ([], ["--json"], ["--csv"]):
        code, out = said(capsys, tmp_path, "--model", models_dir / "tones", *shape)
        assert code == 1
        assert out.encode()


def test_people_get_a_table(recordings: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = said(capsys, recordings / "c.mp3", recordings / "z.wav", "--model", models_dir / "tones")
    header, *rows = out.splitlines()
    assert code == 0
    assert header.split() == ["file", "label", "score", "heard", "of"]
    assert [row.split()[1] for row in rows] == ["yes", "no"]
    assert rows[1].split()[-2:] == ["0.90", "s"]


def test_many_groups_keep_the_order_and_the_results(
    recordings: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [file for file in files_of([recordings]) for _ in range(5)]
    whole = classify_encoded(model, [(str(file), file) for file in files])
    monkeypatch.setattr(archive, "BATCH", 2)
    apart = list(classify_archive(model, files))
    assert [result["file"] for result in apart] == [str(file) for file in files]
    assert [result.get("frame") for result in apart] == [result.get("frame") for result in whole]


def test_groups_are_bounded_in_number_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BATCH", 3)
    sizes = [1, 1, 1, 1, GROUP_BYTES, 1, GROUP_BYTES - 1, 1]
    files = [tmp_path / str(i) for i in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        with file.open("wb") as opened:
            opened.truncate(size)
    assert [len(group) for group in groups([*files, tmp_path / "nonesuch"])] == [3, 1, 1, 2, 2]
    assert [file for group in groups(files) for file in group] == files


def test_a_bar_only_on_a_terminal() -> None:
    terminal, file = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    for to in (terminal, file):
        progress = archive.Progress(128, to)
        for _ in range(128):
            progress.step()
        progress.clear()
    assert f"[{'#' * 15:<30}] 64/128 files, " in terminal.getvalue()
    assert f"[{'#' * 30}] 128/128 files, " in terminal.getvalue()
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "warp"], "speed: expected among fast, balanced, accurate, got 'warp'"),
        (["--threshold", "2"], "threshold: expected a number above 0"),
        (["--model", "nonesuch"], "expected a model.onnx, got no such file: nonesuch"),
        ([], "expected sound files (.flac, .mp3, .oga, .ogg, .opus, .wav), got none"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path), "--model", str(models_dir / "tones"), *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"rc-classify: {message}")
