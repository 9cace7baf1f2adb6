"""What many open microphones need, by arithmetic from what was measured: cores, memory, bandwidth, sockets, metrics.

The measurements are read from files that commands wrote; nothing here is measured or guessed.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.spotting.audio import SAMPLE_RATE
from service.spotting.pcm import WIDTHS

UTILISATION = 0.7  # share of a core's streams that a server admits: decisions stay fast, and bursts have room
TARGET = 0.75  # share of those that the autoscaler holds
CHUNK_MS = 40  # chunk of the load by which a server's capacity is taken

# Bytes around the audio of a message, by the standards: RFC 6455 (client frame), RFC 8446 (record), IPv4 and TCP with
# timestamps; a segment holds at most MSS bytes, and every second one is acknowledged.
FRAME_HEAD, SHORT_FRAME_HEAD, SHORT = 8, 6, 125
TLS_RECORD = 22
SEGMENT_HEAD, MSS = 52, 1448


@dataclass(frozen=True)
class Measured:
    """What a server and a proxy cost on one machine."""

    machine: str
    streams_per_core: int
    start_s: float
    memory_mib: float  # memory of a server without a stream
    memory_kib_per_stream: float
    cpu_ms_per_open: float
    cpu_ms_per_stream_s: float
    metrics: int  # samples of one server

    @property
    def max_streams(self) -> int:
        """Streams that one server admits."""
        return int(UTILISATION * self.streams_per_core)


@dataclass(frozen=True)
class Needs:
    """What some number of open microphones needs."""

    streams: int
    servers: int  # servers of one core each
    memory_gib: float
    gbit_per_s: float  # to the servers, TLS included
    sockets: int  # at the proxies: two per stream
    opens_per_s: float  # in steady state
    samples_per_s: float  # samples of metrics


def read_measured(folder: Path) -> Measured:
    """From `data.json` (rc-bench) and `connections.json` (clients.bench.connections).

    The largest load in chunks of CHUNK_MS counts whose every detection came. Raises ValueError where there is none.
    """
    bench = json.loads((folder / "data.json").read_text())
    connections = json.loads((folder / "connections.json").read_text())
    rows = [row for row in bench["rows"] if row["chunk_ms"] == CHUNK_MS and _has_own_sockets(row)]
    whole = [row for row in rows if row["found"] == row["expected"] > 0]
    if not whole:
        raise ValueError(f"expected a load in chunks of {CHUNK_MS} ms with every detection, got {len(rows)} without")
    largest = max(whole, key=lambda row: row["streams"])
    return Measured(
        machine=bench["measured"],
        streams_per_core=largest["streams_per_core"],
        cpu_ms_per_stream_s=largest["cpu_ms_per_stream_s"],
        **{name: connections[name] for name in ("start_s", "memory_mib", "cpu_ms_per_open", "metrics")},
        memory_kib_per_stream=max(largest["memory_kib_per_stream"], connections["memory_kib_per_stream"]),
    )


def bytes_per_s(encoding: str, chunk_ms: float, sample_rate: int = SAMPLE_RATE, tls: bool = True) -> float:
    """Bytes per second on the wire for one stream, up and with its acknowledgements."""
    audio = WIDTHS[encoding] * round(sample_rate * chunk_ms / 1000)
    message = audio + (SHORT_FRAME_HEAD if audio <= SHORT else FRAME_HEAD) + TLS_RECORD * tls
    segments = math.ceil(message / MSS)
    acknowledgements = segments / 2
    return (message + (segments + acknowledgements) * SEGMENT_HEAD) * 1000 / chunk_ms


def needs(streams: int, measured: Measured, session_s: float, scrape_s: float = 15.0) -> Needs:
    """What `streams` microphones need that are open for `session_s` each, as pcm_s16le in chunks of CHUNK_MS."""
    servers = math.ceil(streams / (TARGET * measured.max_streams))
    memory_kib = servers * measured.memory_mib * 1024 + streams * measured.memory_kib_per_stream
    return Needs(
        streams=streams,
        servers=servers,
        memory_gib=round(memory_kib / 2**20, 1),
        gbit_per_s=round(8 * streams * bytes_per_s("pcm_s16le", CHUNK_MS) / 1e9, 2),
        sockets=2 * streams,
        opens_per_s=round(streams / session_s, 1),
        samples_per_s=round(servers * measured.metrics / scrape_s),
    )


def _has_own_sockets(row: dict[str, Any]) -> bool:
    return bool(row.get("sockets", row["streams"]) == row["streams"])
