"""Make the demo recording with synthetic voices: words in, `demo.flac` and `demo.json` out.

Needs numpy, soundfile and soxr (the base install) and the programs it speaks with, on Debian
`apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts`.
The same programs give the same file. No voice named here is ever used in training.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Audio = npt.NDArray[np.float32]

SAMPLE_RATE = 16000
GAP_S = 0.7  # seconds of silence before every word
PEAK = 0.4  # peak of every word
NOISE_RMS = 5e-4  # -66 dB: no microphone is digitally silent
EDGE = 0.005  # share of the peak; quieter samples at both ends of a word are cut off (a final t is faint)
HERE = Path(__file__).parent

# The recording: each word and its voice (PROGRAM:VOICE, for espeak-ng and flite also /STRETCH: how many times as long).
# Both were chosen because the bundled model recognizes them wherever its frames begin. The demo shows how the service
# works; the model card has the measurements.
LINES = [
    ("go", "flite:rms"),
    ("left", "flite:awb"),
    ("no", "flite:rms/1.5"),
    ("right", "espeak-ng:en-gb-scotland"),
    ("three", "flite:rms"),
    ("down", "festival:cmu_us_slt_arctic_hts"),
    ("bed", "espeak-ng:en-us+f2/0.8"),
    ("up", "flite:kal/1.5"),
    ("stop", "flite:awb/1.1"),
    ("yes", "flite:rms/1.5"),
]

OTHER_WORDS = ("bed", "three")  # not keywords of the bundled model: nothing may be detected for them

# Voices to choose from; `--voices DIR` speaks every word of LINES with each of them.
CANDIDATES = [
    *(f"espeak-ng:{accent}" for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")),
    *(f"espeak-ng:en-us+{variant}" for variant in ("f2", "f3", "f5", "m3", "m7", "Annie", "ed", "pedro", "Steph")),
    *(f"espeak-ng:en-gb+{variant}" for variant in ("f2", "f4", "m3", "Alicia", "Edward", "Linda")),
    *(f"flite:{voice}" for voice in ("slt", "rms", "awb", "kal", "kal16")),
    *(f"festival:{voice}" for voice in ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")),
]


def command(voice: str, word: str, wav: Path) -> list[str]:
    """The program call that writes `word`, spoken by `voice`, to `wav`; ValueError for an unknown program."""
    program, _, name = voice.partition(":")
    name, _, stretch = name.partition("/")
    if program == "espeak-ng":
        return ["espeak-ng", "-v", name, "-s", f"{140 / float(stretch or 1):.0f}", "-w", str(wav), word]
    if program == "flite":
        return ["flite", "-voice", name, "--setf", f"duration_stretch={stretch or 1}", "-t", word, "-o", str(wav)]
    if program == "festival":
        script = f'(utt.save.wave (utt.synth (Utterance Text "{word}")) "{wav}" \'riff)'
        return ["festival", "-b", f"(voice_{name})", script]
    raise ValueError(f"expected espeak-ng:, flite: or festival:VOICE, got {voice!r}")


def speak(voice: str, word: str) -> Audio:
    """One spoken word, 16 kHz mono, cut to the sound itself and brought to PEAK."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "word.wav"
        subprocess.run(command(voice, word, wav), check=True)
        audio, rate = soundfile.read(wav, dtype="float32")
    audio = soxr.resample(audio, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(audio) > EDGE * np.abs(audio).max())
    word_only = audio[loud[0] : loud[-1] + 1]
    return np.asarray(word_only * (PEAK / np.abs(word_only).max()), dtype=np.float32)


def record(lines: Sequence[tuple[str, str]]) -> tuple[Audio, list[dict[str, object]]]:
    """The lines one after another over light noise, and where each stands: word, keyword, voice, start_s, end_s."""
    gap = np.zeros(int(GAP_S * SAMPLE_RATE), np.float32)
    pieces, script, at = [], [], 0
    for word, voice in lines:
        audio = speak(voice, word)
        start, at = at + len(gap), at + len(gap) + len(audio)
        pieces += [gap, audio]
        seconds = {"start_s": round(start / SAMPLE_RATE, 3), "end_s": round(at / SAMPLE_RATE, 3)}
        script.append({"word": word, "keyword": word not in OTHER_WORDS, "voice": voice, **seconds})
    clean = np.concatenate([*pieces, gap])
    noise = np.random.default_rng(0).standard_normal(len(clean), np.float32) * np.float32(NOISE_RMS)
    return clean + noise, script


def speak_candidates(folder: Path) -> None:
    """Write FOLDER/VOICE/WORD.wav for every candidate voice and every word of the recording."""
    for voice in CANDIDATES:
        home = folder / voice.replace(":", "-")
        home.mkdir(parents=True, exist_ok=True)
        for word, _ in LINES:
            soundfile.write(home / f"{word}.wav", speak(voice, word), SAMPLE_RATE)


def main(argv: list[str] | None = None) -> None:
    """Write the recording and its script beside this file, or with `--voices` the candidates."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--voices", type=Path, metavar="DIR", help="speak each word with each candidate voice")
    folder = parser.parse_args(argv).voices
    if folder:
        speak_candidates(folder)
        return
    audio, script = record(LINES)
    soundfile.write(HERE / "demo.flac", audio, SAMPLE_RATE, subtype="PCM_16")
    (HERE / "demo.json").write_text("[\n" + ",\n".join(f"  {json.dumps(line)}" for line in script) + "\n]\n")


if __name__ == "__main__":
    main()
