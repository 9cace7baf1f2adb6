"""200 files of every kind that is read: the reader's samples are those of ffmpeg, an independent decoder."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice, pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.spotting.audio import Resampler
from service.spotting.files import AudioFile
from tests.support.sound_files import Audio, needs_ffmpeg, run_ffmpeg, sweep

COUNT = 200
BATCH = 50  # files of one call of ffmpeg
FRAME_S = 0.010  # of the model: how far apart two decoders may put the same sample
PIPE = ("-seekable", "0")  # the header is not completed at the end


@dataclass(frozen=True)
class Kind:
    """How ffmpeg writes a file, and how closely two decoders of it agree."""

    suffix: str
    options: tuple[str, ...] = ()
    rates: tuple[int, ...] = (8000, 11025, 16000, 22050, 32000, 44100, 48000)
    tolerance: float = 0.0  # largest difference of a sample; full scale is 1
    block: int = 0  # samples that ffmpeg keeps of the last block beyond the end that the file states
    joins: bool = False  # whether two of them in a row are a legal file or a common one


LOSSLESS = [
    *[Kind(".wav", ("-c:a", codec), joins=True) for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le")],
    *[Kind(".wav", ("-c:a", codec)) for codec in ("pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw")],
    *[Kind(".wav", (*PIPE, "-c:a", codec)) for codec in ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_mulaw")],
    Kind(".wav", ("-rf64", "always")),
    *[Kind(".aiff", ("-c:a", codec)) for codec in ("pcm_s16be", "pcm_s24be", "pcm_f32be", "pcm_alaw")],
    Kind(".flac", joins=True),
    Kind(".flac", ("-sample_fmt", "s32")),
    Kind(".flac", PIPE),
]
LOSSY = [
    Kind(".wav", ("-c:a", "adpcm_ima_wav"), tolerance=2e-3),
    Kind(".wav", ("-c:a", "adpcm_ms"), tolerance=2e-3),
    Kind(".wav", ("-c:a", "libmp3lame"), tolerance=1e-3),
    Kind(".ogg", ("-c:a", "libvorbis"), tolerance=1e-3, block=256, joins=True),
    Kind(".opus", (), (48000,), tolerance=0.01, joins=True),
    Kind(".opus", ("-application", "voip"), (24000, 16000, 12000, 8000), tolerance=0.15, joins=True),  # see below
    Kind(".mp3", ("-b:a", "64k"), tolerance=1e-3, joins=True),
    Kind(".mp3", ("-q:a", "4"), tolerance=1e-3, joins=True),
    Kind(".mp3", ("-write_xing", "0", "-b:a", "64k"), tolerance=1e-3),
    Kind(".mp3", ("-write_xing", "0", "-q:a", "4", "-id3v2_version", "3"), tolerance=1e-3),
    Kind(".mp2", (), (16000, 22050, 24000, 32000, 44100, 48000), tolerance=1e-3),
]
MEDIA = [
    Kind(".m4a", tolerance=1e-3),
    Kind(".m4a", ("-c:a", "alac")),
    Kind(".aac", tolerance=1e-3),
    Kind(".mp4", ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"), tolerance=1e-3),
    Kind(".webm", ("-c:a", "libopus"), (16000, 48000), tolerance=0.02),
    Kind(".webm", ("-c:a", "libvorbis"), tolerance=1e-3),
    Kind(".mka", ("-c:a", "flac")),
    Kind(".ogg", ("-c:a", "flac")),
]


@dataclass(frozen=True)
class Case:
    kind: Kind
    rate: int
    channels: int
    path: Path


def cases(folder: Path) -> Iterator[Case]:
    """Two of each kind by PyAV, which starts a process for each, and all others in turn at every rate and width."""
    for number, (kind, channels) in enumerate(product(MEDIA, (1, 2))):
        yield Case(kind, kind.rates[-1 - number % 2], channels, folder / f"media{number}{kind.suffix}")
    others = cycle(product(range(7), (1, 2), LOSSLESS + LOSSY))
    for number, (turn, channels, kind) in enumerate(islice(others, COUNT - 2 * len(MEDIA))):
        rate = kind.rates[turn % len(kind.rates)]
        yield Case(kind, rate, channels, folder / f"{number}{kind.suffix}")


def encode(batch: list[Case], folder: Path) -> None:
    """One call of ffmpeg for a batch: an input and an output for each file."""
    inputs, outputs = [], []
    for number, case in enumerate(batch):
        source = folder / f"{case.path.name}.source.wav"
        samples = sweep(case.rate, 0.3 + 0.01 * (number % 30), case.channels, seed=number % 5)
        soundfile.write(source, samples, case.rate, subtype="PCM_16")
        inputs += ["-i", str(source)]
        outputs += ["-map", str(number), *case.kind.options, "-strict", "-2", str(case.path)]
    run_ffmpeg(*inputs, *outputs, folder=folder)


def decode(batch: list[Case], folder: Path) -> list[Audio]:
    """What ffmpeg reads, [samples, channels] of each file."""
    inputs = [argument for case in batch for argument in ("-i", str(case.path))]
    outputs = [
        argument
        for number, case in enumerate(batch)
        for argument in ("-map", str(number), "-f", "f32le", f"{case.path}.f32")
    ]
    run_ffmpeg(*inputs, *outputs, folder=folder)
    return [np.fromfile(f"{case.path}.f32", np.float32).reshape(-1, case.channels) for case in batch]


def read(path: Path) -> tuple[int, Audio]:
    file = AudioFile(path)
    return file.sample_rate, np.concatenate(list(file.blocks()))


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Case, Audio, int, Audio]]:
    """Each file, as ffmpeg reads it, and as the reader does: rate and samples."""
    folder = tmp_path_factory.mktemp("ffmpeg")
    every = list(cases(folder))
    batches = [every[start : start + BATCH] for start in range(0, COUNT, BATCH)]
    for batch in batches:
        encode(batch, folder)
    expected = [samples for batch in batches for samples in decode(batch, folder)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda case: read(case.path), every))
    return [(case, reference, *ours) for case, reference, ours in zip(every, expected, got, strict=True)]


def difference(got: Audio, expected: Audio, rate: int) -> float:
    """The largest of a sample, at the best shift of less than a frame."""
    length = min(len(got), len(expected))
    lag = round(rate * FRAME_S)
    middle = slice(lag, length - lag)
    exact = np.abs(got[:length] - expected[:length])[middle].max()
    if exact < 1e-3:
        return float(exact)
    shifted = (np.abs(np.roll(got[:length], shift, 0) - expected[:length])[middle].max() for shift in range(-lag, lag))
    return float(min(exact, *shifted))


@needs_ffmpeg
def test_the_samples_of_200_files_are_those_of_ffmpeg(decoded: list[tuple[Case, Audio, int, Audio]]) -> None:
    assert len(decoded) == COUNT
    for case, expected, rate, got in decoded:
        name = f"{case.path.name} {case.kind.options} {case.rate} Hz"
        assert got.shape[1] == case.channels, name
        if case.kind.suffix == ".opus":  # ffmpeg decodes at 48 kHz, libsndfile at the rate before: half a sample apart
            expected = resampled(expected, rate)
        longest = max(rate * FRAME_S, case.kind.block)
        assert abs(len(got) - len(expected)) <= longest, f"{name}: expected {len(expected)}, got {len(got)}"
        assert difference(got, expected, rate) <= max(case.kind.tolerance, 1e-6), name


@needs_ffmpeg
def test_two_of_them_in_a_row_are_read_like_each_alone(decoded: list[tuple[Case, Audio, int, Audio]]) -> None:
    joining = sorted((case for case, *_ in decoded if case.kind.joins), key=lambda case: case.kind.suffix)
    read_alone = {case.path: (rate, got) for case, _, rate, got in decoded}
    pairs = [(a, b) for a, b in pairwise(joining) if a.kind.suffix == b.kind.suffix]
    assert {a.kind.suffix for a, _ in pairs} == {".wav", ".flac", ".ogg", ".opus", ".mp3"}
    assert any((a.rate, a.channels) != (b.rate, b.channels) for a, b in pairs)
    for first, second in pairs:
        rate, expected = read_alone[first.path]
        file = AudioFile(first.path.read_bytes() + second.path.read_bytes())
        got = np.concatenate(list(file.blocks()))
        np.testing.assert_array_equal(got[: len(expected)], expected)
        second_rate, after = read_alone[second.path]
        assert abs((len(got) - len(expected)) / rate - len(after) / second_rate) < 1e-3


def resampled(samples: Audio, rate: int) -> Audio:
    columns = []
    for channel in samples.T:
        resampler = Resampler(48000, rate)
        columns.append(np.concatenate([resampler.push(np.ascontiguousarray(channel)), resampler.flush()]))
    return np.stack(columns, axis=1)
