"""The app: routes and what they answer. Streams are in stream.py; files are classified on a thread of their own."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service.access.api_keys import ApiKeys
from service.access.doors import Doors, error_answer
from service.server.reload import on_hangup, reload
from service.server.state import ServerState
from service.server.websocket import serve_websocket
from service.settings import Settings
from service.spotting.classify import classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.events import Message

WEB = {path.name: path for path in Path(__file__).parents[1].joinpath("web").iterdir()}
OPTIONS = ("model", "mode", "keywords", "speed", "threshold", "trace")  # of /v1/classify, in the query or the form
MAX_FIELDS = 16  # of the form, beside the files: some room for keys to warn about
CLASSIFY_FORM = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "model": {"type": "string"},
        "mode": {"type": "string", "enum": ["utterance", "continuous"]},
        "keywords": {"type": "string", "description": "keywords of the model, separated by commas"},
        "speed": {"type": "string"},
        "threshold": {"type": "string", "description": "a number, or a JSON object of numbers per label"},
        "trace": {"type": "string", "enum": ["true", "false"]},
    },
}
CLASSIFY_DOCS = {"requestBody": {"content": {"multipart/form-data": {"schema": CLASSIFY_FORM}}}}

router = APIRouter()


def create_app(settings: Settings | None = None) -> FastAPI:
    """The server as an ASGI app. Raises BadModel when there is no model to serve, or a bad one, and BadKeys."""
    settings = settings or Settings()
    app = FastAPI(title="Keyword spotting", version="1", lifespan=_lifespan, redoc_url=None)
    app.state.server, app.state.keys = ServerState(settings), ApiKeys(settings)
    app.state.uploads = asyncio.Semaphore(settings.max_uploads)
    app.include_router(router)
    app.router.routes.append(WebSocketRoute("/v1/stream", stream_audio))  # FastAPI's would keep a tenth more for each
    app.add_exception_handler(ProtocolError, _wrong_value)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_upload_bytes)
    app.add_middleware(Doors, settings=settings, keys=app.state.keys, metrics=app.state.server.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Engines run from start to end; one thread classifies files, so that streams have the rest of the machine."""
    state, keys = app.state.server, app.state.keys
    state.models.start()
    with ThreadPoolExecutor(1, "classify") as thread, on_hangup(partial(reload, state, keys)):
        app.state.files_thread = thread
        async with _wyoming(state):
            yield
    state.close()


@asynccontextmanager
async def _wyoming(state: ServerState) -> AsyncIterator[None]:
    """Home Assistant's protocol beside, where it was asked for."""
    if state.settings.wyoming is None:
        yield
        return
    from service.server.wyoming import serving  # its library comes with an extra

    async with serving(state.settings.wyoming, state):
        yield


@router.get("/healthz")
async def healthz() -> Message:
    return {"alive": True}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    ready = _server(request).ready
    return JSONResponse({"ready": ready}, 200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    return Response(_server(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models")
async def models(request: Request) -> Message:
    return {"models": _server(request).models.describe()}


@router.get("/v1/models/{name}")
async def model(request: Request, name: str) -> Message:
    return _server(request).models.describe_one(name)


@router.post("/v1/classify", openapi_extra=CLASSIFY_DOCS)
async def classify(request: Request) -> Message:
    """Classify audio files, one result each; a bad file gets an `error` in place of a label."""
    state, uploads = _server(request), request.app.state.uploads
    limits = state.settings
    if uploads.locked():
        raise HTTPException(503, f"expected at most {limits.max_uploads} uploads at once", _retry(state))
    async with uploads:
        options, warnings, files = await _received(request, limits)
        served = state.models.get(options.pop("model", None))
        work = partial(
            classify_encoded,
            served.model,
            files,
            max_s=limits.max_file_s,
            max_total_s=limits.max_request_audio_s,
            timeout_s=limits.classify_timeout_s,
            **options,
        )
        results = await asyncio.get_running_loop().run_in_executor(request.app.state.files_thread, work)
    state.metrics.record_files(results)
    answer = {"model": served.model.metadata.name, "results": results}
    return {**answer, "warnings": warnings} if warnings else answer


async def stream_audio(socket: WebSocket) -> None:
    """A stream, or 503 before the handshake when there are too many or the server is not ready."""
    state: ServerState = socket.app.state.server
    if reason := state.refusal():
        await socket.send_denial_response(PlainTextResponse(reason, 503, _retry(state)))
        return
    with state.stream():
        await serve_websocket(socket, state)


@router.get("/", include_in_schema=False)
@router.get("/web/{name}", include_in_schema=False)
async def page(name: str = "index.html") -> Response:
    """The browser page and its parts, asked for anew each time, so that they fit each other."""
    if name not in WEB:
        raise HTTPException(404)
    return FileResponse(WEB[name], headers={"Cache-Control": "no-cache"})


def _server(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


def _retry(state: ServerState) -> dict[str, str]:
    return {"Retry-After": str(state.settings.retry_after_s)}


async def _received(
    request: Request, limits: Settings
) -> tuple[dict[str, Any], list[Message], list[tuple[str, bytes]]]:
    """The options of an upload, its warnings and its files, when all has come in in time."""
    try:
        async with asyncio.timeout(limits.upload_timeout_s):
            form = await request.form(max_files=limits.max_files, max_fields=MAX_FIELDS)
            return *_options(request, form), await _files(form)
    except TimeoutError:
        message = f"expected the whole request within {limits.upload_timeout_s:g} s"
        raise HTTPException(408, message, {"Connection": "close"}) from None
    finally:
        await request.close()


def _options(request: Request, form: FormData) -> tuple[dict[str, Any], list[Message]]:
    """The options in the query and the form, and a warning for each unknown one."""
    fields = {key: value for key, value in form.multi_items() if key != "files"}
    given = {**request.query_params, **fields}
    warnings = [{"code": "unknown_key", "key": key} for key in given if key not in OPTIONS]
    options = {key: value for key, value in given.items() if key in OPTIONS}
    if (trace := options.pop("trace", "false")) not in ("true", "false"):
        raise ProtocolError("bad_value", f"trace: expected true or false, got {trace!r}")
    return {**options, "trace": trace == "true"}, warnings


async def _files(form: FormData) -> list[tuple[str, bytes]]:
    """Every uploaded file, its name and its bytes."""
    given = form.getlist("files")
    files = [file for file in given if isinstance(file, UploadFile)]
    if not files:
        raise ProtocolError("bad_value", "files: expected at least one file, got none")
    if len(files) < len(given):
        raise ProtocolError("bad_value", "files: expected a file name with each, got a part without one")
    return [(file.filename or "", await file.read()) for file in files]


async def _wrong_value(_: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, ProtocolError) else "bad_value"
    return error_answer(404 if code == "unknown_model" else 400, code, str(error))


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return error_answer(error.status_code, code, error.detail, error.headers)


async def _gone(_: Request, __: Exception) -> Response:
    """The client left while it uploaded: nobody hears this, and it is no fault of the server."""
    return error_answer(400, "bad_request", "expected a whole request, got a part")
