"""rc-train speak, review and download voices, as a person types them."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.data.test_captures import capture
from training.commands import download
from training.commands.main import main
from training.commands.options import OptionError
from training.commands.speak import clean_words, spellings_of
from training.speak.write import read_manifest


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")
def test_speak_writes_recordings_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "words"
    command = ["speak", "Hey Lumos", "nox", "--say", "hey lumos=hey loomos", "--engine", "espeak-ng"]
    command += ["--count", "4", "--near", "1", "--common", "1", "--per-other", "1", "--speech-minutes", "1"]
    assert main([*command, "--out", str(out)]) == 0
    rows = read_manifest(out)
    assert f"{len(rows)} recordings written" in capsys.readouterr().out
    spoken = {row["text"].strip(".,?!").replace(",", "") for row in rows if row["word"] == "hey lumos"}
    assert spoken == {"hey lumos", "hey loomos"}
    assert len(list((out / "nox").iterdir())) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["stop"],
            r"--voice-model: .* found none: voices/kokoro-v1\.0\.int8\.onnx; `rc-train download voices`",
        ),
        (["stop", "--engine", "piper", "--voices", "nowhere"], "--voices: expected a file or folder, found none"),
        (["../stop"], "expected words of letters, got '../stop'"),
        (["_stop"], "expected words of letters, got '_stop'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["speak", *options, "--out", "words"]) == 1
    printed = capsys.readouterr().err
    assert re.search(message, printed)
    assert not (tmp_path / "words").exists()


def test_spellings_name_their_word_where_there_are_several() -> None:
    assert clean_words(["Hey  Lumos", "nox", "nox"]) == ("hey lumos", "nox")
    assert spellings_of(["hey loomos"], ("hey lumos",)) == {"hey lumos": ("hey loomos",)}
    assert spellings_of(["nox=nocks", "nox=knox"], ("lumos", "nox")) == {"nox": ("nocks", "knox")}
    for wrong in ("nocks", "knox=nocks", "nox="):
        with pytest.raises(OptionError, match="expected a spelling as WORD=SPELLING of one of lumos, nox, got"):
            spellings_of([wrong], ("lumos", "nox"))


def test_review_lists_what_a_server_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture(tmp_path, "a", "lumos")
    assert main(["review", str(tmp_path)]) == 0
    assert "review.csv: 1 clips, 0 right, 0 wrong, 1 without an answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "fetched", "folder"),
    [
        (["voices"], "fetch_voices", "voices"),
        (["voices", "there"], "fetch_voices", "there"),
        (["there"], "fetch_speech_commands", "there"),
        (["speech-commands", "there"], "fetch_speech_commands", "there"),
    ],
)
def test_download_fetches_words_or_voices(
    options: list[str], fetched: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Path]] = []

    def keep(name: str, fetch: Callable[..., Path], path: Path) -> None:
        calls.append((fetch.__name__, path))

    monkeypatch.setattr(download, "fetch_with_bar", keep)
    assert main(["download", *options]) == 0
    assert calls == [(fetched, Path(folder))]
