"""One stream from bytes to events, without I/O: whoever owns it scores the hops it hands out and gives the scores back.

hops = session.push(data)
events = session.scored(scores of these hops)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.spotting.audio import Resampler, Samples, check_amplitude
from service.spotting.config import ResolvedConfig, StreamConfig
from service.spotting.decision import ContinuousDecider, Decision, DecisionSettings, Hit, UtteranceDecider
from service.spotting.events import Detection, Event, Message, Scores, Summary
from service.spotting.model import Metadata
from service.spotting.pcm import PcmDecoder

UNKNOWN = "_unknown_"  # in utterance mode, the answer for the keywords that were not asked for
DIGITS = 6  # of a score in an event
NOTHING = np.zeros(0, np.float32)


class Session:
    """Decoder, resampler, decision and audio clock of one stream. Raises ProtocolError for a wrong configuration."""

    def __init__(self, model: Metadata, config: StreamConfig) -> None:
        self._model = model
        self._configure(config)
        self._decoder = PcmDecoder(config.encoding, config.channels)
        self._resampler = Resampler(config.sample_rate, model.sample_rate)
        self._decision: Decision = (
            UtteranceDecider(self._rule) if config.mode == "utterance" else ContinuousDecider(self._rule)
        )
        self._detections = 0  # of the whole stream: the ids
        self._start()

    def _start(self) -> None:
        self._rest = NOTHING  # samples of a hop that is not whole yet
        self._heard = 0  # samples received, at the stream's own rate
        self._heard_at_flush = 0  # the same at the last flush
        self._sent = 0  # frames handed out
        self._scored = 0  # frames whose scores came back
        self._silence = 0  # samples of silence that earlier flushes put in
        self._silence_of_flush = 0  # and the flush under way
        self._detections_before = self._detections

    def push(self, data: bytes) -> Samples:
        """PCM bytes in, whole hops for the model out, [samples]. Raises BadAudio for numbers that are no audio."""
        return self._hear(self._decoder.push(data))

    def push_samples(self, samples: Samples) -> Samples:
        """The same from float32 mono samples at the stream's rate."""
        return self._hear(check_amplitude(samples))

    def flush(self) -> Samples:
        """The last hops: what is held back, then silence for the look-ahead. When all are scored, call `finish`."""
        self._decoder.reset()
        if self._heard == self._heard_at_flush:
            return NOTHING
        self._heard_at_flush = self._heard
        tail = self._resampler.flush()
        length = len(self._rest) + len(tail) + self._model.look_ahead
        silence = self._model.look_ahead + -length % self._model.hop
        self._silence_of_flush = silence
        return self._hand_out(np.concatenate([tail, np.zeros(silence, np.float32)]))

    def scored(self, scores: Samples) -> list[Event]:
        """Take the scores [frames, labels] of the next frames handed out; returns their events, in order of frames."""
        first, done = self._scored, self._decision.answered
        self._scored += len(scores)
        hits = self._decision.push(scores)
        if self._every and not done:
            stop = hits[0].frame + 1 if self._decision.answered else self._scored
            frames = range(first + -(first + 1) % self._every, stop, self._every)
            events = [self._scores(frame, scores[frame - first]) for frame in frames]
            return sorted([*events, *map(self._detection, hits)], key=lambda event: event.frame)
        return [self._detection(hit) for hit in hits]

    def finish(self) -> list[Event]:
        """After a flush: in utterance mode the answer, if there was none yet."""
        events: list[Event] = [self._detection(hit) for hit in self._decision.finish()]
        self._silence += self._silence_of_flush
        self._silence_of_flush = 0
        return events

    def reset(self) -> None:
        """Forget the audio so far: the next sample is the first, and scores still on their way are not wanted."""
        self._decoder.reset()
        self._resampler.reset()
        self._decision.reset()
        self._start()

    def update(self, changes: Mapping[str, Any]) -> list[Message]:
        """Change settings from the next frame on; returns warnings. Raises ProtocolError for a wrong value."""
        config, warnings = self._asked.updated(changes)
        self._configure(config)
        self._decision.rule = self._rule
        return warnings

    def summary(self) -> Summary:
        frames = self._heard * self._model.sample_rate // (self.config.sample_rate * self._model.hop)
        return Summary(self._heard / self.config.sample_rate, frames, self._detections - self._detections_before)

    @property
    def sent(self) -> int:
        """Frames handed out since the last reset."""
        return self._sent

    @property
    def frames_scored(self) -> int:
        """Frames whose scores have come back since the last reset."""
        return self._scored

    @property
    def outstanding(self) -> int:
        """Frames handed out whose scores have not come back."""
        return self._sent - self._scored

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the rest of their sample."""
        return self._decoder.waiting

    def _configure(self, config: StreamConfig) -> None:
        self.config = config.resolved(self._model)
        self._asked = config
        every = self.config.scores_every_ms / self._model.frame_ms
        self._every = max(1, round(every)) if every else 0
        self._rule = _rule(self._model, self.config)

    def _hear(self, samples: Samples) -> Samples:
        self._heard += len(samples)
        return self._hand_out(self._resampler.push(samples))

    def _hand_out(self, samples: Samples) -> Samples:
        if self._decision.answered:
            return NOTHING  # nothing more can come before a reset
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        frames, rest = divmod(len(samples), self._model.hop)
        whole = len(samples) - rest
        self._rest = samples[whole:].copy()
        self._sent += frames
        return samples[:whole]

    def _audio_time(self, frame: int) -> float:
        """Stream time in seconds of the newest sample that `frame` needed, never beyond what was really received."""
        needed = (frame + 1) * self._model.hop - self._silence
        return min(needed / self._model.sample_rate, self._heard / self.config.sample_rate)

    def _detection(self, hit: Hit) -> Detection:
        self._detections += 1
        label = self._model.labels[hit.label]
        return Detection(
            id=self._detections,
            label=label,
            score=round(hit.score, DIGITS),
            threshold=self.config.threshold[label],
            crossed=hit.crossed,
            frame=hit.frame,
            audio_time_s=self._audio_time(hit.frame),
        )

    def _scores(self, frame: int, scores: Samples) -> Scores:
        values = (round(score, DIGITS) for score in scores.tolist())
        return Scores(frame, self._audio_time(frame), dict(zip(self._model.labels, values, strict=True)))


def _rule(model: Metadata, config: ResolvedConfig) -> DecisionSettings:
    allowed = set(config.keywords)
    if config.mode == "utterance":
        allowed |= set(model.labels) - set(model.keywords)
    return DecisionSettings(
        thresholds=np.array([config.threshold[label] for label in model.labels], np.float32),
        allowed=np.array([label in allowed for label in model.labels]),
        rest=model.labels.index(UNKNOWN) if UNKNOWN in model.labels else None,
        refractory=round(config.refractory_s * model.sample_rate / model.hop),
        confirm=round(model.confirm_ms.get(config.speed, 0) / model.frame_ms),
    )
