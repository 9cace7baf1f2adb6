"""What rc-bench measured, as numbers, JSON and markdown tables. Knows nothing of how it was measured."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

MARKS = "<!-- rc-bench -->", "<!-- /rc-bench -->"  # in a file that --into writes between


@dataclass(frozen=True)
class LoadResult:
    """One load: its size, the server's resources, latency of the decisions, and whether each came as expected."""

    chunk_ms: int
    streams: int
    sockets: int  # fewer than streams where they share them
    cpu_ms_per_stream_s: float
    transport_alone: float | None  # the same of a server that does nothing with its audio
    of_own_sockets: float | None  # cpu_ms_per_stream_s, divided by that of as many sockets as streams
    streams_per_core: int
    p50_ms: float | None  # None without any detection
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
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
class BenchReport:
    """One run of rc-bench."""

    command: str
    measured: str  # date and machine
    rows: tuple[LoadResult, ...]
    files: tuple[FilesResult, ...] = ()

    def to_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps(asdict(self), indent=1)

    def to_markdown(self) -> str:
        """Tables, and where they come from."""
        tables = [table(rows) for rows in (self.rows, self.files) if rows]
        return "\n\n".join([*tables, f"`{self.command}`, {self.measured}"])


def table(rows: Sequence[LoadResult | FilesResult]) -> str:
    """A markdown table of results of one type; `-` stands for what was not measured."""
    columns = [column.name for column in fields(rows[0]) if column.metadata.get("column", True)]
    lines = [columns, ["---"] * len(columns), *([getattr(row, column) for column in columns] for row in rows)]
    lines[0] = [name.replace("_", " ") for name in columns]
    return "\n".join(f"| {' | '.join('-' if cell is None else str(cell) for cell in line)} |" for line in lines)


def write_into(file: Path, text: str) -> None:
    """Put text between the MARKS of a file. SystemExit where it has none."""
    begin, end = MARKS
    content, count = re.subn(f"{begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", file.read_text(), flags=re.DOTALL)
    if not count:
        sys.exit(f"{file}: expected {begin} and {end} to write between, got neither")
    file.write_text(content)
