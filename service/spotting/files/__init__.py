"""Sound files to samples: one reader for uploads, files on a disk, `rc-stream` and training.

A container's bytes are split into parts that a decoder reads right to their end (`containers`, with `riff`, `ogg` and
`mpeg`), libsndfile or a process of its own (`media`) decodes them, and `reader` joins the blocks.
"""

from service.spotting.files.containers import SUFFIXES
from service.spotting.files.reader import MAX_S, AudioFile, read_audio

__all__ = ["MAX_S", "SUFFIXES", "AudioFile", "read_audio"]
