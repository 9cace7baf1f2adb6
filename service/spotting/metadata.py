"""What a model says of itself: labels, timing, thresholds. It travels inside the ONNX file."""

import json
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.spotting.silence import SilenceRule

FORMAT_VERSION = 1
MODES = ("utterance", "continuous")
DEFAULT_SPEED = "balanced"  # the operating point of a stream that names none
MAX_DECIDE_WITHIN_MS = 5000
MAX_WINDOW_S = 5.0  # longest audio that a verifier judges
EARLY_SPEED = "fast"  # the operating point of early detections
VERIFIER_KEYS = ("sha256", "window_s", "after_ms", "thresholds")  # thresholds: speed -> keyword -> probability
UNKNOWN = "_unknown_"  # the label of all other words; in utterance mode, of the keywords that were not asked for
SILENCE = "_silence_"  # the label of silent frames
SILENCE_KEYS = ("level", "after_s")  # largest sample, full scale 1; audio without a larger one before it is silence
FrameScores = NDArray[np.float32]  # [frames, labels], probabilities; labels in the order of the metadata


class ModelError(ValueError):
    """The file is not a model of this format; the message says what was expected and what came."""


@dataclass(frozen=True)
class Metadata:
    """The description that travels inside the ONNX file, one JSON value per key of `metadata_props`."""

    format_version: int
    name: str
    version: str
    labels: tuple[str, ...]  # order of the last axis of `scores`
    keywords: tuple[str, ...]  # the labels that may be detections; the rest (_unknown_, _silence_) never are
    sample_rate: int  # Hz
    hop: int  # samples per frame of scores
    window: int  # samples the feature window spans
    look_ahead: int  # samples after the frame's centre that its scores wait for
    method: str  # "rc" or "eos"
    theta: float  # training threshold
    beta: float  # weight of the entropy term
    speeds: dict[str, dict[str, dict[str, float]]]  # speed -> mode -> label -> threshold
    refractory_s: float
    curve: list[dict[str, float]]  # validation: threshold, accuracy, decision_time_s
    data: str
    seed: int
    commit: str
    confirm_ms: dict[str, float] = field(default_factory=dict)  # speed -> how long a continuous score must stand
    silence: dict[str, float] = field(default_factory=dict)  # SILENCE_KEYS of the rule of silence; empty: none
    decide_within_ms: float = 600.0  # audio from an early detection to what becomes of it
    verifier: dict[str, Any] = field(default_factory=dict)  # VERIFIER_KEYS of the verifier.onnx beside it; empty: none

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ModelError(f"format_version: expected {FORMAT_VERSION}, got {self.format_version}")
        if missing := set(self.keywords) - set(self.labels):
            raise ModelError(f"keywords: expected some of {list(self.labels)}, got {sorted(missing)} too")
        if not (isinstance(self.hop, int) and isinstance(self.sample_rate, int) and 0 < self.hop <= self.sample_rate):
            raise ModelError(f"hop: expected 1 to {self.sample_rate} samples, got {self.hop}")
        if DEFAULT_SPEED not in self.speeds:
            raise ModelError(f"speeds: expected {DEFAULT_SPEED!r} among them, got {sorted(self.speeds)}")
        for speed, modes in self.speeds.items():
            self._check_thresholds(speed, modes)
        if not (set(self.confirm_ms) <= set(self.speeds) and all(0 <= ms <= 1000 for ms in self.confirm_ms.values())):
            raise ModelError(f"confirm_ms: expected 0 to 1000 for some of {sorted(self.speeds)}, got {self.confirm_ms}")
        within = self.decide_within_ms
        if not (isinstance(within, int | float) and self.frame_ms <= within <= MAX_DECIDE_WITHIN_MS):
            raise ModelError(f"decide_within_ms: expected {self.frame_ms:g} to {MAX_DECIDE_WITHIN_MS}, got {within!r}")
        self._check_silence()
        self._check_verifier()

    def _check_silence(self) -> None:
        if not self.silence:
            return
        if SILENCE not in self.labels:
            raise ModelError(f"silence: expected the label {SILENCE}, got {list(self.labels)}")
        if not (
            set(self.silence) == set(SILENCE_KEYS)
            and all(isinstance(value, int | float) for value in self.silence.values())
            and 0 <= self.silence["level"] < 1
            and self.frame_ms <= 1000 * self.silence["after_s"] <= 60_000
        ):
            expected = f"a level from 0 to below 1, after_s from {self.frame_ms / 1000:g} to 60"
            raise ModelError(f"silence: expected {expected}, got {self.silence}")

    def _check_verifier(self) -> None:
        if not self.verifier:
            return
        if set(self.verifier) != set(VERIFIER_KEYS):
            raise ModelError(f"verifier: expected the keys {list(VERIFIER_KEYS)}, got {sorted(self.verifier)}")
        window_s, after_ms = self.verifier["window_s"], self.verifier["after_ms"]
        if not (0 < window_s <= MAX_WINDOW_S and 0 <= after_ms <= self.decide_within_ms):
            expected = f"window_s above 0, at most {MAX_WINDOW_S}, after_ms from 0 to decide_within_ms"
            raise ModelError(f"verifier: expected {expected}, got {window_s} and {after_ms}")
        for speed, thresholds in self.verifier["thresholds"].items():
            if speed not in self.speeds or set(thresholds) != set(self.keywords):
                expected = f"for some of {sorted(self.speeds)} a threshold for each of {list(self.keywords)}"
                raise ModelError(f"verifier.thresholds: expected {expected}, got {speed}: {sorted(thresholds)}")

    def _check_thresholds(self, speed: str, modes: dict[str, dict[str, float]]) -> None:
        if set(modes) != set(MODES):
            raise ModelError(f"speeds.{speed}: expected the modes {list(MODES)}, got {sorted(modes)}")
        for mode, thresholds in modes.items():
            if set(thresholds) != set(self.labels):
                expected = f"a threshold for each of {list(self.labels)}"
                raise ModelError(f"speeds.{speed}.{mode}: expected {expected}, got {sorted(thresholds)}")

    @property
    def silence_rule(self) -> SilenceRule | None:
        """Which frames are silent without asking the model; None where the model has no such rule."""
        if not self.silence:
            return None
        return SilenceRule(self.silence["level"], round(self.silence["after_s"] * self.sample_rate / self.hop))

    @property
    def frame_ms(self) -> float:
        return 1000 * self.hop / self.sample_rate

    @property
    def look_ahead_ms(self) -> float:
        return 1000 * self.look_ahead / self.sample_rate

    @property
    def algorithmic_ms(self) -> float:
        """How long a decision must wait by the model's own design: half a window and the look-ahead."""
        return 1000 * (self.window / 2 + self.look_ahead) / self.sample_rate

    def to_props(self) -> dict[str, str]:
        return {key.name: json.dumps(getattr(self, key.name)) for key in fields(self)}

    @classmethod
    def from_props(cls, props: dict[str, str]) -> "Metadata":
        values: dict[str, Any] = {}
        for key in fields(cls):
            if key.name not in props:
                if key.default is not MISSING or key.default_factory is not MISSING:  # models older than the field
                    continue
                raise ModelError(f"metadata: expected key {key.name!r}, got {sorted(props)}")
            try:
                value = json.loads(props[key.name])
            except json.JSONDecodeError as error:
                raise ModelError(f"metadata {key.name}: expected JSON, got {props[key.name]!r}") from error
            values[key.name] = tuple(value) if isinstance(value, list) and key.name != "curve" else value
        return cls(**values)
