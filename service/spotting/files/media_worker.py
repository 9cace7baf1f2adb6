"""Decode a media file from standard input to standard output: a line of JSON [rate, channels], then float32 samples.

A script, run in a process of its own with the name of FFmpeg's demuxer and the CPU seconds it may take, 0 for any.
Imports nothing of the service: it must start fast. A failure is the last line on standard error, with status 1.
"""

import io
import json
import resource
import sys
from contextlib import suppress

import av
import av.container

MAX_MEMORY = 2 * 2**30  # bytes
SHORT_S = 0.3  # how much earlier than its header says an MP4 may end


def limit(cpu_s: int) -> None:
    with suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu_s:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))


def decode(content: bytes, demuxer: str) -> None:
    with av.open(io.BytesIO(content), "r", demuxer, metadata_errors="replace") as file:
        if not file.streams.audio:
            raise ValueError("a file without audio")
        stream = file.streams.audio[0]
        stream.codec_context.thread_count = 1
        count, rate = write_samples(file, stream)
        promised_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if demuxer == "mov" and count and count / rate < promised_s - SHORT_S:
            raise ValueError(f"{count / rate:.1f} s, {promised_s:.1f} s as its header says: truncated")


def write_samples(file: av.container.InputContainer, stream: av.AudioStream) -> tuple[int, int]:
    """Returns how many samples a channel there were, and their rate in Hz."""
    out, shape, count = sys.stdout.buffer, (0, 0), 0
    resampler = av.AudioResampler(format="flt")
    for frame in file.decode(stream):
        now = frame.sample_rate, frame.layout.nb_channels
        if not count:
            shape = now
            out.write(json.dumps(shape).encode() + b"\n")
        if now != shape:
            raise ValueError(f"{now[0]} Hz and {now[1]} channels after {shape[0]} and {shape[1]}")
        for samples in resampler.resample(frame):
            out.write(bytes(samples.planes[0])[: samples.samples * samples.layout.nb_channels * 4])
            count += samples.samples
    return count, shape[0]


def main() -> int:
    demuxer, cpu_s = sys.argv[1], int(sys.argv[2])
    limit(cpu_s)
    av.logging.set_level(None)
    try:
        decode(sys.stdin.buffer.read(), demuxer)
        sys.stdout.flush()
    except (av.FFmpegError, ValueError, MemoryError) as error:
        print(getattr(error, "strerror", None) or error or "no memory", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has enough
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
