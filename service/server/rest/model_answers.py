"""What /v1/models says of the models of a server."""

from dataclasses import asdict

from service.server.model_registry import ModelRegistry
from service.server.rest.answers import ModelAnswer, ModelDetailAnswer
from service.server.streams.messages import describe_model
from service.spotting.model import Model


def list_answers(models: ModelRegistry) -> list[ModelAnswer]:
    """One for each model."""
    return [_answer(model, models.default) for model in models]


def detail_answer(models: ModelRegistry, name: str) -> ModelDetailAnswer:
    """Of one model, with its evaluation and its curve of accuracy against time. Raises ProtocolError."""
    model = models.get(name).model
    described = _answer(model, models.default)
    return ModelDetailAnswer(**dict(described), evaluation=model.report, curve=model.metadata.curve)


def _answer(model: Model, default: str) -> ModelAnswer:
    metadata = model.metadata
    return ModelAnswer(
        **asdict(describe_model(metadata, model.sha256)),
        keywords=list(metadata.keywords),
        speeds=metadata.speeds,
        decide_within_ms=metadata.decide_within_ms,
        default=metadata.name == default,
    )
