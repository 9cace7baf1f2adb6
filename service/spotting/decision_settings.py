"""What a stream's decisions are made by, from its settings and its model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from service.spotting.config import ResolvedConfig
from service.spotting.decision import DecisionSettings
from service.spotting.metadata import EARLY_SPEED, UNKNOWN, Metadata


def decision_settings(model: Metadata, config: ResolvedConfig, verified: bool) -> DecisionSettings:
    """`verified`: whether the verifier of the model judges, at the speeds that it has thresholds for."""
    verify = model.verifier["thresholds"].get(config.speed) if verified else None
    allowed = set(config.keywords)
    if config.mode == "utterance":
        allowed |= set(model.labels) - set(model.keywords)
    return DecisionSettings(
        thresholds=_by_label(model, config.threshold),
        allowed=np.array([label in allowed for label in model.labels]),
        other_label=model.labels.index(UNKNOWN) if UNKNOWN in model.labels else None,
        refractory=round(config.refractory_s * model.sample_rate / model.hop),
        confirm=round(model.confirm_ms.get(config.speed, 0) / model.frame_ms),
        early_thresholds=_by_label(model, model.speeds[EARLY_SPEED]["continuous"]) if config.early else None,
        decide_within=int(model.decide_within_ms // model.frame_ms),
        verify_thresholds=_by_label(model, dict.fromkeys(model.labels, 1.0) | verify) if verify else None,
        verify_after=int(model.verifier["after_ms"] // model.frame_ms) if verify else 0,
    )


def _by_label(model: Metadata, values: Mapping[str, float]) -> NDArray[np.float32]:
    return np.array([values[label] for label in model.labels], np.float32)
