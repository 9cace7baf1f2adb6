"""Hard negatives: the speech, other words and noise of a corpus that a model comes nearest to detecting wrongly.

Knows nothing of networks: the caller passes a scoring function.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from training.data.corpus import Corpus, Utterance
from training.data.synthetic_streams import MixSettings, sample_utterance
from training.model.frontend import SAMPLE_RATE

KEEP_RATIO = 1 / 8  # share of the scored utterances that are kept
BATCH = 250  # utterances scored in one run

Score = Callable[[Tensor], Tensor]  # int16 samples [clips, samples] -> probabilities [clips, steps, labels]
WrongScore = Callable[[Sequence[Utterance]], Tensor]


def with_hard_negatives(
    corpus: Corpus, kinds: Sequence[str], mix: MixSettings, count: int, keywords: int, step_s: float, grace_s: float,
    score: Score, rng: np.random.Generator,
) -> Corpus:  # fmt: skip
    """The corpus that draws hard negatives more often: of `count` utterances per kind those with the worst scores."""
    untouched = replace(corpus, hard={})
    wrong = partial(max_wrong_score, keywords=keywords, step_s=step_s, grace_s=grace_s, score=score)
    return replace(untouched, hard=mine_hard_negatives(untouched, kinds, mix, count, wrong, rng))


def mine_hard_negatives(
    corpus: Corpus, kinds: Sequence[str], mix: MixSettings, count: int, wrong_score: WrongScore,
    rng: np.random.Generator,
) -> dict[str, list[Utterance]]:  # fmt: skip
    """Of `count` random utterances of each of the `kinds` that the corpus has those with the highest wrong scores.

    Prefixes are not such a kind: nothing distinguishes the longest of them from their keyword.
    """
    available = {"speech": corpus.speech, "other": corpus.others, "noise": True}
    hard = {}
    for kind in (kind for kind in kinds if available[kind]):
        utterances = [sample_utterance(kind, corpus, mix, rng) for _ in range(count)]
        scores = torch.cat([wrong_score(utterances[i : i + BATCH]) for i in range(0, count, BATCH)])
        hard[kind] = [utterances[i] for i in scores.topk(round(KEEP_RATIO * count)).indices.tolist()]
    return hard


def max_wrong_score(
    utterances: Sequence[Utterance], keywords: int, step_s: float, grace_s: float, score: Score
) -> Tensor:
    """The largest probability [utterances] of any keyword (the first `keywords` labels) where none is spoken.

    An embedded keyword may be detected until `grace_s` after its end.
    """
    samples = pad_sequence([torch.from_numpy(utterance.samples) for utterance in utterances], batch_first=True)
    whole_steps = pad(samples, (0, -samples.shape[1] % round(step_s * SAMPLE_RATE)))
    highest = score(whole_steps)[:, :, :keywords].amax(2)
    for row, utterance in zip(highest, utterances, strict=True):
        for word in utterance.words:
            if word.kind == "embedded":
                row[int(word.start_s / step_s) : int((word.end_s + grace_s) / step_s) + 1] = 0.0
    return highest.amax(1)
