"""M4A, WebM and others that libsndfile does not read, as phones and browsers record: PyAV in a process of its own.

The process bounds what a hostile file can do: its memory and its time are limited, and it may crash. PyAV comes with
the extra `media`.
"""

import json
import math
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from service.spotting.audio import AudioError, Samples
from service.spotting.files.header import EBML, OGG
from service.spotting.files.mpeg import after_tags

WORKER = Path(__file__).with_name("media_worker.py")
SECONDS_PER_CPU_S = 30.0  # seconds of audio that are decoded at least; a core decodes some hundreds
MIN_CPU_S = 10
BYTES_PER_SAMPLE = 4
INSTALL = "pip install 'rank-coding-kws[media]'"
OGG_HEADER = 28  # bytes of a first page before its only packet
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")  # what an MP4 or QuickTime file begins with


class MediaKind(NamedTuple):
    name: str  # as people call it
    demuxer: str  # as FFmpeg calls it


def media_kind(content: bytes) -> MediaKind | None:
    """What kind of file it is, if it is for PyAV."""
    start = after_tags(content)
    if content[4:8] in MP4_BOXES:
        return MediaKind("M4A or MP4", "mov")
    if content[:4] == EBML:
        return MediaKind("WebM or Matroska", "matroska")
    if content[start : start + 1] == b"\xff" and content[start + 1 : start + 2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9"):
        return MediaKind("AAC", "aac")
    if content.startswith(OGG) and content[OGG_HEADER : OGG_HEADER + 5] in (b"\x7fFLAC", b"Speex"):
        return MediaKind("Ogg FLAC or Speex", "ogg")
    return None


class MediaDecoder:
    """The first audio stream of a file, by media_worker.py in a process of its own.

    Raises AudioError where PyAV is not installed, and for a file that it cannot read.
    """

    is_empty = False

    def __init__(self, content: bytes, kind: MediaKind, max_s: float) -> None:
        if find_spec("av") is None:
            raise AudioError(f"expected an installed decoder for {kind.name}, got none: {INSTALL}")
        self._cpu_s = MIN_CPU_S + math.ceil(max_s / SECONDS_PER_CPU_S) if math.isfinite(max_s) else 0  # 0: no limit
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), kind.demuxer, str(self._cpu_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._input, self._output, self._errors = pipes(self._process)
        self._end = weakref.finalize(self, end, self._process)
        self.sample_rate, self.channels = self._start(content)

    def blocks(self, size: int) -> Iterator[Samples]:
        width = self.channels * BYTES_PER_SAMPLE
        while data := self._output.read(size * width):
            whole = data[: len(data) - len(data) % width]  # a process that is stopped may leave a part
            yield np.frombuffer(whole, np.float32).reshape(-1, self.channels)
        self._check_status()

    def _start(self, content: bytes) -> tuple[int, int]:
        """Pass the file on; returns its rate and channels."""
        with suppress(BrokenPipeError), self._input as pipe:  # it may end early
            pipe.write(content)
        head = self._output.readline()
        if not head:
            self._check_status()
            raise AudioError("expected audio, got a header without samples")
        sample_rate, channels = json.loads(head)
        return sample_rate, channels

    def _check_status(self) -> None:
        """Raises AudioError where the process has ended for another reason than the end of the file."""
        reason = self._errors.read()
        status = self._process.wait()
        self._end()
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            raise AudioError(f"expected a file that is decoded in {self._cpu_s} s, it took longer")
        if status:
            lines = reason.decode(errors="replace").strip().splitlines() or [f"status {status} of the decoder"]
            raise AudioError(f"expected audio to the end, got: {lines[-1]}")


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Its standard input, output and error, all of them pipes."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise TypeError("expected pipes")
    return process.stdin, process.stdout, process.stderr


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a process, at the end of its file or when its reader is given up."""
    process.kill()
    process.wait()
    for pipe in pipes(process):
        with suppress(BrokenPipeError):
            pipe.close()
