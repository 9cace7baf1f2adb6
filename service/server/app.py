"""The app: its routes, and the middlewares in front of them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service.access.api_keys import ApiKeys
from service.access.authentication import AuthenticationMiddleware, AuthorizationMiddleware
from service.access.denial import error_response
from service.access.origins import OriginMiddleware
from service.access.rate_limit import RateLimitMiddleware
from service.access.security_headers import SecurityHeadersMiddleware
from service.server.model_registry import ServedModel
from service.server.proxy import RootPathMiddleware
from service.server.reload import on_hangup, reload
from service.server.rest import pages
from service.server.rest.answers import (
    ClassifyAnswer,
    HealthAnswer,
    ModelDetailAnswer,
    ModelListAnswer,
    ReadinessAnswer,
)
from service.server.rest.head_requests import HeadMiddleware
from service.server.rest.model_answers import detail_answer, list_answers
from service.server.rest.openapi import CLASSIFY_DOCUMENT, DESCRIPTION, errors, openapi_document
from service.server.rest.uploads import Upload, receive_upload
from service.server.state import ServerState
from service.server.tls import Certificate
from service.server.websocket.client_adapter import serve_websocket
from service.server.websocket.shared_socket import serve_shared_socket
from service.settings import Settings
from service.spotting.classify import ClassifyLimits, classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.file_result import FileResult

STREAM_PATH = "/v1/stream"
STREAMS_PATH = "/v1/streams"  # many on one socket
NO_WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade"}

router = APIRouter()


def create_app(settings: Settings | None = None, certificate: Certificate | None = None) -> FastAPI:
    """The server as an ASGI app; it reads `certificate` again on SIGHUP.

    Raises ModelError when there is no model to serve, or a bad one, and ApiKeyError.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="Keyword spotting",
        version="1",
        description=DESCRIPTION,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        lifespan=_lifespan,
        openapi_url=None,  # ours is made of the models that are served
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.server, app.state.keys, app.state.certificate = ServerState(settings), ApiKeys(settings), certificate
    app.state.uploads = asyncio.Semaphore(settings.max_uploads)
    app.include_router(router)
    app.include_router(pages.router)
    app.router.routes.append(WebSocketRoute(STREAM_PATH, stream_audio))  # FastAPI's keep a tenth more memory each
    app.router.routes.append(WebSocketRoute(STREAMS_PATH, open_shared_socket))
    app.router.routes.append(WebSocketRoute("/{path:path}", refuse_unknown_stream))
    app.add_exception_handler(ProtocolError, _answer_wrong_value)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_disconnected)
    _add_middlewares(app, settings)
    app.openapi()  # takes long, but only once: no request should have streams wait for it
    return app


def _add_middlewares(app: FastAPI, settings: Settings) -> None:
    """From the innermost to the outermost."""
    keys, metrics = app.state.keys, app.state.server.metrics
    app.add_middleware(HeadMiddleware)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_upload_bytes)
    app.add_middleware(AuthorizationMiddleware, metrics=metrics, keys=keys)
    app.add_middleware(RateLimitMiddleware, metrics=metrics, per_s=settings.max_requests_per_s)
    app.add_middleware(OriginMiddleware, metrics=metrics, allowed=settings.allowed_origins)
    app.add_middleware(AuthenticationMiddleware, keys=keys)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Engines run from start to end; one thread classifies files, so that streams have the rest of the machine."""
    state = app.state.server
    state.models.start()
    on_sighup = partial(reload, state, app.state.keys, app.state.certificate)
    with ThreadPoolExecutor(1, "classify") as thread, on_hangup(on_sighup):
        app.state.classify_thread = thread
        async with _wyoming(state):
            yield
    state.close()


@asynccontextmanager
async def _wyoming(state: ServerState) -> AsyncIterator[None]:
    """Home Assistant's protocol as well, where it is configured."""
    if state.settings.wyoming is None:
        yield
        return
    from service.server.wyoming.client_adapter import serving  # its library comes with an extra

    async with serving(state.settings.wyoming, state):
        yield


@router.get("/healthz", response_model=HealthAnswer)
async def get_health() -> HealthAnswer:
    """Whether the process lives."""
    return HealthAnswer(alive=True)


@router.get("/readyz", response_model=ReadinessAnswer, responses={503: {"model": ReadinessAnswer}})
async def get_readiness(request: Request) -> Response:
    """Whether streams can be opened: 503 while starting or draining."""
    ready = _server(request).ready
    return JSONResponse({"ready": ready}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, responses=errors())
