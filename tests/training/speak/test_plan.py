"""What is to be spoken: the same plan for the same request, with every kind of text in every split."""

from collections import Counter
from dataclasses import replace

from tests.support.tone_engine import ToneEngine
from training.data.recordings import split_of
from training.speak.plan import SPEECH, SpeakRequest, Synthesis, common_words, plan
from training.speak.voices import voices_of_split

REQUEST = SpeakRequest(
    ("coffee machine", "marvin"), {"marvin": ("marvyn",)}, per_word=40, near=6, common=5, per_other=4, speech_minutes=1
)
ENGINE = ToneEngine()


def files(planned: list[Synthesis], word: str) -> list[str]:
    return [recording.file for synthesis in planned if synthesis.word == word for recording in synthesis.recordings]


def test_every_word_has_its_recordings_and_every_split_some() -> None:
    planned = plan(REQUEST, ENGINE)
    words = Counter({word: len(files(planned, word)) for word in {synthesis.word for synthesis in planned}})
    assert words["coffee machine"] == words["marvin"] == 40
    others = {word for word in words if word not in ("", *REQUEST.words)}
    assert {"coffee", "machine", "marvel"} <= others
    assert {words[word] for word in others} == {4}
    assert len(others) == 6 + 6 + 5
    splits = Counter(split_of(file) for file in files(planned, "marvin"))
    assert splits == {"train": 32, "validation": 4, "test": 4}


def test_spellings_take_turns_and_the_voices_of_a_split_stay_in_it() -> None:
    of_word = [synthesis for synthesis in plan(REQUEST, ENGINE) if synthesis.word == "marvin"]
    assert Counter(synthesis.text.strip(".!?,") for synthesis in of_word) == {"marvin": 10, "marvyn": 10}
    for synthesis in of_word:
        split = split_of(synthesis.recordings[0].file)
        assert {name for name, _ in synthesis.voice.shares} <= set(voices_of_split(ENGINE.voices, split))


def test_the_same_request_has_the_same_plan_and_a_larger_one_continues_it() -> None:
    small, again, more = (plan(replace(REQUEST, per_word=size), ENGINE) for size in (20, 20, 40))
    assert small == again
    assert files(more, "marvin")[:20] == files(small, "marvin")
    assert files(plan(replace(REQUEST, seed=1), ENGINE), "marvin") != files(more, "marvin")


def test_running_speech_has_near_words_and_no_keyword() -> None:
    request = replace(REQUEST, words=("light", "garden"), near=20, spellings={}, speech_minutes=6)
    spoken = [synthesis for synthesis in plan(request, ENGINE) if not synthesis.word]
    assert all(synthesis.recordings[0].file.startswith(f"{SPEECH}/") for synthesis in spoken)
    words = [word.strip(".,?!").lower() for synthesis in spoken for word in synthesis.text.split()]
    assert 6 * 140 <= len(words) <= 6 * 140 + 15
    assert not {"light", "garden", "lighthouse", "gardener"} & set(words)
    assert {"train", "dev"} == {synthesis.recordings[0].file.split("/")[1] for synthesis in spoken}
    assert len({synthesis.text for synthesis in spoken}) > 60


def test_common_words_are_the_same_ones_every_time_and_no_keywords() -> None:
    assert common_words(REQUEST) == common_words(replace(REQUEST, seed=5))
    assert "bread" in common_words(replace(REQUEST, common=500))
    assert "bread" not in common_words(replace(REQUEST, words=("bred",), common=500))
