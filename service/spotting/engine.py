"""Scores for many streams at once: whatever is ready is run together, on a thread of its own.

What arrives during a run is run next, together, so the batches grow with the load. All else happens on the event
loop: thread and loop seldom need the interpreter at the same time, and nothing here needs a lock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from service.spotting.audio import Samples
from service.spotting.metadata import FrameScores
from service.spotting.model import Model, State

MAX_FRAMES_PER_RUN = 128  # all streams together: more are no cheaper
MAX_FRAMES_PER_STREAM = 16  # in one run: the long chunks of one stream delay the others
FIRST_ROWS = 16  # of the state; doubled whenever all are taken
PACE_S = 0.004  # between two batches: small runs make every frame more expensive


@dataclass(frozen=True, slots=True)
class InferenceTiming:
    """One run of the model, in seconds of the engine's clock: since when its first stream waited, began, ended."""

    waiting_since: float
    began: float
    ended: float
    streams: int  # that shared it


class EngineSlot:
    """One stream: its audio that waits to be scored, and its row of the state.

    `on_scores(scores [frames, labels], run)` is called for each run, in order; `on_fault(error)` when a run failed.
    """

    def __init__(
        self,
        engine: "Engine",
        on_scores: Callable[[FrameScores, InferenceTiming], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self.on_scores, self.on_fault = on_scores, on_fault
        self.row: int | None = None  # of the state; None until its first audio
        self.samples = 0  # waiting to be scored
        self.epoch = 0  # resets so far: the scores of a run of an earlier epoch are dropped
        self._engine = engine
        self._pieces: deque[Samples] = deque()

    def push(self, hops: Samples) -> None:
        """Queue whole hops, float32 [samples], at least one, to be scored."""
        self._pieces.append(hops)
        self.samples += len(hops)
        self._engine.enqueue(self)

    def take(self, samples: int) -> Iterator[Samples]:
        """The pieces that have waited longest, `samples` samples in all."""
        self.samples -= samples
        while samples:
            piece = self._pieces.popleft()
            if len(piece) > samples:
                self._pieces.appendleft(piece[samples:])
                piece = piece[:samples]
            samples -= len(piece)
            yield piece

    def clear(self) -> None:
        """Forget the audio that waits."""
        self._pieces.clear()
        self.samples = 0

    def reset(self) -> None:
        """Forget all audio so far; no scores of it are handed over any more."""
        self.clear()
        self.epoch += 1
        self._engine.release(self)

    close = reset  # when the stream is over


class Engine:
    """Runs `model` for all streams of one event loop; `on_run` is called after every run, on the loop."""

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
        self._thread = ThreadPoolExecutor(1, f"engine-{model.metadata.name}")
        self._state = model.initial_state(FIRST_ROWS)
        self._free = list(range(FIRST_ROWS))
        self._rows = FIRST_ROWS
        self._ready: dict[EngineSlot, float] = {}  # the streams with audio waiting, since when; in that order
        self._running = 0  # runs submitted to the thread
        self._scheduled = False  # whether the next batch is
        self._next_s = 0.0  # loop time before which it is not submitted

    def open(
        self, on_scores: Callable[[FrameScores, InferenceTiming], None], on_fault: Callable[[Exception], None]
    ) -> EngineSlot:
        """A new stream; close it when it is over."""
        return EngineSlot(self, on_scores, on_fault)

    def close(self) -> None:
        """Stop the thread. Audio still waiting is not scored."""
        self._ready.clear()
        self._thread.shutdown()

    def enqueue(self, slot: EngineSlot) -> None:
        """A stream has audio waiting."""
        if slot not in self._ready:
            self._ready[slot] = self._clock()
        self._schedule()

    def release(self, slot: EngineSlot) -> None:
        """A stream needs neither scores nor its row any more."""
        self._ready.pop(slot, None)
        if slot.row is not None:
            self._free.append(slot.row)
            slot.row = None

    def _schedule(self) -> None:
        if self._ready and not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_at(max(self._next_s, self._loop.time()), self._submit_waiting)

    def _submit_waiting(self) -> None:
        """Submit all that waits, up to MAX_FRAMES_PER_STREAM of each; streams with equally many frames share a run."""
        self._scheduled = False
        waiting, self._ready = self._ready, {}
        while waiting:
            frames = min(next(iter(waiting)).samples // self._hop, MAX_FRAMES_PER_STREAM)
            long_enough = (slot for slot in waiting if slot.samples >= frames * self._hop)
            slots = list(islice(long_enough, MAX_FRAMES_PER_RUN // frames))
            self._submit(slots, frames, min(waiting[slot] for slot in slots))
            for slot in slots:
                since = waiting.pop(slot)
                if slot.samples:
                    self._ready[slot] = since
        self._next_s = self._loop.time() + (0 if self._ready else PACE_S)

    def _submit(self, slots: list[EngineSlot], frames: int, waiting_since: float) -> None:
        """Have the thread score the next `frames` frames of each stream."""
        audio = b"".join([piece.data for slot in slots for piece in slot.take(frames * self._hop)])
        rows = np.frombuffer(audio, np.float32).reshape(len(slots), -1)
        state_rows = [self._row_of(slot) for slot in slots]
        state = {name: array.take(state_rows, axis=0) for name, array in self._state.items()}
        epochs = [(slot, slot.epoch) for slot in slots]
        self._running += 1
        run = self._loop.run_in_executor(self._thread, self._run, rows, state, waiting_since)
        run.add_done_callback(lambda run: self._finish(epochs, run))

    def _run(self, rows: Samples, state: State, waiting_since: float) -> tuple[FrameScores, State, InferenceTiming]:
        """What the thread does."""
        began = self._clock()
        scores, after = self._model.run(rows, state)
        return scores, after, InferenceTiming(waiting_since, began, self._clock(), len(rows))

    def _finish(
        self, epochs: list[tuple[EngineSlot, int]], done: "asyncio.Future[tuple[FrameScores, State, InferenceTiming]]"
    ) -> None:
        """Put the states back and hand the scores over."""
        self._running -= 1
        if done.cancelled():
            return
        current = [(row, slot) for row, (slot, epoch) in enumerate(epochs) if slot.epoch == epoch]
        try:
            scores, after, run = done.result()
        except Exception as error:  # whatever it is, other streams go on
            for _, slot in current:
                slot.reset()
                slot.on_fault(error)
        else:
            rows, state_rows = [row for row, _ in current], [slot.row or 0 for _, slot in current]
            for name, array in after.items():
                self._state[name][state_rows] = array[rows]
            self._on_run(run)
            for row, slot in current:
                _hand_over(slot, scores[row], run)
        self._schedule()

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


def _hand_over(slot: EngineSlot, scores: FrameScores, run: InferenceTiming) -> None:
    try:
        slot.on_scores(scores, run)
    except Exception as error:  # the other streams of the run still get their scores
        slot.on_fault(error)
