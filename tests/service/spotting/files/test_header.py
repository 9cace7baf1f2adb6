import io
import struct

import numpy as np
import pytest
import soundfile

from service.spotting.audio import AudioError
from service.spotting.files.header import file_format
from service.spotting.pcm import PcmDecoder
from tests.support.speech import pcm, synthesize

WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm"
MP4 = b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00"


def sound_file(kind: str, rate: int = 16000, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, synthesize("yes", rate=rate), rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("WAV", sound_file("WAV")),
        ("WAV", sound_file("RF64")),
        ("AIFF", sound_file("AIFF")),
        ("FLAC", sound_file("FLAC")),
        ("Ogg", sound_file("OGG", subtype="VORBIS")),
        ("Ogg", sound_file("OGG", subtype="OPUS")),
        ("MP3", b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(300)),
        ("WebM", WEBM),
        ("MP4", MP4),
    ],
)
def test_a_header_is_named(name: str, data: bytes) -> None:
    assert file_format(data[:1280]) == name


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_mp3_without_a_tag_is_named_by_two_frames(rate: int) -> None:
    data = sound_file("MP3", rate)
    assert data[0] == 0xFF
    assert file_format(data[:3000]) == "MP3"
    assert file_format(data[:100]) is None  # not enough to be sure


def test_samples_are_not_taken_for_a_header() -> None:
    rng = np.random.default_rng(0)
    streams = [pcm(synthesize("yes", seed=seed)) for seed in range(50)] + [rng.bytes(1280) for _ in range(5000)]
    like_mpeg = [struct.pack("<h", -1025) + rng.bytes(1278) for _ in range(2000)]  # FF FB, the usual MP3 header
    assert [file_format(data) for data in [b"", b"R", *streams]] == [None] * (len(streams) + 2)
    assert sum(file_format(data) is not None for data in like_mpeg) <= 1


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_mulaw"])
def test_a_file_at_the_beginning_of_a_stream_is_an_error(encoding: str) -> None:
    with pytest.raises(AudioError) as refused:
        PcmDecoder(encoding, 1).push(sound_file("FLAC"))
    assert str(refused.value) == (
        f"expected samples as {encoding}, got the header of a sound file (FLAC): "
        "decode it before sending, or send the whole file to /v1/classify"
    )


def test_what_comes_after_the_first_message_is_never_taken_for_a_file() -> None:
    decoder = PcmDecoder("pcm_s16le", 1)
    decoder.push(bytes(2))
    decoder.reset()
    assert len(decoder.push(b"OggS")) == 2
