"""What rc-bench measured, as numbers, JSON and markdown tables. Knows nothing of how it was measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from clients.bench.early import EarlyCost
from clients.bench.markdown import markdown_table, write_sections

SECTIONS = ("rc-bench", "rc-bench chunks", "rc-bench sockets")  # names of the marks that --into writes between


@dataclass(frozen=True)
class LoadResult:
    """One load: its size, the server's resources, latency of the decisions, and whether each came as expected."""

    chunk_ms: int
    streams: int
    sockets: int  # fewer than streams where they share them
    silent: float  # share of the streams that are silent at any time
    cpu_ms_per_stream_s: float
    transport_alone: float | None  # the same of a server that does nothing with its audio
    of_transport: float | None  # the first, divided by the second
    of_own_sockets: float | None  # cpu_ms_per_stream_s, divided by that of as many sockets as streams
    streams_per_core: int
    p50_ms: float | None  # None without any detection
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    wait_ms: float | None  # from the last sample of a detection to the end of its message, on average
    lag_p50_ms: float | None  # the wait for the rest of the message and the way to the client included
    lag_p99_ms: float | None
    memory_kib_per_stream: float
    batch: float  # streams per run of the model
    found: int
    expected: int
    failed: int
    load_late_p99_ms: float
    why: dict[str, int] = field(metadata={"column": False})  # the most frequent failures and their counts


@dataclass(frozen=True)
class FilesResult:
    """One file format: one-second clips that a second of CPU time classifies, all together and one by one."""

    format: str
    clips: int
    clips_per_cpu_s: int
    one_by_one: int
    ratio: float


@dataclass(frozen=True)
class ChunkCost:
    """What a length of chunk costs the server and its client, at one number of streams."""

    streams: int
    chunk_ms: int
    wait_ms: float | None
    lag_p50_ms: float | None
    cpu_ms_per_stream_s: float
    of_the_shortest: float  # CPU time, divided by that of the shortest chunk


@dataclass(frozen=True)
class SocketCost:
    """What streams cost the server on sockets of their own and on shared ones."""

    streams: int
    sockets: int
    silent: float
    chunk_ms: int
    cpu_ms_per_stream_s: float
    of_own_sockets: float | None
    transport_alone: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class BenchReport:
    """One run of rc-bench."""

    command: str
    measured: str  # date and machine
    rows: tuple[LoadResult, ...]
    files: tuple[FilesResult, ...] = ()
    early: tuple[EarlyCost, ...] = ()

    def to_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps(asdict(self), indent=1)

    def to_markdown(self) -> str:
        """Tables of everything, and where they come from."""
        return self._section(self.rows, self.files, self.early)

    def sections(self) -> dict[str, str]:
        """What was measured, by name: all of it, what chunks cost, and what shared sockets save."""
        talking = [row for row in self.rows if not row.silent]
        tables: list[Sequence[Row]] = [chunk_costs(talking), socket_costs(self.rows)]
        return {SECTIONS[0]: self.to_markdown()} | {
            name: self._section(rows) for name, rows in zip(SECTIONS[1:], tables, strict=True) if rows
        }

    def _section(self, *tables: "Sequence[Row]") -> str:
        return "\n\n".join([*(table(rows) for rows in tables if rows), f"`{self.command}`, {self.measured}"])


Row = LoadResult | FilesResult | EarlyCost | ChunkCost | SocketCost


def chunk_costs(rows: Sequence[LoadResult]) -> list[ChunkCost]:
    """One for each chunk, where several were measured; streams have sockets of their own."""
    costs = []
    for streams in sorted({row.streams for row in rows}):
        chunks = sorted((row for row in rows if row.streams == row.sockets == streams), key=lambda row: row.chunk_ms)
        if len(chunks) > 1:
            shortest = max(chunks[0].cpu_ms_per_stream_s, 1e-3)
            costs += [
                ChunkCost(
                    streams=streams,
                    chunk_ms=row.chunk_ms,
                    wait_ms=row.wait_ms,
                    lag_p50_ms=row.lag_p50_ms,
                    cpu_ms_per_stream_s=row.cpu_ms_per_stream_s,
                    of_the_shortest=round(row.cpu_ms_per_stream_s / shortest, 2),
                )
                for row in chunks
            ]
    return costs


def socket_costs(rows: Sequence[LoadResult]) -> list[SocketCost]:
    """The loads that were measured on shared sockets too."""
    shared = {(row.streams, row.chunk_ms, row.silent) for row in rows if row.sockets < row.streams}
    names = [column.name for column in fields(SocketCost)]
    return [
        SocketCost(**{name: getattr(row, name) for name in names})
        for row in rows
        if (row.streams, row.chunk_ms, row.silent) in shared
    ]


def table(rows: Sequence[Row]) -> str:
    """A markdown table of results of one type."""
    columns = [column.name for column in fields(rows[0]) if column.metadata.get("column", True)]
    cells = ([getattr(row, column) for column in columns] for row in rows)
    return markdown_table([name.replace("_", " ") for name in columns], cells)


def write_into(file: Path, report: BenchReport) -> bool:
    """Put the sections of a report between their marks; whether all of it is in. SystemExit without any mark."""
    return SECTIONS[0] in write_sections(file, report.sections())
