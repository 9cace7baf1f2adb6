"""Synthesisers that are programs: espeak-ng and flite. Nearly free, and far from how people sound.

The voices of the demo (clients/demo) are never used here.
"""

import subprocess
import tempfile
from pathlib import Path

import soundfile

from service.spotting.audio import Samples
from training.speak.engines import SpeechError, at_sample_rate, needed_program
from training.speak.voices import Voice

WORDS_PER_MINUTE = 150
FLITE_HEADER = b"CMU_FLITE_CG_VOXDATA"
ACCENTS = ("en-us", "en-gb", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
SPEAKERS = (
    "Alex", "Andrea", "Andy", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "Denis",
    "Diogo", "f1", "Gene", "grandpa", "gustave", "Henrique", "Hugo", "Jacky", "john", "Lee", "m1", "m2", "m4", "m5",
    "m6", "m8", "marcelo", "marco", "Mario", "max", "Michael", "michel", "miguel", "Mike", "norbert", "pablo", "paul",
    "quincy", "rob", "robert", "sandro", "shelby", "travis", "victor", "zac",
)  # fmt: skip


class EspeakNg:
    """Formant voices: each of some speakers in each of some accents."""

    name, can_mix = "espeak-ng", False
    voices = tuple(f"{accent}+{speaker}" for accent in ACCENTS for speaker in SPEAKERS)

    def __init__(self) -> None:
        needed_program("espeak-ng")

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        speed = f"{WORDS_PER_MINUTE * rate:.0f}"
        return recording_of(["espeak-ng", "-v", voice.shares[0][0], "-s", speed], "-w", ["--", text])


class Flite:
    """Voices of a folder of .flitevox files: those in the program itself are the demo's."""

    name, can_mix = "flite", False

    def __init__(self, folder: Path) -> None:
        needed_program("flite")
        self._files = {path.stem: path for path in sorted(folder.rglob("*.flitevox")) if is_flite_voice(path)}
        if not self._files:
            raise SpeechError(f"--voices: expected a folder with flite's VOICE.flitevox, got {folder}")

    @property
    def voices(self) -> list[str]:
        return list(self._files)

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        file = str(self._files[voice.shares[0][0]])
        stretch = f"duration_stretch={1 / rate:.3f}"
        return recording_of(["flite", "-voice", file, "--setf", stretch, "-t", text], "-o", [])


def is_flite_voice(path: Path) -> bool:
    """Whether a file is a voice: flite speaks with a voice of its own instead of one that it cannot read."""
    with path.open("rb") as file:
        return file.read(len(FLITE_HEADER)) == FLITE_HEADER


def recording_of(command: list[str], output: str, last: list[str]) -> Samples:
    """What a program writes to the file that its option `output` names; `last` are its last arguments."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        result = subprocess.run([*command, output, str(wav), *last], capture_output=True, text=True, check=False)
        try:
            samples, rate = soundfile.read(wav, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise SpeechError(f"{command}: expected a recording, got none: {result.stderr.strip()}") from error
    return at_sample_rate(samples, rate)
