"""Piper: each voice is an ONNX file with a JSON of settings beside it; a file of many speakers is many voices."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from service.spotting.audio import Samples
from training.speak.engines import SpeechError, at_sample_rate
from training.speak.phonemes import espeak_phonemes
from training.speak.voices import Voice

PAD, BEGIN, END = "_", "^", "$"  # phonemes of every Piper voice: between two others, first and last


class Piper:
    """The engine: all voices of a folder. A voice of a file with many speakers is named FILE#NUMBER."""

    name, can_mix = "piper", False

    def __init__(self, folder: Path) -> None:
        self._files = {path.stem: PiperFile(path) for path in sorted(folder.rglob("*.onnx"))}
        if not self._files:
            raise SpeechError(f"--voices: expected a folder with Piper's VOICE.onnx and VOICE.onnx.json, got {folder}")

    @property
    def voices(self) -> list[str]:
        return [name for file in self._files.values() for name in file.voices]

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        name, _, speaker = voice.shares[0][0].partition("#")
        return self._files[name].speak(text, int(speaker or 0), rate)


class PiperFile:
    """One ONNX file and its settings."""

    def __init__(self, path: Path) -> None:
        config = read_config(path.with_name(path.name + ".json"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rate, self._language = int(config["audio"]["sample_rate"]), str(config["espeak"]["voice"])
        self._ids: Mapping[str, list[int]] = config["phoneme_id_map"]
        inference = config.get("inference", {})
        self._noise, self._length, self._width = (
            float(inference.get(name, usual))
            for name, usual in (("noise_scale", 0.667), ("length_scale", 1.0), ("noise_w", 0.8))
        )
        speakers = int(config.get("num_speakers", 1))
        self._has_speakers = speakers > 1
        self.voices = [f"{path.stem}#{i}" for i in range(speakers)] if speakers > 1 else [path.stem]

    def speak(self, text: str, speaker: int, rate: float) -> Samples:
        tokens = self._tokens(espeak_phonemes(text, self._language))
        inputs = {
            "input": np.array([tokens], np.int64),
            "input_lengths": np.array([len(tokens)], np.int64),
            "scales": np.array([self._noise, self._length / rate, self._width], np.float32),
        }
        if self._has_speakers:
            inputs["sid"] = np.array([speaker], np.int64)
        return at_sample_rate(self._session.run(None, inputs)[0].ravel(), self._rate)

    def _tokens(self, phonemes: str) -> list[int]:
        known = [self._ids[phoneme] for phoneme in phonemes if phoneme in self._ids]
        between = [token for ids in known for token in (*ids, *self._ids[PAD])]
        return [*self._ids[BEGIN], *self._ids[PAD], *between, *self._ids[END]]


def read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text())
        _ = config["audio"]["sample_rate"], config["espeak"]["voice"], config["phoneme_id_map"][PAD]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpeechError(f"{path}: expected the settings of a Piper voice, got none: {error!r}") from error
    return config
