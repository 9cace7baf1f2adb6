"""When to answer, by the value of waiting: once a word has begun and one more step is no longer expected to pay.

Fitted to outputs of a network on clips of known labels by backward induction with a linear regression (Longstaff and
Schwartz 2001; in early classification CALIMERA and FIRMBOUND). It sees what a stream has too: the outputs so far, not
the time within a clip. Knows nothing of networks, thresholds or files.
"""

import math

import torch
from torch import Tensor

LAGS_S = (0.04, 0.1)  # over which a change of certainty is seen
SURE = 0.3  # 1 - entropy / log n from which on a word is taken to have begun
ROUNDS = 4  # rounds of fitting the value of waiting and stopping by it
RIDGE = 1e-3  # relative to the mean square of a feature
MAX_LOGIT, MAX_SINCE_S = 14.0, 0.6


def features_of(probabilities: Tensor, keywords: int, step_s: float) -> Tensor:
    """What the value of waiting is regressed on, from the outputs up to each step.

    Args:
        probabilities: [clips, steps, labels], of which the first `keywords` labels are keywords.
        keywords: number of keywords.
        step_s: seconds per step.

    Returns:
        [clips, steps, features]: whether a word has begun; then certainty, margin, entropy, changes of certainty, for
        how long the likeliest label has been so and how long ago a word began; their products in pairs, and a 1.
    """
    highest, label = probabilities.max(dim=2)
    certainty = torch.logit(highest, 1e-6).clamp(-5.0, MAX_LOGIT) / 4
    log_p = probabilities.clamp_min(1e-7).log()
    first, second = log_p.topk(2, dim=2).values.unbind(2)
    entropy = -(probabilities * log_p).sum(2)
    began = (entropy < (1 - SURE) * math.log(probabilities.shape[2])).cummax(1).values.float()
    columns = [
        certainty,
        (first - second).clamp(max=MAX_LOGIT) / 4,
        entropy,
        *(certainty - delayed(certainty, round(lag_s / step_s)) for lag_s in LAGS_S),
        torch.log1p(steps_unchanged(label) * step_s / 0.01) / 3,
        (began.cumsum(1) * step_s).clamp(max=MAX_SINCE_S) / 0.4,
        *((label == other).float() for other in range(keywords, probabilities.shape[2])),
    ]
    x = torch.stack(columns, dim=2)
    i, j = torch.triu_indices(x.shape[2], x.shape[2])
    one = torch.ones_like(x[..., :1])
    return torch.cat([began[..., None], x, x[..., i] * x[..., j], x[..., :2] ** 3, one], dim=2)


def delayed(values: Tensor, steps: int) -> Tensor:
    """Values [clips, steps] as they were some steps before; the first one before the start."""
    steps = min(max(steps, 1), values.shape[1])
    return torch.cat([values[:, :1].expand(-1, steps), values], dim=1)[:, : values.shape[1]]


def steps_unchanged(label: Tensor) -> Tensor:
    """For how many steps the label [clips, steps] has been what it is: 1 where it is new."""
    steps = torch.arange(label.shape[1], device=label.device)
    changed = torch.ones_like(label, dtype=torch.bool)
    changed[:, 1:] = label[:, 1:] != label[:, :-1]
    return (steps - torch.where(changed, steps, 0).cummax(1).values + 1).float()


class Regression:
    """Of the value of waiting, on the outputs of a network for clips whose labels are known."""

    def __init__(self, features: Tensor, right: Tensor, step_s: float) -> None:
        """`features` of `features_of`; `right` bool [clips, steps]: whether the likeliest label is the clip's."""
        self.features, self.right, self.step_s = features, right, step_s
        self.rows = features[:, :-1].flatten(0, 1)
        self.gram = (self.rows.T @ self.rows).double()
        self.gram += RIDGE * self.gram.diagonal().mean() * torch.eye(len(self.gram), dtype=torch.double)

    def fit(self, cost: float, stop: Tensor) -> Tensor:
        """Weights [features] for who pays `cost` of accuracy for every second, of the round that gained most.

        Args:
            cost: of a second, in accuracy.
            stop: where to answer at first, bool [clips, steps]; by a good threshold, say.

        Returns:
            Weights of the expected gain of waiting, single precision.
        """
        worth = self.right.float() - cost * self.step_s * torch.arange(self.right.shape[1])
        best, chosen = -math.inf, torch.zeros(len(self.gram))
        for _ in range(ROUNDS):
            gain = worth_of_next(worth, stop) - worth[:, :-1]
            weights = torch.linalg.solve(self.gram, (self.rows.T @ gain.flatten()).double()).float()
            stop = stops(self.features, weights)
            reached = worth.gather(1, first_stop(stop)[:, None]).mean().item()
            if reached > best:
                best, chosen = reached, weights
        return chosen


def stops(features: Tensor, weights: Tensor) -> Tensor:
    """Where a word has begun and waiting is not expected to pay, bool [clips, steps]; and the last step."""
    stop = (features @ weights <= 0) & (features[..., 0] > 0)
    stop[:, -1] = True
    return stop


def first_stop(stop: Tensor) -> Tensor:
    """The first step [clips] at which to answer; the last one where there is none."""
    last = stop.shape[1] - 1
    return torch.where(stop.any(dim=1), stop.int().argmax(dim=1), last)


def worth_of_next(worth: Tensor, stop: Tensor) -> Tensor:
    """What stopping at the next stop after each step but the last is worth, [clips, steps - 1]."""
    following = worth[:, -1]
    columns = [following]
    for step in range(worth.shape[1] - 2, 0, -1):
        following = torch.where(stop[:, step], worth[:, step], following)
        columns.append(following)
    return torch.stack(columns[::-1], dim=1)
