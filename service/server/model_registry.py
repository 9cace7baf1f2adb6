"""What a running server holds: its limits, the models with an engine each, and the count of streams."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from service.server.messages import model_message
from service.settings import Settings
from service.spotting.audio import Samples
from service.spotting.config import ProtocolError
from service.spotting.engine import LONGEST, MAX_FRAMES, Engine, EngineSlot, InferenceTiming
from service.spotting.events import Message
from service.spotting.model import Model, ModelError
from service.telemetry.capture import open_captures
from service.telemetry.metrics import Metrics

BUNDLED = "speech-commands-rc"


class ServedModel:
    """A model with the engine that runs it for streams, and how many are open on it."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self.model, self.engine = model, engine
        self._streams, self._retired = 0, False

    def open(
        self, on_scores: Callable[[Samples, InferenceTiming], None], on_fault: Callable[[Exception], None]
    ) -> EngineSlot:
        """A place in the engine; give it back with `close`."""
        self._streams += 1
        return self.engine.open(on_scores, on_fault)

    def close(self, stream: EngineSlot) -> None:
        stream.close()
        self._streams -= 1
        self._rest()

    def retire(self) -> None:
        """No new stream comes: the engine ends with the last of those that are here."""
        self._retired = True
        self._rest()

    def _rest(self) -> None:
        if self._retired and not self._streams:
            self.engine.close()


class Backend:
    """Raises BadModel when there is no model to serve, or a bad one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.streams = 0
        self.draining = False
        self._models = _load(settings)
        self._served: dict[str, ServedModel] = {}
        self.default = _default(settings, self._models)
        self.captures = open_captures(settings, self.metrics)
        self._reloading = asyncio.Lock()

    def start(self) -> None:
        """Start the engines, on the running event loop."""
        self._serve(self._models)

    async def reload(self) -> None:
        """Take up the models directory as it is now: streams that are open keep the model they have.

        Raises BadModel, and all stays as it was, when any model is bad or the default is gone.
        """
        async with self._reloading:
            models = await asyncio.to_thread(_load, self.settings, self._models.values())
            self.default = _default(self.settings, models)
            self._serve(models)

    def close(self) -> None:
        served, self._served = self._served, {}
        for one in served.values():
            one.engine.close()
        if self.captures:
            self.captures.close()

    def _serve(self, models: dict[str, Model]) -> None:
        """From now on these, with the engines there are for those that were here before."""
        loop, before = asyncio.get_running_loop(), self._served
        kept = {one.model: one for one in before.values()}
        self._models = models
        self._served = {
            name: kept[model] if model in kept else ServedModel(model, Engine(model, loop, self._count))
            for name, model in models.items()
        }
        self.metrics.models(self.describe())
        for one in before.values():
            if one not in self._served.values():
                one.retire()

    def drain(self) -> None:
        """No new streams from now on."""
        self.draining = True

    @contextmanager
    def stream(self) -> Iterator[None]:
        """One more stream, for as long as it lasts."""
        self.streams += 1
        self.metrics.streams.set(self.streams)
        try:
            yield
        finally:
            self.streams -= 1
            self.metrics.streams.set(self.streams)

    @property
    def ready(self) -> bool:
        return not self.draining and bool(self._served)

    def refusal(self) -> str | None:
        """Why there can be no other stream now, counted; None when there can."""
        full = self.streams >= self.settings.max_connections
        if not full and self.ready:
            return None
        reason = "too_many_streams" if full else "not_ready"
        self.metrics.rejected.labels(reason).inc()
        return reason

    def pick(self, name: str | None) -> ServedModel:
        """The model of that name, or the default. Raises ProtocolError."""
        served = self._served.get(name or self.default)
        if served is None:
            raise ProtocolError("unknown_model", f"model: expected among {', '.join(self._served)}, got {name!r}")
        return served

    def describe(self) -> list[Message]:
        """Every model, as /v1/models lists it."""
        return [self._describe(name, model) for name, model in self._models.items()]

    def describe_one(self, name: str) -> Message:
        """One model with its evaluation and its curve of accuracy against time. Raises ProtocolError."""
        model = self.pick(name).model
        return {**self._describe(name, model), "evaluation": model.report, "curve": model.metadata.curve}

    def _describe(self, name: str, model: Model) -> Message:
        message = model_message(model.metadata, model.sha256)
        return {**message, "speeds": model.metadata.speeds, "default": name == self.default}

    def _count(self, run: InferenceTiming) -> None:
        self.metrics.batch.observe(run.streams)
        self.metrics.compute.observe(run.ended - run.began)


def _load(settings: Settings, known: Iterable[Model] = ()) -> dict[str, Model]:
    """Every model under the models directory, warmed, by the name it gives itself; those that are known stay."""
    models: dict[str, Model] = {}
    for file in sorted(settings.models_dir.glob("*/model.onnx")):
        model = Model(file)
        if model.metadata.name in models:
            raise ModelError(f"{file}: expected a name of its own, got {model.metadata.name} again")
        same = (one for one in known if (one.sha256, one.report) == (model.sha256, model.report))
        models[model.metadata.name] = next(same, None) or _warm(model)
    if not models:
        raise ModelError(f"expected a model under {settings.models_dir}/NAME/model.onnx, got none")
    return models


def _warm(model: Model) -> Model:
    """The first run of a size is slow and takes its memory: have the least and the most before any stream."""
    for batch, frames in ((1, 1), (MAX_FRAMES, 1), (MAX_FRAMES // 2, 2), (MAX_FRAMES // LONGEST, LONGEST)):
        model.run(np.zeros((batch, frames * model.metadata.hop), np.float32), model.initial_state(batch))
    return model


def _default(settings: Settings, models: Iterable[str]) -> str:
    """The name in the settings, else the bundled model, else the only one. Raises BadModel."""
    names = list(models)
    name = settings.default_model or (BUNDLED if BUNDLED in names or len(names) > 1 else names[0])
    if name not in names:
        raise ModelError(f"default model: expected among {', '.join(names)}, got {name!r}")
    return name
