"""rc-classify on the tiny model: the answers of /v1/classify, in the order of the files."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import soundfile

from service.commands import file_groups
from service.commands.classify import Progress, classify_files, main
from service.commands.sound_folders import find_files
from service.spotting.classify import classify_encoded
from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.tone_model import RATE
from tests.support.ws_client import facts


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Six good files of several formats, a bad one among them, and a file that is not audio."""
    for name, word in [
        ("b/2.wav", "no"),
        ("b/10.flac", "yes"),
        ("a/deep/x.OGG", "no"),
        ("c.mp3", "yes"),
        ("z.wav", "no"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, synthesize(word), RATE, format=Path(name).suffix[1:].upper())
    (tmp_path / "b" / "bad.wav").write_bytes(b"hello")
    (tmp_path / "b" / "README.md").write_text("hello")
    return tmp_path


SORTED = ["a/deep/x.OGG", "b/10.flac", "b/2.wav", "b/bad.wav", "c.mp3", "z.wav"]


def run_main(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_results_are_those_of_the_server(
    recordings: Path, models_dir: Path, server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run_main(capsys, recordings, "--model", models_dir / "tones", "--json", "--threshold", '{"no": 0.95}')
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


def test_csv_has_a_header_and_a_row_per_file(
    recordings: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run_main(
        capsys, recordings / "z.wav", recordings / "gone.wav", "--model", models_dir / "tones", "--csv"
    )
    good, gone = csv.DictReader(io.StringIO(out))
    assert (code, good["label"], good["crossed"], good["error"]) == (1, "no", "True", "")
    assert float(good["decision_time_s"]) < float(good["duration_s"]) == 0.9
    assert (gone["label"], gone["error"]) == ("", "expected a file that can be read, got: No such file or directory")


HOSTILE_NAMES = [
    os.fsdecode(b"\xff.wav"),
    "\x1b[2J.wav",
    "\x9b31m.wav",
    "\u202egnp.wav",
    "line\nbreak.wav",
    "\u2603.wav",
]


@pytest.mark.parametrize("output", [[], ["--json"], ["--csv"]])
def test_no_name_reaches_the_terminal_as_a_command(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], output: list[str]
) -> None:
    for name in HOSTILE_NAMES:
        (tmp_path / name).write_bytes(b"")
    code, out = run_main(capsys, tmp_path, "--model", models_dir / "tones", *output)
    assert code == 1
    assert out.encode()
    assert all(char.isprintable() for line in out.splitlines() for char in line)
    assert len(out.splitlines()) == len(HOSTILE_NAMES) + (output != ["--json"])


@pytest.mark.parametrize("output", [[], ["--json"], ["--csv"]])
def test_output_in_a_narrow_encoding_is_escaped(tmp_path: Path, models_dir: Path, output: list[str]) -> None:
    for name in ("\u2603.wav", "z.wav"):
        soundfile.write(tmp_path / name, synthesize("no"), RATE)
    done = rc_classify(tmp_path, "--model", models_dir / "tones", *output, PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2603.wav" in done.stdout
    assert done.stdout.count("z.wav") == 1


def rc_classify(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "service.commands.classify", *map(str, arguments)]
    return subprocess.run(program, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)


def test_a_reader_that_leaves_ends_the_run_without_a_traceback(recordings: Path, models_dir: Path) -> None:
    for number in range(300):
        (recordings / f"{number}.wav").write_bytes(b"")
    program = [sys.executable, "-m", "service.commands.classify", str(recordings), "--model", str(models_dir / "tones")]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_what_cannot_be_read_gets_an_error_row_and_the_rest_is_classified(
    recordings: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    long_name = recordings / ("x" * 300)
    code, out = run_main(capsys, long_name, recordings, "--model", models_dir / "tones", "--json")
    rows = {Path(row["file"]).name: row for row in map(json.loads, out.splitlines())}
    assert code == 1
    assert {name for name, row in rows.items() if "error" in row} == {long_name.name, "deep", "bad.wav"}
    assert rows[long_name.name]["error"]["message"] == "expected a file that can be read, got: File name too long"
    assert rows["deep"]["error"]["message"].startswith("expected a file that can be read, got: ")
    assert rows["z.wav"]["label"] == "no"


def test_a_name_that_looks_like_a_formula_stays_text_in_a_spreadsheet(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.wav", "+1.wav", "@SUM(1).wav", "-1.wav", "\t=1.wav", "\r=1.wav", "plain.wav"]
    for name in names:
        soundfile.write(tmp_path / name, synthesize("no"), RATE)
    code, out = run_main(capsys, "--model", models_dir / "tones", "--csv", "--", *names)
    cells = [row["file"] for row in csv.DictReader(io.StringIO(out))]
    assert code == 0
    assert cells == ["'=1+1.wav", "'+1.wav", "'@SUM(1).wav", "'-1.wav", "'\\t=1.wav", "'\\r=1.wav", "plain.wav"]


def test_people_get_a_table(recordings: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run_main(capsys, recordings / "c.mp3", recordings / "z.wav", "--model", models_dir / "tones")
    header, *rows = out.splitlines()
    assert code == 0
    assert header.split() == ["file", "label", "score", "decided", "length"]
    assert [row.split()[1] for row in rows] == ["yes", "no"]
    assert rows[1].split()[-2:] == ["0.90", "s"]


def test_many_groups_keep_the_order_and_the_results(
    recordings: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [file for file in find_files([recordings]) for _ in range(5)]
    whole = classify_encoded(model, [(str(file), file) for file in files])
    monkeypatch.setattr(file_groups, "BATCH", 2)
    apart = list(classify_files(model, files))
    assert [result.file for result in apart] == [str(file) for file in files]
    assert [result.answer and result.answer.frame for result in apart] == [
        result.answer and result.answer.frame for result in whole
    ]


def test_the_bar_is_only_on_a_terminal() -> None:
    terminal, file = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    for to in (terminal, file):
        progress = Progress(128, to)
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
        ([], "expected sound files (.aac, .aif, .aiff, .flac, .m4a, .mp3, .oga, .ogg, .opus, .wav, .webm), got none"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_any_work(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path), "--model", str(models_dir / "tones"), *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"rc-classify: {message}")
