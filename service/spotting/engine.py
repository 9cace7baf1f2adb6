"""Scores for many streams at once: whatever has arrived is run together, on the event loop.

What arrives during a run is run next, together, so the batches grow with the load. A run is short, as few frames share
it; a thread for it would cost more in hand-overs than it could save.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.spotting.audio import Pcm, join
from service.spotting.metadata import FrameScores
from service.spotting.model import Model

MAX_FRAMES_PER_RUN = 192  # all streams together: more are no cheaper, and the loop waits for each run
MAX_FRAMES_PER_STREAM = 16  # in one run: the long chunks of one stream delay the others
FIRST_ROWS = 16  # of the state; doubled whenever all are taken
MIN_PACE_S, MAX_PACE_S = 0.004, 0.014  # between two batches: small runs make every frame more expensive
LATE_S = 0.05  # after which a stream gets all its scores, as it may have waited too long for them
MAX_PACE_STREAMS = 400  # streams from which on the pace is the longest: CPU time is scarce


@dataclass(frozen=True, slots=True)
class InferenceTiming:
    """One run of the model, in seconds of the engine's clock: since when its first stream waited, began, ended."""

    waiting_since: float
    began: float
    ended: float
    streams: int  # that shared it


OnScores = Callable[[FrameScores, float, InferenceTiming], None]


class EngineSlot:
    """One stream: its audio that waits to be scored, and its row of the state.

    `on_scores(scores [frames, labels], peak, run)` is called for each run, in order; peak is the highest score of a
    keyword among them. `on_fault(error)` is called when a run failed. Scores with a peak below `level`, which the
    stream sets, are not handed over, but for late ones: their frames are counted in `passed`.
    """

    def __init__(self, engine: "Engine", on_scores: OnScores, on_fault: Callable[[Exception], None]) -> None:
        self.on_scores, self.on_fault = on_scores, on_fault
        self.row: int | None = None  # of the state; None until its first audio is scored, and after a reset
        self.samples = 0  # waiting to be scored
        self.level, self.passed = 0.0, 0
        self._engine = engine
        self._pieces: deque[Pcm] = deque()

    def push(self, hops: Pcm) -> None:
        """Queue whole hops, [samples], at least one, to be scored."""
        self._pieces.append(hops)
        self.samples += len(hops)
        self._engine.enqueue(self)

    def take(self, samples: int) -> list[Pcm]:
        """The pieces that have waited longest, `samples` samples in all."""
        taken = []
        self.samples -= samples
        while samples:
            piece = self._pieces.popleft()
            if len(piece) > samples:
                self._pieces.appendleft(piece[samples:])
                piece = piece[:samples]
            samples -= len(piece)
            taken.append(piece)
        return taken

    def reset(self) -> None:
        """Forget all audio so far; no scores of it are handed over any more."""
        self._pieces.clear()
        self.samples = self.passed = 0
        self.level = 0.0
        self._engine.release(self)

    def close(self) -> None:
        """The stream is over: nothing calls it any more, and nothing here keeps it."""
        self.reset()
        self.on_scores = self.on_fault = _ignore


