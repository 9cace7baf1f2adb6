"""The labels of a model: its keywords, then `_unknown_` for all other words, then `_silence_`. No files, no tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.spotting.metadata import SILENCE, UNKNOWN


@dataclass(frozen=True)
class Labels:
    """Keywords in the order of a model's outputs; the two other labels always come last, in one order."""

    keywords: tuple[str, ...]

    @classmethod
    def from_all(cls, names: Sequence[str]) -> "Labels":
        """The labels of a checkpoint or of a model. Raises ValueError unless the two other labels come last."""
        labels = cls(tuple(names[:-2]))
        if labels.all != tuple(names):
            raise ValueError(f"labels: expected keywords, then {UNKNOWN} and {SILENCE}, got {list(names)}")
        return labels

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.keywords, UNKNOWN, SILENCE)

    @property
    def unknown(self) -> int:
        """Index of the label of all other words."""
        return len(self.keywords)

    @property
    def silence(self) -> int:
        """Index of the label of clips without a word."""
        return len(self.keywords) + 1

    def index(self, word: str) -> int:
        """Index of a word's label: its own for a keyword, else `unknown`."""
        return self.keywords.index(word) if word in self.keywords else self.unknown

    def name(self, word: str) -> str:
        """A word's label: itself for a keyword, else `_unknown_`."""
        return word if word in self.keywords else UNKNOWN

    def __len__(self) -> int:
        return len(self.all)
