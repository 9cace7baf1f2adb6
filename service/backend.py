"""What a running server holds: its limits, the models with an engine each, and the count of streams."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from service.engine import LONGEST, MAX_FRAMES, Engine, Run
from service.metrics import Metrics
from service.model import BadModel, Model
from service.protocol import Message, ProtocolError, model_message
from service.settings import Settings

BUNDLED = "speech-commands-rc"


@dataclass(frozen=True)
class Served:
    """A model with the engine that runs it for streams."""

    model: Model
    engine: Engine


class Backend:
    """Raises BadModel when there is no model to serve, or a bad one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.streams = 0
        self._models = _load(settings)
        self._served: dict[str, Served] = {}
        self.default = _default(settings, list(self._models))

    def start(self) -> None:
        """Start the engines, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._served = {name: Served(model, Engine(model, loop, self._count)) for name, model in self._models.items()}

    def close(self) -> None:
        served, self._served = self._served, {}
        for one in served.values():
            one.engine.close()

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
        return bool(self._served)

    def refusal(self) -> str | None:
        """Why there can be no other stream now, counted; None when there can."""
        full = self.streams >= self.settings.max_connections
        if not full and self.ready:
            return None
        reason = "too_many_streams" if full else "not_ready"
        self.metrics.rejected.labels(reason).inc()
        return reason

    def pick(self, name: str | None) -> Served:
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

    def _count(self, run: Run) -> None:
        self.metrics.batch.observe(run.streams)
        self.metrics.compute.observe(run.ended - run.began)


def _load(settings: Settings) -> dict[str, Model]:
    """Every model under the models directory, warmed, by the name it gives itself."""
    models: dict[str, Model] = {}
    for file in sorted(settings.models_dir.glob("*/model.onnx")):
        model = Model(file)
        if model.metadata.name in models:
            raise BadModel(f"{file}: expected a name of its own, got {model.metadata.name} again")
        models[model.metadata.name] = model
        _warm(model)
    if not models:
        raise BadModel(f"expected a model under {settings.models_dir}/NAME/model.onnx, got none")
    return models


def _warm(model: Model) -> None:
    """The first run of a size is slow and takes its memory: have the least and the most before any stream."""
    for batch, frames in ((1, 1), (MAX_FRAMES, 1), (MAX_FRAMES // 2, 2), (MAX_FRAMES // LONGEST, LONGEST)):
        model.run(np.zeros((batch, frames * model.metadata.hop), np.float32), model.initial_state(batch))


def _default(settings: Settings, names: list[str]) -> str:
    """The name in the settings, else the bundled model, else the only one. Raises BadModel."""
    name = settings.default_model or (BUNDLED if BUNDLED in names or len(names) > 1 else names[0])
    if name not in names:
        raise BadModel(f"default model: expected among {', '.join(names)}, got {name!r}")
    return name
