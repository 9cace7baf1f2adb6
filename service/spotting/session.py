"""One stream from bytes to events, without I/O: the caller scores the hops it hands out and gives the scores back.

hops = session.push(data)
events = session.scored(scores of these hops)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.spotting.audio import Pcm, Resampler, Samples, check_amplitude, join, to_float
from service.spotting.config import ConfigWarning, StreamConfig
from service.spotting.decision import ContinuousDecider, Hit, UtteranceDecider
from service.spotting.decision_settings import decision_settings
from service.spotting.early import Decider, EarlyDecider
from service.spotting.events import (
    Confirmed,
    Decision,
    Detection,
    EarlyDetection,
    Event,
    Retracted,
    Scores,
    Summary,
)
from service.spotting.metadata import EARLY_SPEED, FrameScores, Metadata
from service.spotting.pcm import PcmDecoder
from service.spotting.verifier import Judge, VerifiedDecider

DIGITS = 6  # decimal places of a score in an event
NO_SAMPLES = np.zeros(0, np.float32)


@dataclass(slots=True)
class StreamClock:
    """How far a stream has come since it opened or was last reset."""

    received: int = 0  # samples received, at the stream's own rate
    received_at_flush: int = 0  # the same at the last flush
    frames_sent: int = 0  # frames handed out to be scored
    frames_scored: int = 0  # frames whose scores came back
    silence: int = 0  # samples of silence that earlier flushes added
    flush_silence: int = 0  # samples of silence that the flush in progress added
    detections: int = 0


class Session:
    """Decoder, resampler, decision and audio clock of one stream. Raises ProtocolError for a wrong configuration."""

    def __init__(self, model: Metadata, config: StreamConfig, judge: Judge | None = None) -> None:
        """`judge`: of the model's verifier, where it has one; without it the speeds decide by scores alone."""
        self._model, self._hop = model, model.hop
        self._judge = judge if config.mode == "continuous" else None
        self._configure(config)
        self._decoder = PcmDecoder(config.encoding, config.channels)
        self._resampler = Resampler(config.sample_rate, model.sample_rate)
        self._resamples = config.sample_rate != model.sample_rate
        self._decider = self._new_decider()
        self._last_id = 0  # id of the last detection; a reset does not change it
        self._begin()

    def _begin(self) -> None:
        self._open_ids: dict[int, int] = {}  # label -> id of its early detection, until that is settled
        self._partial_hop: Pcm = NO_SAMPLES
        self._clock = StreamClock()
        if self._judge:
            self._judge.reset()

    def push(self, data: bytes) -> Pcm:
        """PCM bytes in, whole hops for the model out, [samples]. Raises AudioError for bytes that are not audio."""
        return self._accept(self._decoder.push(data))

    def push_samples(self, samples: Samples) -> Pcm:
        """The same from float32 mono samples at the stream's rate."""
        return self._accept(check_amplitude(samples))

    def flush(self) -> Pcm:
        """The last hops: what is held back, then silence for the look-ahead. When all are scored, call `finish`."""
        self._decoder.reset()
        if self._clock.received == self._clock.received_at_flush:
            return NO_SAMPLES
        self._clock.received_at_flush = self._clock.received
        tail = self._resampler.flush()
        length = len(self._partial_hop) + len(tail) + self._model.look_ahead
        silence = self._model.look_ahead + -length % self._model.hop
        self._clock.flush_silence = silence
        return self._hand_out(np.concatenate([tail, np.zeros(silence, np.float32)]))

    def scored(self, scores: FrameScores, peak: float = 1.0) -> list[Event]:
        """Take the scores of the next frames handed out.

        Args:
            scores: [frames, labels].
            peak: the highest score of a keyword among them, where the caller has it: saves time.

        Returns:
            Their events, in order of frames.
        """
        clock, already_answered = self._clock, self._decider.answered
        first = clock.frames_scored
        clock.frames_scored += len(scores)
        hits = self._decider.push(scores, peak)
        if self._judge:
            self._judge.forget(clock.frames_scored)
        if self._scores_every and not already_answered:
            stop = hits[0].frame + 1 if self._decider.answered else clock.frames_scored
            frames = range(first + -(first + 1) % self._scores_every, stop, self._scores_every)
            events = [self._scores(frame, scores[frame - first]) for frame in frames]
            return sorted([*events, *map(self._decision, hits)], key=lambda event: event.frame)
        return [self._decision(hit) for hit in hits] if hits else []  # nearly always none

    @property
    def level(self) -> float:
        """Scores of keywords that are all below it would change nothing but the count of frames."""
        return 0.0 if self._scores_every else self._decider.level

    def pass_over(self, frames: int) -> None:
        """The next frames handed out have scores below `level`."""
        self._clock.frames_scored += frames
        self._decider.pass_over(frames)
        if self._judge:
            self._judge.forget(self._clock.frames_scored)

    def finish(self) -> list[Event]:
        """After a flush: in utterance mode the answer, if there was none yet; what settles open early detections."""
        events: list[Event] = [self._decision(hit) for hit in self._decider.finish()]
        self._clock.silence += self._clock.flush_silence
        self._clock.flush_silence = 0
        return events

    def settle(self) -> list[Event]:
        """Retract the early detections that are open; call before `update` and `reset`, and when the stream ends."""
        if not isinstance(self._decider, EarlyDecider):
            return []
        return [self._decision(hit) for hit in self._decider.settle()]

    def reset(self) -> None:
        """Forget the audio so far: the next sample is the first, and scores still on their way are not wanted."""
        self._decoder.reset()
        self._resampler.reset()
        self._decider.reset()
        self._begin()

    def update(self, changes: Mapping[str, Any]) -> list[ConfigWarning]:
        """Change settings from the next frame on; returns warnings. Raises ProtocolError for a wrong value."""
        config, warnings = self._requested.updated(changes)
        self._configure(config)
        self._decider.settings = self._decision_settings
        return warnings

    def summary(self) -> Summary:
        """Audio received (seconds), frames and detections since the last reset."""
        received, rate = self._clock.received, self.config.sample_rate
        frames = received * self._model.sample_rate // (rate * self._model.hop)
        return Summary(received / rate, frames, self._clock.detections)

    @property
    def frames_sent(self) -> int:
        """Frames handed out since the last reset."""
        return self._clock.frames_sent

    @property
    def frames_scored(self) -> int:
        """Frames whose scores have come back since the last reset."""
        return self._clock.frames_scored

    @property
    def outstanding(self) -> int:
        """Frames handed out whose scores have not come back."""
        return self._clock.frames_sent - self._clock.frames_scored

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the rest of their sample."""
        return self._decoder.waiting_bytes

    def _configure(self, config: StreamConfig) -> None:
        self.config = config.resolved(self._model)
        self._requested = config
        every = self.config.scores_every_ms / self._model.frame_ms
        self._scores_every = max(1, round(every)) if every else 0  # frames
        self._decision_settings = decision_settings(self._model, self.config, self._judge is not None)

    def _new_decider(self) -> Decider:
        settings = self._decision_settings
        if self.config.mode == "utterance":
            return UtteranceDecider(settings)
        final = VerifiedDecider(settings, self._judge) if self._judge else ContinuousDecider(settings)
        return EarlyDecider(final) if self.config.early else final

    def _accept(self, samples: Pcm) -> Pcm:
        self._clock.received += len(samples)
        if self._resamples:
            samples = self._resampler.push(to_float(samples))
        return self._hand_out(samples)

    def _hand_out(self, samples: Pcm) -> Pcm:
        if self._decider.answered:
            return NO_SAMPLES  # nothing more can come before a reset
        if len(self._partial_hop):
            samples = join([self._partial_hop, samples])
            self._partial_hop = NO_SAMPLES
        frames, partial = divmod(len(samples), self._hop)
        self._clock.frames_sent += frames
        if partial:
            samples, self._partial_hop = samples[:-partial], samples[-partial:].copy()
        if self._judge:
            self._judge.push(samples)
        return samples

    def _audio_time(self, frame: int) -> float:
        """Stream time in seconds of the newest sample that `frame` needed, never beyond what was really received."""
        needed = (frame + 1) * self._model.hop - self._clock.silence
        return min(needed / self._model.sample_rate, self._clock.received / self.config.sample_rate)

    def _decision(self, hit: Hit) -> Decision:
        facts = self._facts(hit)
        if hit.status == "early":
            self._open_ids[hit.label] = self._last_id = self._last_id + 1
            threshold = min(self._threshold(hit), self._model.speeds[EARLY_SPEED]["continuous"][facts["label"]])
            return EarlyDetection(id=self._last_id, threshold=threshold, crossed=True, status="early", **facts)
        if hit.status == "final":
            self._last_id += 1
            self._clock.detections += 1
            return Detection(id=self._last_id, threshold=self._threshold(hit), crossed=hit.crossed, **facts)
        early_id = self._open_ids.pop(hit.label)
        if hit.status == "confirmed":
            self._clock.detections += 1
            return Confirmed(id=early_id, threshold=self._threshold(hit), **facts)
        return Retracted(id=early_id, reason=hit.status, **facts)

    def _facts(self, hit: Hit) -> dict[str, Any]:
        """What every decision says of itself."""
        label, score = self._model.labels[hit.label], round(hit.score, DIGITS)
        return {"label": label, "score": score, "frame": hit.frame, "audio_time_s": self._audio_time(hit.frame)}

    def _threshold(self, hit: Hit) -> float:
        return self.config.threshold[self._model.labels[hit.label]]

    def _scores(self, frame: int, scores: FrameScores) -> Scores:
        values = (round(score, DIGITS) for score in scores.tolist())
        return Scores(frame, self._audio_time(frame), dict(zip(self._model.labels, values, strict=True)))
