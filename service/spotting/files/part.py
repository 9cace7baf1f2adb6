"""What a container is split into."""

from typing import NamedTuple


class Part(NamedTuple):
    """One of the files that are joined in another, most often the only one, as a decoder reads it to its end."""

    content: bytes
    skip: int = 0  # decoded samples per channel at its beginning that are not of the file
