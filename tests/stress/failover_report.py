"""What came of a run of tests/stress/failover.py: the words of all streams, and the audio and time lost on the way."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from clients.bench.markdown import markdown_table
from clients.bench.measure import percentiles
from clients.connection import Event

NEAR_S = 0.15  # a word may be detected this much earlier or later by a stream that began in the middle
UNTOUCHED, STOPPED, KILLED = "none", "SIGTERM", "SIGKILL"  # what happened to the server of a stream
SERVERS = ("stopped", "killed", "kept", "added")
Word = tuple[str, float]  # label and seconds of audio


@dataclass
class StreamRecord:
    """What happened to one stream."""

    words: list[Word] = field(default_factory=list)
    server_ms: list[tuple[float, float]] = field(default_factory=list)  # time.monotonic, latency of a detection
    sessions: list[str] = field(default_factory=list)  # of its streams, one after another
    breaks: list[Event] = field(default_factory=list)  # `reconnected` events, with `session`, `words` and `away_s`
    errors: list[str] = field(default_factory=list)

    def group(self, sessions: Sequence[set[str]]) -> str:
        """What happened first to a server that it was on; `sessions`: the streams of each server."""
        for broken in self.breaks:
            for name, those in zip((STOPPED, KILLED), sessions, strict=False):
                if broken["session"] in those:
                    return name
        return UNTOUCHED


@dataclass(frozen=True)
class GroupResult:
    """The streams to whose server the same happened."""

    server_got: str
    streams: int
    words: int  # of one stream alone, times streams
    missing: int
    extra: int
    owed_missing: int  # of words decided on when the server went, those that had not been reported by then
    undecided_s_mean: float | None  # audio sent and not decided on when the server went
    undecided_s_max: float | None
    lost_s: float  # audio that no server decided on
    away_s_p50: float | None  # from the break to the next stream
    away_s_max: float | None


@dataclass(frozen=True)
class FailoverReport:
    """One run of the script."""

    command: str
    measured: str
    groups: list[GroupResult]
    streams_open: dict[str, list[int]]  # moment -> streams of each of SERVERS
    p99_ms: dict[str, float | None]  # moment -> latency, since the moment before, of streams whose server got nothing
    breaks: dict[str, int]  # why streams broke off or tries failed -> how often

    def to_markdown(self) -> str:
        """Tables, and where they come from."""
        names = [column.name.replace("_", " ") for column in fields(GroupResult)]
        groups = [list(asdict(group).values()) for group in self.groups]
        moments = [[name, *counts, self.p99_ms[name]] for name, counts in self.streams_open.items()]
        tables = [
            markdown_table(names, groups),
            markdown_table(["streams open", *SERVERS, "p99 ms of the streams of the first row"], moments),
            markdown_table(["break or failed try", "times"], self.breaks.items()),
        ]
        return "\n\n".join([*tables, f"`{self.command}`, {self.measured}"])


def make_report(
    command: str,
    measured: str,
    records: Sequence[StreamRecord],
    words: Sequence[Word],
    sessions: Sequence[set[str]],
    streams_open: dict[str, list[int]],
    moments: dict[str, float],
) -> FailoverReport:
    """The figures of a run.

    Args:
        command: what was run.
        measured: date and machine.
        records: of all streams.
        words: of one stream alone.
        sessions: of each server, in the order of SERVERS.
        streams_open: moment -> streams of each server.
        moments: moment -> `time.monotonic`.
    """
    groups: dict[str, list[StreamRecord]] = {UNTOUCHED: [], STOPPED: [], KILLED: []}
    for record in records:
        groups[record.group(sessions)].append(record)
    went = {UNTOUCHED: set[str](), STOPPED: sessions[0], KILLED: sessions[1]}
    p99_ms, since = {}, 0.0
    for moment, at in moments.items():
        latencies = [ms for record in groups[UNTOUCHED] for when, ms in record.server_ms if since <= when < at]
        p99_ms[moment], since = percentiles(latencies)[2], at
    causes = Counter(message.partition("; t")[0] for record in records for message in record.errors)
    results = [_summarise(name, members, words, went[name]) for name, members in groups.items()]
    return FailoverReport(command, measured, results, streams_open, p99_ms, dict(causes.most_common()))


def compare(expected: Sequence[Word], received: Sequence[Word]) -> tuple[int, int]:
    """How many words are missing, how many were received besides: each matches one of its label within NEAR_S."""
    left, missing = list(received), 0
    for label, time_s in expected:
        match = next((word for word in left if word[0] == label and abs(word[1] - time_s) <= NEAR_S), None)
        if match:
            left.remove(match)
        missing += match is None
    return missing, len(left)


def faults(report: FailoverReport) -> Iterator[str]:
    """What must not have happened, in words."""
    for group in report.groups:
        counts = {name: getattr(group, name) for name in ("missing", "extra", "owed_missing", "lost_s")}
        if any(counts.values()):
            yield f"streams whose server got {group.server_got}: expected no {', '.join(counts)}, got {counts}"
        if not group.streams:
            yield f"expected streams whose server got {group.server_got}, got none"
    *_, last = report.streams_open.values()
    if not last[SERVERS.index("added")]:
        yield f"expected streams on the server that was added, got {last}"


def _summarise(name: str, records: Sequence[StreamRecord], words: Sequence[Word], sessions: set[str]) -> GroupResult:
    """The figures of one group; `sessions`: of the server that went."""
    compared = [compare(words, record.words) for record in records]
    broken = [(record, event) for record in records for event in record.breaks if event["session"] in sessions]
    undecided = [event["undecided_s"] for _, event in broken]
    away = [event["away_s"] for _, event in broken]
    return GroupResult(
        server_got=name,
        streams=len(records),
        words=len(words) * len(records),
        missing=sum(missing for missing, _ in compared),
        extra=sum(extra for _, extra in compared),
        owed_missing=sum(_owed_missing(record, event, words) for record, event in broken),
        undecided_s_mean=round(float(np.mean(undecided)), 2) if broken else None,
        undecided_s_max=round(max(undecided), 2) if broken else None,
        lost_s=round(sum((event["lost_s"] for record in records for event in record.breaks), 0.0), 2),
        away_s_p50=round(float(np.median(away)), 2) if broken else None,
        away_s_max=round(max(away), 2) if broken else None,
    )


def _owed_missing(record: StreamRecord, event: Event, words: Sequence[Word]) -> int:
    owed = [word for word in words if word[1] <= event["audio_time_s"] - NEAR_S]
    return compare(owed, record.words[: event["words"]])[0]
