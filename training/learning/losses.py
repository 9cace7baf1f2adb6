"""What answers cost: equation 7 of Jeffares et al., ICLR 2022 (arXiv 2110.02865), and the losses it is compared with.

Knows nothing of when a sequence answers, of data or of optimisers.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.learning.rank_coding import NO_KEYWORD, Windows

UNCERTAIN = 0.1  # weight of a step at which all labels are as likely; 1 where one is certain


def windows_loss(logits: Tensor, windows: Windows, keywords: int, beta: float) -> Tensor:
    """Equation 7 for windows with a keyword; for windows without one, the cross-entropy of "no keyword".

    Both kinds have the same weight: windows without a keyword are several times as many, and would make the network
    doubt every keyword.

    Args:
        logits: of the answers, [windows, labels], of which the first `keywords` labels are keywords.
        windows: what was to be answered.
        keywords: number of keywords.
        beta: weight of the entropy.

    Returns:
        The loss, a scalar in nats.
    """
    keyword = windows.label != NO_KEYWORD
    losses = []
    if keyword.any():
        losses.append(rank_coding_loss(logits[keyword], windows.label[keyword], beta))
    if not keyword.all():
        losses.append(-logits[~keyword].log_softmax(1)[:, keywords:].logsumexp(1).mean())
    return torch.stack(losses).mean()


def rank_coding_loss(logits: Tensor, targets: Tensor, beta: float) -> Tensor:
    """Equation 7: mean cross-entropy of the answers minus `beta` times their mean entropy.

    Args:
        logits: of the answers, [batch, labels].
        targets: right labels [batch], int64.
        beta: weight of the entropy.

    Returns:
        The loss, a scalar in nats.
    """
    log_p = logits.log_softmax(dim=1)
    entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
    return cross_entropy(logits, targets) - beta * entropy


def every_step_loss(logits: Tensor, targets: Tensor, beta: float) -> Tensor:
    """A control: equation 7 at all steps alike.

    Args:
        logits: [batch, steps, labels].
        targets: right labels [batch], int64.
        beta: weight of the entropy.

    Returns:
        The loss, a scalar in nats.
    """
    return rank_coding_loss(logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1]), beta)


def certainty_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy at every step, which counts the more the more certain the network is there.

    Algorithm 1 counts the first certain step alone. A weight that depends on the outputs, so on the past alone, leaves
    P(label | audio so far) the optimum of every step; none is behind it, so the certainty is not learned.

    Args:
        logits: [batch, steps, labels].
        targets: right labels [batch], int64.

    Returns:
        The loss, a scalar in nats: the mean over all steps.
    """
    log_p = logits.log_softmax(dim=2)
    with torch.no_grad():
        entropy = -(log_p.exp() * log_p).sum(dim=2)
        weights = UNCERTAIN + (1 - UNCERTAIN) * (1 - entropy / math.log(logits.shape[2]))
    wrong = cross_entropy_of_steps(log_p, targets)
    return (weights * wrong).mean()


def max_pool_loss(logits: Tensor, targets: Tensor, keywords: int) -> Tensor:
    """A control (Sun et al. 2016): a keyword counts at the one step of its largest output, all else at every step.

    Args:
        logits: [batch, steps, labels], of which the first `keywords` labels are keywords.
        targets: right labels [batch], int64.
        keywords: number of keywords.

    Returns:
        The loss, a scalar in nats.
    """
    log_p = logits.log_softmax(dim=2)
    wrong = cross_entropy_of_steps(log_p, targets)
    return torch.where(targets < keywords, wrong.amin(dim=1), wrong.mean(dim=1)).mean()


def cross_entropy_of_steps(log_p: Tensor, targets: Tensor) -> Tensor:
    """Of every step [batch, steps] of log-probabilities [batch, steps, labels]."""
    return -log_p.gather(2, targets[:, None, None].expand(-1, log_p.shape[1], 1)).squeeze(2)


def labelled_steps_loss(logits: Tensor, targets: Tensor, weights: Tensor, keywords: int) -> Tensor:
    """Cross-entropy at every step; where the target is NO_KEYWORD, that of all labels but the keywords together.

    Args:
        logits: [batch, steps, labels], of which the first `keywords` labels are keywords.
        targets: right labels, or NO_KEYWORD [batch, steps], int64.
        weights: of the steps [batch, steps].
        keywords: number of keywords.

    Returns:
        The weighted mean, a scalar in nats.
    """
    log_p = logits.log_softmax(dim=2)
    no_keyword = log_p[:, :, keywords:].logsumexp(dim=2)
    right = log_p.gather(2, targets.clamp(min=0)[:, :, None]).squeeze(2)
    right = torch.where(targets == NO_KEYWORD, no_keyword, right)
    return -(right * weights).sum() / weights.sum()
