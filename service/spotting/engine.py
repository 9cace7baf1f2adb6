"""Scores for many streams at once: whatever is ready is run together, on a thread of its own.

What arrives while some is run is run next, together, so the batches grow with the load by themselves. All else happens
on the event loop: thread and loop seldom need the interpreter at the same time, and nothing here needs a lock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import numpy as np

from service.spotting.audio import Samples
from service.spotting.model import Model, State

MAX_FRAMES = 128  # a run, all streams together: more are no cheaper
LONGEST = 16  # frames a run that one stream may have: its long chunks delay the others
FIRST_SLOTS = 16  # doubled whenever they are all taken
PACE_S = 0.004  # from one time that all was taken to the next: small runs make every frame dearer


@dataclass(frozen=True, slots=True)
class InferenceTiming:
    """One run of the model, in `time.perf_counter` seconds: since when its first stream waited, began, ended."""

    waiting_since: float
    began: float
    ended: float
    streams: int  # that shared it


class EngineSlot:
    """One stream: the audio it waits with, and the row of the state that is its own.

    `on_scores(scores [frames, labels], run)` comes for each run, in order; `on_fault(error)` where a run failed.
    """

    def __init__(
        self,
        engine: "Engine",
        on_scores: Callable[[Samples, InferenceTiming], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self.on_scores, self.on_fault = on_scores, on_fault
        self.slot: int | None = None
        self.samples = 0  # that wait
        self.epoch = 0  # resets so far: what a run of an earlier epoch gives is dropped
        self._engine = engine
        self._pieces: deque[Samples] = deque()

    def push(self, hops: Samples) -> None:
        """Queue whole hops, float32 [samples], at least one, to be scored."""
        self._pieces.append(hops)
        self.samples += len(hops)
        self._engine.enqueue(self)

    def take(self, samples: int) -> Iterator[Samples]:
        """The pieces of so many samples, those that have waited longest."""
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
        """Forget all that was queued and heard; nothing of it is called back any more."""
        self.clear()
        self.epoch += 1
        self._engine.release(self)

    close = reset  # the last one


class Engine:
    """Runs `model` for all streams of one event loop; `on_run` hears of every run, on the loop."""

    def __init__(
        self, model: Model, loop: asyncio.AbstractEventLoop, on_run: Callable[[InferenceTiming], None]
    ) -> None:
        self._model, self._loop, self._on_run = model, loop, on_run
        self._hop = model.metadata.hop
        self._thread = ThreadPoolExecutor(1, f"engine-{model.metadata.name}")
        self._state = model.initial_state(FIRST_SLOTS)
        self._free = list(range(FIRST_SLOTS))
        self._slots = FIRST_SLOTS
        self._ready: dict[EngineSlot, float] = {}  # the streams with audio waiting, since when; in that order
        self._running = 0  # runs given to the thread
        self._due = False  # more will be
        self._next = 0.0  # loop time before which they are not

    def open(
        self, on_scores: Callable[[Samples, InferenceTiming], None], on_fault: Callable[[Exception], None]
    ) -> EngineSlot:
        """A new stream; close it when it is over."""
        return EngineSlot(self, on_scores, on_fault)

    def close(self) -> None:
        """Stop the thread. Audio still waiting is not scored."""
        self._ready.clear()
        self._thread.shutdown()

    def enqueue(self, stream: EngineSlot) -> None:
        """A stream has audio waiting."""
        self._ready.setdefault(stream, perf_counter())
        self._schedule()

    def release(self, stream: EngineSlot) -> None:
        """A stream wants neither scores nor its slot any more."""
        self._ready.pop(stream, None)
        if stream.slot is not None:
            self._free.append(stream.slot)
            stream.slot = None

    def _schedule(self) -> None:
        if self._ready and not self._running and not self._due:
            self._due = True
            self._loop.call_at(max(self._next, self._loop.time()), self._begin)

    def _begin(self) -> None:
        """Give the thread all that waits, up to LONGEST frames of a stream; streams with equally many share a run."""
        self._due = False
        waiting, self._ready = self._ready, {}
        while waiting:
            frames = min(next(iter(waiting)).samples // self._hop, LONGEST)
            enough = (stream for stream in waiting if stream.samples >= frames * self._hop)
            streams = list(islice(enough, MAX_FRAMES // frames))
            self._run(streams, frames, min(waiting[stream] for stream in streams))
            for stream in streams:
                since = waiting.pop(stream)
                if stream.samples:
                    self._ready[stream] = since
        self._next = self._loop.time() + (0 if self._ready else PACE_S)

    def _run(self, streams: list[EngineSlot], frames: int, waiting_since: float) -> None:
        """Give the thread so many frames of each stream."""
        audio = b"".join([piece.data for stream in streams for piece in stream.take(frames * self._hop)])
        rows = np.frombuffer(audio, np.float32).reshape(len(streams), -1)
        slots = [self._slot(stream) for stream in streams]
        state = {name: array.take(slots, axis=0) for name, array in self._state.items()}
        places = [(stream, stream.epoch) for stream in streams]
        self._running += 1
        run = self._loop.run_in_executor(self._thread, self._timed, rows, state, waiting_since)
        run.add_done_callback(lambda run: self._end(places, run))

    def _timed(self, rows: Samples, state: State, waiting_since: float) -> tuple[Samples, State, InferenceTiming]:
        """The thread's part."""
        began = perf_counter()
        scores, after = self._model.run(rows, state)
        return scores, after, InferenceTiming(waiting_since, began, perf_counter(), len(rows))

    def _end(
        self, places: list[tuple[EngineSlot, int]], done: "asyncio.Future[tuple[Samples, State, InferenceTiming]]"
    ) -> None:
        """Put the states back and hand the scores over."""
        self._running -= 1
        if done.cancelled():
            return
        there = [(i, stream) for i, (stream, epoch) in enumerate(places) if stream.epoch == epoch]
        try:
            scores, after, run = done.result()
        except Exception as error:  # whatever it is, the other streams go on
            for _, stream in there:
                stream.reset()
                stream.on_fault(error)
        else:
            rows, slots = [i for i, _ in there], [stream.slot or 0 for _, stream in there]
            for name, array in after.items():
                self._state[name][slots] = array[rows]
            self._on_run(run)
            for i, stream in there:
                _hand_over(stream, scores[i], run)
        self._schedule()

    def _slot(self, stream: EngineSlot) -> int:
        """The stream's row; a new one starts from zeros."""
        if stream.slot is None:
            if not self._free:
                self._grow()
            stream.slot = self._free.pop()
            for array in self._state.values():
                array[stream.slot] = 0
        return stream.slot

    def _grow(self) -> None:
        more = self._model.initial_state(self._slots)
        self._state = {name: np.concatenate([array, more[name]]) for name, array in self._state.items()}
        self._free = list(range(self._slots, 2 * self._slots))
        self._slots *= 2


def _hand_over(stream: EngineSlot, scores: Samples, run: InferenceTiming) -> None:
    try:
        stream.on_scores(scores, run)
    except Exception as error:  # the other streams of the run still get theirs
        stream.on_fault(error)
