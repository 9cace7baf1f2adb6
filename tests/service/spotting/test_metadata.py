import json
from dataclasses import replace
from typing import Any

import pytest

from service.spotting.metadata import MODES, Metadata, ModelError
from service.spotting.silence import SilenceRule
from tests.support.tone_model import LABELS, METADATA

PROPS = METADATA.to_props()


def test_metadata_travels_as_json() -> None:
    assert Metadata.from_props(PROPS) == METADATA
    assert {key: json.loads(value) for key, value in PROPS.items()}["labels"] == list(LABELS)


def test_times_are_computed_from_samples() -> None:
    assert (METADATA.frame_ms, METADATA.look_ahead_ms, METADATA.algorithmic_ms) == (10, 30, 35)


@pytest.mark.parametrize("key", sorted({*PROPS} - {"confirm_ms", "decide_within_ms", "silence", "verifier"}))
def test_every_gap_is_refused(key: str) -> None:
    with pytest.raises(ModelError, match=f"metadata: expected key '{key}'"):
        Metadata.from_props({name: value for name, value in PROPS.items() if name != key})


@pytest.mark.parametrize(
    ("key", "default"), [("confirm_ms", {}), ("decide_within_ms", 600), ("silence", {}), ("verifier", {})]
)
def test_metadata_older_than_a_key_has_its_default(key: str, default: object) -> None:
    older = Metadata.from_props({name: value for name, value in PROPS.items() if name != key})
    assert getattr(older, key) == default


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"confirm_ms": {"slow": 40}},
            r"confirm_ms: expected 0 to 1000 for some of \['accurate', 'balanced', 'fast'\]",
        ),
        ({"confirm_ms": {"fast": -40}}, r"confirm_ms: expected 0 to 1000 for .*, got \{'fast': -40\}"),
        ({"decide_within_ms": 9}, "decide_within_ms: expected 10 to 5000, got 9"),
        ({"decide_within_ms": "600"}, "decide_within_ms: expected 10 to 5000, got '600'"),
        *(
            ({"silence": silence}, "silence: expected a level from 0 to below 1, after_s from 0.01 to 60, got")
            for silence in (
                {"level": 0.001},
                {"level": 1, "after_s": 1},
                {"level": 0.001, "after_s": 0.001},
                {"level": "low", "after_s": 1},
                {"level": 0.001, "after_s": 1, "more": 1},
            )
        ),
        ({"format_version": 2}, "format_version: expected 1, got 2"),
        ({"hop": 0}, "hop: expected 1 to 16000 samples, got 0"),
        ({"keywords": ("yes", "maybe")}, "keywords: expected some of"),
        (
            {"speeds": {"fast": {mode: dict.fromkeys(LABELS, 0.5) for mode in MODES}}},
            "speeds: expected 'balanced' among them, got",
        ),
        ({"speeds": {"balanced": dict.fromkeys(LABELS, 0.5)}}, "speeds.balanced: expected the modes"),
        (
            {"speeds": {"balanced": {key: {"yes": 0.5} for key in MODES}}},
            "speeds.balanced.utterance: expected a threshold for each of",
        ),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Metadata.from_props(PROPS | {key: json.dumps(value) for key, value in wrong.items()})


def test_a_value_that_is_not_json_is_refused() -> None:
    with pytest.raises(ModelError, match="metadata hop: expected JSON, got 'ten'"):
        Metadata.from_props(PROPS | {"hop": "ten"})


def test_the_rule_of_silence_is_counted_in_frames() -> None:
    assert METADATA.silence_rule is None
    assert replace(METADATA, silence={"level": 0.25, "after_s": 0.3}).silence_rule == SilenceRule(0.25, 30)
    others = {key: value for key, value in PROPS.items() if key not in ("labels", "speeds")}
    labels = [label for label in LABELS if label != "_silence_"]
    speeds = {"balanced": dict.fromkeys(MODES, dict.fromkeys(labels, 0.5))}
    props = {"labels": labels, "speeds": speeds, "silence": {"level": 0.25, "after_s": 0.3}}
    with pytest.raises(ModelError, match="silence: expected the label _silence_, got"):
        Metadata.from_props(others | {key: json.dumps(value) for key, value in props.items()})
