"""/openapi.json: the REST routes, with the models and speeds of this server as enumerations."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from service.server.model_registry import ModelRegistry
from service.server.rest.answers import ErrorAnswer
from service.spotting.metadata import DEFAULT_SPEED

Document = dict[str, Any]

DESCRIPTION = (
    "Keyword spotting that answers while the word is still being spoken. Live audio goes to the WebSocket `/v1/stream` "
    "(docs/protocol.md); these are the routes over plain HTTP."
)
SECURITY_SCHEME = "bearer"
ERRORS = {
    400: "A wrong value, or a request that is not understood",
    401: "No valid API key, where keys are configured",
    403: "A web page of another origin",
    404: "An unknown model",
    408: "The upload took too long",
    413: "The upload is too big",
    429: "Too many requests of this client",
    503: "Too many uploads at once, or not ready",
}
FILE = {"type": "string", "format": "binary"}
CLASSIFY_FORM: Document = {
    "title": "ClassifyForm",
    "type": "object",
    "required": ["files"],
    "properties": {"files": {"type": "array", "items": FILE, "description": "one or more audio files"}},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these errors, or with those of every route."""
    return {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in (*statuses, 401, 403, 429)}


def _parameter(name: str, description: str, **schema: Any) -> Document:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


CLASSIFY_MODES = {"type": "string", "enum": ["utterance", "continuous"], "default": "utterance"}
CLASSIFY_DOCUMENT: Document = {
    "parameters": [
        _parameter("model", "a name from /v1/models", type="string"),
        _parameter("mode", "utterance: one answer per file; continuous: every keyword in it", **CLASSIFY_MODES),
        _parameter("keywords", "keywords of the model, separated by commas; all if unset", type="string"),
        _parameter("speed", "a speed of the model", type="string", default=DEFAULT_SPEED),
        _parameter(
            "threshold",
            "a number above 0, at most 1, or a JSON object of such numbers per label; overrides the speed",
            type="string",
        ),
        _parameter("trace", "add the scores of every frame", type="boolean", default=False),
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/ClassifyForm"}},
            "audio/*": {"schema": FILE},
        },
    },
}


def openapi_document(app: FastAPI, models: ModelRegistry, secured: bool) -> Document:
    """The document of a server with these models; `secured`: whether it wants API keys."""
    document: Document = deepcopy(app.openapi())  # made once, as that takes long
    schemes = {SECURITY_SCHEME: {"type": "http", "scheme": "bearer", "description": "an API key of this server"}}
    document["components"]["securitySchemes"] = schemes
    document["components"]["schemas"]["ClassifyForm"] = CLASSIFY_FORM
    for path, operation in _operations(document):
        if secured and path not in ("/healthz", "/readyz"):
            operation["security"] = [{SECURITY_SCHEME: []}]
        operation["responses"].pop("422", None)  # FastAPI's own, which no route here gives
        for parameter in operation.get("parameters", ()):
            parameter["schema"] |= _choices(parameter["name"], path, models)
    _drop(document["components"]["schemas"], ("HTTPValidationError", "ValidationError"))
    return document


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _choices(name: str, path: str, models: ModelRegistry) -> Document:
    """What this server has for a parameter."""
    if name == "model" or path == "/v1/models/{name}":
        return {"enum": [model.metadata.name for model in models], "default": models.default}
    if name == "speed":
        return {"enum": list(dict.fromkeys(speed for model in models for speed in model.metadata.speeds))}
    return {}


def _drop(schemas: Document, names: Iterable[str]) -> None:
    for name in names:
        schemas.pop(name, None)
