"""One source of audio over several streams, one after another: its times, and what the next stream is sent again.

Owns the audio that no stream has decided on yet. Knows nothing of sockets or clocks.
"""

from clients.wire import Event

CONTEXT_S = 2.0  # audio that is decided on and sent again: a stream begins without memory, a word takes time
RETRACTED = ("id", "label", "score", "frame", "audio_time_s")  # what a retraction has of its early detection
MARGIN_S = 0.3  # how much sooner or later the new stream may detect a word that the old one was about to detect
FRAMES_S = 0.1  # more than a frame lasts: audio is sent again from the beginning of one
PROGRESS_MS = 1000.0  # how often a server is asked to send scores, which show how far it is


class Continuation:
    """The audio and the events of a source, in its own time: seconds since its first sample or the last `reset`."""

    def __init__(self, sample_rate: int, sample_bytes: int) -> None:
        """`sample_bytes`: of all channels together."""
        self._byte_rate, self._sample_bytes = sample_rate * sample_bytes, sample_bytes
        self._last_id = 0
        self.reset()

    def reset(self) -> None:
        """Begin again at 0 s; ids go on."""
        self._tail = bytearray()  # the newest audio, up to `_end`
        self._end = self._decided = self._settled = self._origin = 0  # bytes of the source
        self._first_id = self._last_id
        self._detections = 0
        self._latest: tuple[str, float] = "", float("-inf")  # final detection: label and time
        self._hidden: dict[int, Event] = {}  # early detections of audio that an earlier stream has decided on
        self._shown: dict[int, Event] = {}  # early detections that were reported and not settled yet
        self.answered = False

    @property
    def undecided_s(self) -> float:
        """Seconds of audio that were sent and not decided on, as far as the events show."""
        return (self._end - self._decided) / self._byte_rate

    @property
    def decided_s(self) -> float:
        """Time up to which the audio is decided on, as far as the events show."""
        return self._decided / self._byte_rate

    def begin(self, ready: Event) -> bytes:
        """A stream begins with this message; returns the audio to send first."""
        config = ready["config"]
        self._frame_s = ready["model"]["frame_ms"] / 1000
        self._refractory_s, self._mode = config["refractory_s"], config["mode"]
        self._settled = self._decided
        start = self._end - len(self._tail)
        wanted = self._aligned(self._settled - CONTEXT_S * self._byte_rate, round(self._frame_s * self._byte_rate))
        self._origin = max(start, wanted)
        self._first_id, self._hidden, self._shown = self._last_id, {}, {}
        return bytes(self._tail[self._origin - start :])

    def interrupt(self) -> list[Event]:
        """The stream broke off: what retracts the early detections that it has not settled."""
        shown, self._shown = self._shown, {}
        return [
            {"type": "retracted", "reason": "lost"} | {name: event[name] for name in RETRACTED}
            for event in shown.values()
        ]

    def sent(self, audio: bytes) -> None:
        """The source goes on with `audio`."""
        self._tail += audio
        self._end += len(audio)
        if self.answered:
            self._decided = self._end  # nothing more can come before a reset
        self._forget()

    def drop(self, longest_s: float) -> float:
        """Give up the oldest audio beyond `longest_s` that is not decided on; returns how much, in seconds."""
        dropped_s = max(0.0, self.undecided_s - longest_s)
        if dropped_s:
            self._advance(self._decided / self._byte_rate + dropped_s)
        return dropped_s

    def receive(self, event: Event) -> list[Event]:
        """The events to report for one of the server, in the time of the source."""
        kind = event["type"]
        if kind == "summary":
            return [self._summarise(event)]
        if "audio_time_s" not in event:
            return [event]
        event = self._translated(event)
        events = self._unreported(event)
        if not (kind == "detection" and event.get("status") == "early"):
            self._advance(event["audio_time_s"])
        return events

    def _summarise(self, event: Event) -> Event:
        self._advance(self._origin_s + event["frames"] * self._frame_s)
        frames = event["frames"] + round(self._origin_s / self._frame_s)
        audio_s = round(self._origin_s + event["audio_s"], 6)
        return {**event, "audio_s": audio_s, "frames": frames, "detections": self._detections}

    def _unreported(self, event: Event) -> list[Event]:
        """The event, unless an earlier stream has reported it; before a confirmation its early detection."""
        early, number = event.get("status") == "early", event.get("id", 0)
        if event["type"] == "scores":
            return [event] if event["audio_time_s"] > self._settled / self._byte_rate else []
        if early and not self._is_new(event):
            self._hidden[number] = event
            return []
        if event["type"] == "retracted":
            return [event] if self._settle(number) else []
        if early:
            self._shown[number] = event
        elif event["type"] in ("detection", "confirmed"):
            return self._final(event, number)
        return [event]

    def _final(self, event: Event, number: int) -> list[Event]:
        was_shown = self._settle(number)
        if not was_shown and not self._is_new(event):
            return []
        self._latest = event["label"], event["audio_time_s"]
        self._detections += 1
        self.answered = self._mode == "utterance"
        early = self._hidden.pop(number, None)
        return [early, event] if early else [event]

    def _settle(self, number: int) -> bool:
        """Whether this early detection was reported; it is settled now."""
        return self._shown.pop(number, None) is not None

    def _is_new(self, event: Event) -> bool:
        """Whether this is another detection than those reported by earlier streams."""
        label, time_s = self._latest
        repeats = event["label"] == label and event["audio_time_s"] - time_s < self._refractory_s
        after_s = self._settled / self._byte_rate - MARGIN_S
        return bool(event["audio_time_s"] > after_s) and not repeats and not self.answered

    def _translated(self, event: Event) -> Event:
        frame = event["frame"] + round(self._origin_s / self._frame_s)
        event = {**event, "audio_time_s": round(self._origin_s + event["audio_time_s"], 6), "frame": frame}
        if "id" in event:
            event["id"] += self._first_id
            self._last_id = max(self._last_id, event["id"])
        return event

    def _advance(self, decided_s: float) -> None:
        """Audio up to here is decided on."""
        decided = self._aligned(decided_s * self._byte_rate)
        self._decided = min(self._end, max(self._decided, decided))
        self._forget()

    def _forget(self) -> None:
        """Drop the audio that no stream will be sent again."""
        keep = self._end - self._aligned(self._decided - (CONTEXT_S + FRAMES_S) * self._byte_rate)
        del self._tail[: max(0, len(self._tail) - keep)]

    def _aligned(self, position: float, frame_bytes: int = 0) -> int:
        """The last whole sample, or frame where it has whole samples, up to a position in bytes."""
        unit = frame_bytes if frame_bytes and not frame_bytes % self._sample_bytes else self._sample_bytes
        return max(0, int(position) // unit * unit)

    @property
    def _origin_s(self) -> float:
        return self._origin / self._byte_rate
