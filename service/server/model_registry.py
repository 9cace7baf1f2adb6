"""The models that a server has, each with the engine that runs it for streams. Knows no client and no limit."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from service.bundled import BUNDLED_MODEL
from service.settings import Settings
from service.spotting.config import ProtocolError
from service.spotting.engine import MAX_FRAMES_PER_RUN, MAX_FRAMES_PER_STREAM, Engine, InferenceTiming
from service.spotting.metadata import ModelError
from service.spotting.model import Model
from service.telemetry.metrics import Metrics


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model with the engine that runs it for streams. Streams keep it to their end, whatever is served after it."""

    model: Model
    engine: Engine


class ModelRegistry:
    """The models under the models directory, by name. Raises ModelError when there is none, or a bad one."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._models = _load(settings)
        self._served: dict[str, ServedModel] = {}
        self.default = _default(settings, self._models)
        self._reloading = asyncio.Lock()

    def start(self) -> None:
        """Start the engines, on the running event loop."""
        self._publish(self._models)

    @property
    def started(self) -> bool:
        return bool(self._served)

    async def reload(self) -> None:
        """Serve the models directory as it is now; open streams keep the model they have.

        Raises ModelError, and nothing changes, when any model is bad or the default is gone.
        """
        async with self._reloading:
            models = await asyncio.to_thread(_load, self._settings, self._models.values())
            self.default = _default(self._settings, models)
            self._publish(models)

    def get(self, name: str | None) -> ServedModel:
        """The model of that name, or the default. Raises ProtocolError."""
        served = self._served.get(name or self.default)
        if served is None:
            raise ProtocolError("unknown_model", f"model: expected among {', '.join(self._served)}, got {name!r}")
        return served

    def __iter__(self) -> Iterator[Model]:
        """Every model, by its name."""
        return iter(self._models.values())

    def _publish(self, models: dict[str, Model]) -> None:
        """Serve these models from now on; a model that was served before keeps its engine."""
        loop = asyncio.get_running_loop()
        kept = {served.model: served for served in self._served.values()}
        self._models = models
        self._served = {
            name: kept[model]
            if model in kept
            else ServedModel(model, Engine(model, loop, self._record_run, perf_counter))
            for name, model in models.items()
        }
        self._metrics.record_models(
            (name, model.metadata.version, model.sha256, name == self.default) for name, model in models.items()
        )

    def _record_run(self, timing: InferenceTiming) -> None:
        self._metrics.record_run(timing, perf_counter())


def _load(settings: Settings, known: Iterable[Model] = ()) -> dict[str, Model]:
    """Every model under the models directory, warmed, by its own name; known models are kept."""
    models: dict[str, Model] = {}
    for file in sorted(settings.models_dir.glob("*/model.onnx")):
        model = Model(file, settings.skip_silence)
        if model.metadata.name in models:
            raise ModelError(f"{file}: expected a name of its own, got {model.metadata.name} again")
        same = (other for other in known if (other.sha256, other.report) == (model.sha256, model.report))
        models[model.metadata.name] = next(same, None) or _warm(model)
    if not models:
        raise ModelError(
            f"expected a model at {settings.models_dir}/NAME/model.onnx, got none: --models (or RC_MODELS_DIR) names a "
            "directory with one directory per model, each with its model.onnx"
        )
    return models


def _warm(model: Model) -> Model:
    """Run the smallest and the largest batches before any stream: the first run of a size is slow."""
    most, longest = MAX_FRAMES_PER_RUN, MAX_FRAMES_PER_STREAM
    for batch, frames in ((1, 1), (most, 1), (most // 2, 2), (most // longest, longest)):
        model.run(np.full((batch, frames * model.metadata.hop), 0.1, np.float32), model.initial_state(batch))
    return model


def _default(settings: Settings, models: Iterable[str]) -> str:
    """The name in the settings, else the bundled model, else the only one. Raises ModelError."""
    names = list(models)
    name = settings.default_model or (BUNDLED_MODEL if BUNDLED_MODEL in names or len(names) > 1 else names[0])
    if name not in names:
        raise ModelError(f"default model: expected among {', '.join(names)}, got {name!r}")
    return name
