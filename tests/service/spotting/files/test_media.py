"""M4A, WebM and AAC by PyAV, in a process that is limited; its files are made by PyAV itself."""

import io
import time
from pathlib import Path

import av
import numpy as np
import pytest

from service.spotting.audio import AudioError
from service.spotting.files import AudioFile, header, media, read_audio, reader
from tests.support.sound_files import Audio, ffmpeg, needs_ffmpeg, sweep


def made(container: str, codec: str, samples: Audio, rate: int) -> bytes:
    """The samples as a media file."""
    file = io.BytesIO()
    layout = "stereo" if samples.ndim == 2 else "mono"
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        for piece in (frame, None):
            out.mux(stream.encode(piece))
    return file.getvalue()


M4A = made("ipod", "aac", sweep(44100, 2.0), 44100)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "delay"),
    [
        ("ipod", "aac", 44100, 1024),  # samples that PyAV does not declare when it writes
        ("ipod", "alac", 44100, 0),
        ("webm", "libopus", 48000, 0),
        ("matroska", "pcm_s16le", 16000, 0),
        ("adts", "aac", 16000, 1024),  # there is no place to declare them
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_phones_and_browsers_record_is_read(
    container: str, codec: str, rate: int, delay: int, channels: int
) -> None:
    samples = sweep(rate, 1.0, channels)
    content = made(container, codec, samples, rate)
    file = AudioFile(content)
    assert (file.sample_rate, file.channels) == (rate, channels)
    got = np.concatenate(list(file.blocks(640)))[delay:]
    assert 0 <= len(got) - rate <= 1024
    middle = slice(2000, rate - 2000)
    assert np.abs(got[middle] - samples.reshape(-1, channels)[middle]).mean() < 0.02
    assert abs(len(read_audio(content)) - 16000 * (len(got) + delay) / rate) <= 1


def test_without_the_decoder_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    with pytest.raises(AudioError) as refused:
        read_audio(M4A)
    assert str(refused.value) == (
        "expected an installed decoder for M4A or MP4, got none: pip install 'rank-coding-kws[media]'"
    )


def test_a_truncated_file_is_refused_and_one_that_is_too_long() -> None:
    with pytest.raises(AudioError, match="expected audio to the end, got: "):
        read_audio(M4A[: len(M4A) // 2])
    with pytest.raises(AudioError, match=r"^expected at most 1.5 s, got more$"):
        read_audio(M4A, max_s=1.5)


@pytest.mark.parametrize(
    ("container", "codec", "rates"), [("ipod", "aac", (44100, 16000)), ("webm", "libopus", (48000, 48000))]
)
def test_joined_files_are_read_to_the_end_of_the_last(
    monkeypatch: pytest.MonkeyPatch, container: str, codec: str, rates: tuple[int, int]
) -> None:
    monkeypatch.setattr(reader, "MAX_MEDIA_PARTS", 2)
    first = made(container, codec, sweep(rates[0], 0.5), rates[0])
    second = made(container, codec, sweep(rates[1], 0.7, channels=2, seed=1), rates[1])
    apart = [read_audio(first), read_audio(second)]
    both = read_audio(first + second)
    assert abs(len(both) - len(apart[0]) - len(apart[1])) <= 1
    assert np.std(both[-8000:]) == pytest.approx(np.std(apart[1][-8000:]), rel=0.05)
    with pytest.raises(AudioError, match="expected at most 2 joined files, got more"):
        read_audio(first * 3)


@needs_ffmpeg
def test_a_truncated_file_that_begins_with_its_index_is_refused() -> None:
    whole = ffmpeg(sweep(44100, 4.0), 44100, "-movflags", "faststart", to="a.m4a")
    assert len(read_audio(whole)) == pytest.approx(64000, abs=400)
    with pytest.raises(AudioError, match=r"expected audio to the end, got: (\d.* its header says: truncated|Invalid)"):
        read_audio(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (M4A[:8] + bytes(1000), "expected audio to the end, got: "),
        (b"\x1a\x45\xdf\xa3" + bytes(1000), "expected audio to the end, got: "),
        (b"\xff\xf1" + bytes(1000), "expected "),
        (made("ipod", "aac", sweep(96000, 0.5), 96000), "expected 8000 to 48000 Hz, got 96000"),
    ],
)
def test_what_is_not_a_media_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        read_audio(content)


def test_a_file_that_takes_too_long_ends_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text(
        f"import sys\nsys.path.insert(0, {str(media.WORKER.parent)!r})\n"
        "from media_worker import limit\nlimit(int(sys.argv[2]))\nwhile True: pass\n"
    )
    monkeypatch.setattr(media, "WORKER", endless)
    monkeypatch.setattr(media, "MIN_CPU_S", 0)
    with pytest.raises(AudioError, match=r"^expected a file that is decoded in 1 s, it took longer$"):
        read_audio(M4A, max_s=1.0)


def test_a_crash_of_the_decoder_is_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text(
        "import os, signal, sys\nsys.stdin.buffer.read()\n"
        "sys.stdout.buffer.write(b'[16000, 2]\\n' + bytes(8 * 700 + 3))\nsys.stdout.flush()\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setattr(media, "WORKER", crash)
    blocks = AudioFile(M4A).blocks(500)
    assert [len(next(blocks)), len(next(blocks))] == [500, 200]
    with pytest.raises(AudioError, match=r"^expected audio to the end, got: status -11 of the decoder$"):
        next(blocks)


def test_a_bomb_is_stopped_by_its_memory() -> None:
    """A sample table of 80 million samples in a few bytes, for which a demuxer would reserve gigabytes."""
    at = M4A.index(b"stsz") + 4
    table = (1).to_bytes(4) + (80_000_000).to_bytes(4)
    with pytest.raises(AudioError):
        read_audio(M4A[: at + 4] + table + M4A[at + 12 :])


def test_a_reader_that_is_given_up_leaves_no_process() -> None:
    decoder = media.MediaDecoder(M4A, media.MediaKind("M4A or MP4", "mov"), 60)
    process = decoder._process
    blocks = decoder.blocks(100)
    next(blocks)
    assert process.poll() is None
    del decoder, blocks
    assert process.returncode is not None


def test_a_hostile_matroska_costs_little_time() -> None:
    began = time.process_time()
    with pytest.raises(AudioError):
        read_audio(header.EBML * 5_000_000)
    assert time.process_time() - began < 2