class Engine:
    """Runs `model` for all streams of one event loop; `on_run` is called after every run."""

    def __init__(
        self,
        model: Model,
        loop: asyncio.AbstractEventLoop,
        on_run: Callable[[InferenceTiming], None],
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives the seconds of InferenceTiming; no decision depends on them."""
        self._model, self._loop, self._on_run, self._clock = model, loop, on_run, clock
        self._hop = model.metadata.hop
        self._keywords = [model.metadata.labels.index(keyword) for keyword in model.metadata.keywords]
        self._state = model.initial_state(FIRST_ROWS)
        self._free = list(range(FIRST_ROWS))
        self._rows = FIRST_ROWS
        self._ready: dict[EngineSlot, float] = {}  # the streams with audio waiting, since when; in that order
        self._batch: dict[EngineSlot, float] = {}  # those of the current batch that have not been run yet
        self._timer: asyncio.TimerHandle | None = None  # of the next run
        self._next_s = 0.0  # loop time before which the next batch does not begin

    def open(self, on_scores: OnScores, on_fault: Callable[[Exception], None]) -> EngineSlot:
        """A new stream; close it when it is over."""
        return EngineSlot(self, on_scores, on_fault)

    def enqueue(self, slot: EngineSlot) -> None:
        """A stream has audio waiting."""
        if slot not in self._batch and slot not in self._ready:
            self._ready[slot] = self._clock()
        if self._timer is None:
            self._schedule()

    def release(self, slot: EngineSlot) -> None:
        """A stream needs neither scores nor its row any more."""
        self._batch.pop(slot, None)
        self._ready.pop(slot, None)
        if slot.row is not None:
            self._free.append(slot.row)
            slot.row = None

    def _schedule(self) -> None:
        if self._timer is None and (self._batch or self._ready):
            at_s = self._loop.time() if self._batch else max(self._next_s, self._loop.time())
            self._timer = self._loop.call_at(at_s, self._run_next)

    def _pace_s(self) -> float:
        """From the beginning of a batch to that of the next."""
        load = (self._rows - len(self._free)) / MAX_PACE_STREAMS
        return max(MIN_PACE_S, MAX_PACE_S * min(1.0, load**2))

    def _run_next(self) -> None:
        """Score some streams of the batch; the loop does all else that is due before the others."""
        self._timer = None
        if not self._batch:
            self._batch, self._ready = self._ready, {}
            self._next_s = self._loop.time() + self._pace_s()
        if not self._batch:  # all have been released
            return
        slots, frames, waiting_since = self._next_streams()
        pieces: list[Pcm] = []
        for slot in slots:
            pieces += slot.take(frames * self._hop)
        began = self._clock()
        try:
            rows = np.array([self._row_of(slot) for slot in slots])
            scores = self._model.advance(join(pieces).reshape(len(slots), -1), self._state, rows)
        except Exception as error:  # whatever it is, other streams go on
            for slot in slots:
                slot.reset()
                slot.on_fault(error)
        else:
            run = InferenceTiming(waiting_since, began, self._clock(), len(slots))
            self._on_run(run)
            peaks = scores.max(axis=1).take(self._keywords, axis=1).max(axis=1).tolist()
            is_late = run.ended - run.waiting_since > LATE_S
            for slot, row, peak in zip(slots, scores, peaks, strict=True):
                if peak < slot.level and not is_late:
                    slot.passed += frames
                else:
                    _hand_over(slot, row, peak, run)
        self._schedule()

    def _next_streams(self) -> tuple[list[EngineSlot], int, float]:
        """Streams of the batch that share a run, the frames to score of each, and since when the first of them waits.

        They have equally many frames. What a stream has beyond MAX_FRAMES_PER_STREAM is for the batch after this.
        """
        frames = min(next(iter(self._batch)).samples // self._hop, MAX_FRAMES_PER_STREAM)
        samples = frames * self._hop
        slots = [slot for slot in self._batch if slot.samples >= samples][: MAX_FRAMES_PER_RUN // frames]
        waiting_since = [self._batch.pop(slot) for slot in slots]
        for slot, since in zip(slots, waiting_since, strict=True):
            if slot.samples > samples:
                self._ready[slot] = since
                self._next_s = 0.0
        return slots, frames, min(waiting_since)

    def _row_of(self, slot: EngineSlot) -> int:
        """The stream's row; a new one starts from zeros."""
        if slot.row is None:
            if not self._free:
                self._grow()
            slot.row = self._free.pop()
            for array in self._state.values():
                array[slot.row] = 0
        return slot.row

    def _grow(self) -> None:
        more = self._model.initial_state(self._rows)
        self._state = {name: np.concatenate([array, more[name]]) for name, array in self._state.items()}
        self._free = list(range(self._rows, 2 * self._rows))
        self._rows *= 2


def _ignore(*_: object) -> None:
    """What a closed stream does with scores and faults."""


def _hand_over(slot: EngineSlot, scores: FrameScores, peak: float, run: InferenceTiming) -> None:
    if slot.row is None:  # another stream of the run has closed this one
        return
    try:
        slot.on_scores(scores, peak, run)
    except Exception as error:  # the other streams of the run still get their scores
        slot.on_fault(error)
