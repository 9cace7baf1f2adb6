"""Voices of programs: what they speak, and that none of them is a voice of the demo."""

import shutil
from pathlib import Path

import pytest

from clients.demo.synthesize import CANDIDATES, LINES
from training.speak.engines import SpeechError, open_engine
from training.speak.programs import SPEAKERS
from training.speak.voices import Voice

needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")


def voice(name: str) -> Voice:
    return Voice(name, ((name, 1.0),))


@needs_espeak
def test_espeak_speaks_at_the_rate_asked_for() -> None:
    engine = open_engine("espeak-ng", None, None)
    slow, fast = (engine.speak("coffee machine", voice("en-us+Andy"), rate) for rate in (0.8, 1.6))
    assert 0.5 < len(fast) / 16_000 < len(slow) / 16_000 < 2.5
    assert abs(slow).max() > 0.1


@needs_espeak
def test_text_that_looks_like_an_option_is_spoken() -> None:
    assert len(open_engine("espeak-ng", None, None).speak("--help", voice("en-us+Andy"), 1.0)) > 4000


def test_no_voice_of_the_demo_is_trained_on() -> None:
    demo = [name.partition("/")[0] for name in (*CANDIDATES, *(name for _, name in LINES))]
    speakers = {name.partition("+")[2] for name in demo if name.startswith("espeak-ng:")}
    assert "ed" in speakers
    assert not speakers & set(SPEAKERS)


@pytest.mark.skipif(not shutil.which("flite"), reason="no flite")
def test_flite_has_no_voices_but_those_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"expected a folder with flite's VOICE\.flitevox"):
        open_engine("flite", None, tmp_path)
    (tmp_path / "foreign.flitevox").write_bytes(b"nothing")
    (tmp_path / "mine.flitevox").write_bytes(b"CMU_FLITE_CG_VOXDATA-v2.0")
    assert list(open_engine("flite", None, tmp_path).voices) == ["mine"]