async def get_metrics(request: Request) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(_server(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", response_model=ModelListAnswer, responses=errors())
async def list_models(request: Request) -> ModelListAnswer:
    """The models of this server."""
    return ModelListAnswer(models=list_answers(_server(request).models))


@router.get("/v1/models/{name}", response_model=ModelDetailAnswer, responses=errors(404))
async def get_model(request: Request, name: str) -> ModelDetailAnswer:
    """One model with its evaluation and its curve of accuracy against decision time."""
    return detail_answer(_server(request).models, name)


@router.post(
    "/v1/classify",
    response_model=ClassifyAnswer,
    responses=errors(400, 404, 408, 413, 503),
    openapi_extra=CLASSIFY_DOCUMENT,
)
async def classify(request: Request) -> Response:
    """Classify audio files, one result each; a bad file gets an `error` in place of a label."""
    state, uploads = _server(request), request.app.state.uploads
    if uploads.locked():
        limit = state.settings.max_uploads
        raise HTTPException(503, f"expected at most {limit} uploads at once", _retry_after(state))
    async with uploads:
        upload = await receive_upload(request, state.settings)
        served = state.models.get(upload.options.model)
        work = partial(_classify, served, upload, state.settings)
        loop = asyncio.get_running_loop()
        results, answer = await loop.run_in_executor(request.app.state.classify_thread, work)
    state.metrics.record_files(results)
    return Response(answer, media_type="application/json")


def _classify(served: ServedModel, upload: Upload, limits: Settings) -> tuple[list[FileResult], str]:
    """The results and their JSON, which is long with traces: both on the thread, so that streams do not wait."""
    options = upload.options
    results = classify_encoded(
        served.model,
        upload.files,
        options.threshold,
        speed=options.speed,
        mode=options.mode,
        keywords=options.keywords,
        trace=options.trace,
        limits=ClassifyLimits(limits.max_file_s, limits.max_request_audio_s, limits.classify_timeout_s, monotonic),
    )
    answer: dict[str, Any] = {"model": served.model.metadata.name, "results": [result.to_json() for result in results]}
    if upload.warnings:
        answer["warnings"] = [asdict(warning) for warning in upload.warnings]
    return results, ClassifyAnswer.model_validate(answer).model_dump_json(exclude_unset=True)


@router.get("/openapi.json", include_in_schema=False)
async def get_openapi_document(request: Request) -> Response:
    state = _server(request)
    return JSONResponse(openapi_document(request.app, state.models, bool(request.app.state.keys)))


@router.get(STREAM_PATH, include_in_schema=False)
@router.get(STREAMS_PATH, include_in_schema=False)
async def refuse_plain_stream(request: Request) -> Response:
    path = request.scope["route"].path
    message = f"expected a WebSocket handshake, got a plain request; audio goes to ws://HOST{path}"
    return error_response(426, "upgrade_required", message, NO_WEBSOCKET)


async def stream_audio(socket: WebSocket) -> None:
    """A stream, or 503 before the handshake when there are too many or the server is not ready."""
    state: ServerState = socket.app.state.server
    if reason := state.refusal():
        await socket.send_denial_response(PlainTextResponse(reason, 503, _retry_after(state)))
        return
    with state.stream():
        await serve_websocket(socket, state)


async def open_shared_socket(socket: WebSocket) -> None:
    """Many streams on one socket, or 503 before the handshake as for one stream."""
    state: ServerState = socket.app.state.server
    if reason := state.shared_socket_refusal():
        await socket.send_denial_response(PlainTextResponse(reason, 503, _retry_after(state)))
        return
    with state.shared_socket():
        await serve_shared_socket(socket, state)


async def refuse_unknown_stream(socket: WebSocket) -> None:
    """404 before the handshake on any other path."""
    message = f"not_found: expected the WebSocket {STREAM_PATH} or {STREAMS_PATH}, got {socket.url.path}"
    await socket.send_denial_response(PlainTextResponse(message, 404))


def _server(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


def _retry_after(state: ServerState) -> dict[str, str]:
    return {"Retry-After": str(state.settings.retry_after_s)}


async def _answer_wrong_value(_: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, ProtocolError) else "bad_value"
    return error_response(404 if code == "unknown_model" else 400, code, str(error))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    message = error.detail
    if message == status.phrase and status == HTTPStatus.NOT_FOUND:
        message = f"expected a path that /docs lists, got {request.url.path}"
    if message == status.phrase and status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"expected {(error.headers or {}).get('Allow')}, got {request.method}"
    return error_response(status, status.phrase.lower().replace(" ", "_"), message, error.headers)


async def _answer_disconnected(_: Request, __: Exception) -> Response:
    """The client left during its upload: nobody receives this answer, and it is not an error of the server."""
    return error_response(400, "bad_request", "expected a whole request, got a part")
