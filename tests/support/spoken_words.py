"""Nine seconds of words of every kind, for matching detections."""

from training.data.corpus import WordSpan

SPOKEN = [
    WordSpan("yes", 1.0, 1.4, "keyword"),
    WordSpan("no", 2.0, 2.5, "prefix", 0.5),
    WordSpan("cat", 3.0, 3.4, "other"),
    WordSpan("yes", 3.6, 4.0, "keyword"),
    WordSpan("", 5.0, 9.0, "speech"),
    WordSpan("no", 6.0, 6.2, "embedded"),
]
