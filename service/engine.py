"""Scores for many streams at once: one thread owns the state of all of them and runs whatever is ready, together.

The thread never waits for a batch to fill: what arrives during a run makes the next run. The event loop puts orders
into a queue and gets the scores of a whole run back in one callback, so nothing here needs a lock.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from service.audio import Samples
from service.model import Model

MAX_FRAMES = 512  # a run, all streams together: bounds how long one stream's long chunks delay the others
FIRST_SLOTS = 16  # doubled whenever they are all taken


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the model: when it began and ended (`time.perf_counter`, seconds), how many streams shared it."""

    began: float
    ended: float
    streams: int


class EngineStream:
    """One stream as the event loop sees it.

    `on_scores(scores [frames, labels], run)` comes for each run, in order; `on_fault(error)` where a run failed.
    """

    def __init__(
        self,
        orders: "queue.SimpleQueue[_Order | None]",
        on_scores: Callable[[Samples, Run], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self.on_scores, self.on_fault = on_scores, on_fault
        self.closed = False
        self.epoch = 0  # resets so far: scores of an earlier epoch are dropped
        self._orders, self._seat = orders, _Seat(self)

    def push(self, hops: Samples) -> None:
        """Queue whole hops, float32 [samples], at least one, to be scored."""
        self._orders.put(_Order(self._seat, self.epoch, hops))

    def reset(self) -> None:
        """Forget all that was queued and heard."""
        self.epoch += 1
        self._orders.put(_Order(self._seat, self.epoch, None))

    def close(self) -> None:
        """Leave: nothing is called back any more."""
        self.closed = True
        self._orders.put(_Order(self._seat, self.epoch, None))


class _Seat:
    """The same stream as the thread sees it: the row of the state that is its own, and the audio it waits with."""

    def __init__(self, stream: EngineStream) -> None:
        self.stream = stream
        self.epoch = 0
        self.slot: int | None = None
        self.samples = 0
        self._pieces: deque[Samples] = deque()

    def add(self, hops: Samples) -> None:
        self._pieces.append(hops)
        self.samples += len(hops)

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
        self._pieces.clear()
        self.samples = 0


@dataclass(frozen=True, slots=True)
class _Order:
    seat: _Seat
    epoch: int
    hops: Samples | None  # None: forget everything and give the slot back


@dataclass(frozen=True, slots=True)
class _Result:
    stream: EngineStream
    epoch: int
    answer: Samples | Exception


class Engine:
    """Runs `model` for all streams of one event loop; `on_run` hears of every run, on the loop."""

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop, on_run: Callable[[Run], None]) -> None:
        self._model, self._loop, self._on_run = model, loop, on_run
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._state = model.initial_state(FIRST_SLOTS)
        self._free = list(range(FIRST_SLOTS))
        self._slots = FIRST_SLOTS
        self._ready: dict[_Seat, None] = {}  # ordered: the seats with audio waiting
        self._thread = threading.Thread(target=self._work, name=f"engine-{model.metadata.name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def open(self, on_scores: Callable[[Samples, Run], None], on_fault: Callable[[Exception], None]) -> EngineStream:
        """A new stream; close it when it is over."""
        return EngineStream(self._orders, on_scores, on_fault)

    def close(self) -> None:
        """Stop the thread. Audio still waiting is not scored."""
        self._orders.put(None)
        self._thread.join()

    # From here on: the thread.

    def _work(self) -> None:
        while True:
            try:
                order = self._orders.get(block=not self._ready)
            except queue.Empty:
                self._run(list(self._ready))
                continue
            if order is None:
                return
            self._obey(order)

    def _obey(self, order: _Order) -> None:
        seat = order.seat
        if order.hops is None:
            seat.clear()
            seat.epoch = order.epoch
            self._ready.pop(seat, None)
            if seat.slot is not None:
                self._free.append(seat.slot)
                seat.slot = None
        else:
            seat.add(order.hops)
            self._ready[seat] = None

    def _run(self, seats: list[_Seat]) -> None:
        """Score as many frames as every seat has, and hand them over."""
        began = perf_counter()
        try:
            answers = list(self._score(seats))
        except Exception as error:  # whatever it is, the thread goes on for the other streams
            for seat in seats:
                seat.clear()
            answers = [error] * len(seats)
        run = Run(began, perf_counter(), len(seats))
        for seat in seats:
            if not seat.samples:
                del self._ready[seat]
        results = [_Result(seat.stream, seat.epoch, answer) for seat, answer in zip(seats, answers, strict=True)]
        self._loop.call_soon_threadsafe(self._deliver, results, run)

    def _score(self, seats: list[_Seat]) -> Samples:
        """Scores [seats, frames, labels]; touches the rows of these seats only."""
        hop = self._model.metadata.hop
        frames = min(min(seat.samples for seat in seats) // hop, max(1, MAX_FRAMES // len(seats)))
        # bytes are joined without letting the event loop in between, unlike arrays, each of which would wait for it
        audio = b"".join(piece.data for seat in seats for piece in seat.take(frames * hop))
        rows = np.frombuffer(audio, np.float32).reshape(len(seats), -1)
        slots = np.array([self._slot(seat) for seat in seats])
        scores, after = self._model.run(rows, {name: array.take(slots, axis=0) for name, array in self._state.items()})
        for name, array in after.items():
            self._state[name][slots] = array
        return scores

    def _slot(self, seat: _Seat) -> int:
        """The seat's row; a new one starts from zeros."""
        if seat.slot is None:
            if not self._free:
                self._grow()
            seat.slot = self._free.pop()
            for array in self._state.values():
                array[seat.slot] = 0
        return seat.slot

    def _grow(self) -> None:
        more = self._model.initial_state(self._slots)
        self._state = {name: np.concatenate([array, more[name]]) for name, array in self._state.items()}
        self._free = list(range(self._slots, 2 * self._slots))
        self._slots *= 2

    # And back on the event loop.

    def _deliver(self, results: list[_Result], run: Run) -> None:
        self._on_run(run)
        for result in results:
            stream = result.stream
            if stream.closed or result.epoch != stream.epoch:
                continue
            if isinstance(result.answer, Exception):
                stream.on_fault(result.answer)
                continue
            try:
                stream.on_scores(result.answer, run)
            except Exception as error:  # the other streams of the run still get theirs
                stream.on_fault(error)
