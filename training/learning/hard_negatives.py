"""Hard negatives: of the speech, the other words and the noise in a material, what a model comes nearest to firing on.

Knows nothing of networks: whoever asks passes the ears.
"""

from collections.abc import Callable, Sequence

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from training.data.corpus import Corpus, Utterance
from training.data.synthetic_streams import MixSettings, say
from training.model.frontend import SAMPLE_RATE

KEPT = 1 / 8  # of the utterances that are heard
HEARD_AT_ONCE = 250

Hear = Callable[[Tensor], Tensor]  # int16 samples [clips, samples] → probabilities [clips, steps, labels]
Score = Callable[[Sequence[Utterance]], Tensor]


def mine(material: Corpus, talk: MixSettings, count: int, score: Score, rng: Generator) -> dict[str, list[Utterance]]:
    """Of `count` random utterances of each kind those with the highest scores.

    Parts of keywords are no such kind: the longest of them nothing tells from a keyword.
    """
    kinds = [kind for kind, there in (("speech", material.speech), ("other", material.others)) if there]
    hard = {}
    for kind in [*kinds, "noise"]:
        said = [say(kind, material, talk, rng) for _ in range(count)]
        scores = torch.cat([score(said[i : i + HEARD_AT_ONCE]) for i in range(0, count, HEARD_AT_ONCE)])
        hard[kind] = [said[i] for i in scores.topk(round(KEPT * count)).indices.tolist()]
    return hard


def max_wrong_score(said: Sequence[Utterance], keywords: int, step_s: float, grace_s: float, hear: Hear) -> Tensor:
    """The largest probability [utterances] of any of the `keywords`, which labels begin with, where there is none.

    A keyword inside of running speech may be heard until `grace_s` after its end.
    """
    samples = pad_sequence([torch.from_numpy(each.samples) for each in said], batch_first=True)
    whole_steps = pad(samples, (0, -samples.shape[1] % round(step_s * SAMPLE_RATE)))
    likeliest = hear(whole_steps)[:, :, :keywords].amax(2)
    for row, each in zip(likeliest, said, strict=True):
        for word in each.words:
            if word.kind == "inside":
                row[int(word.start_s / step_s) : int((word.end_s + grace_s) / step_s) + 1] = 0.0
    return likeliest.amax(1)
