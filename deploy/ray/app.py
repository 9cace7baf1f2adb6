"""The server's app as a Ray Serve deployment: `serve run deploy.ray.app:build streams_per_replica=100`.

A WebSocket is one ongoing request to Ray, however long it lasts, so replicas are added and removed by the streams that
are open. Settings are those of rc-serve, from the environment of the replicas: RC_MODELS_DIR, RC_API_KEYS and so on.

A replica that Ray removes gets no new streams, but its code is not notified, and Ray cuts off the open ones in the end.
What a replica can see is that the controller no longer checks its health. It then asks the controller for the reason,
and ends its streams as rc-serve does on SIGTERM: every event of the audio received, a summary, close code 1012.
"""

import asyncio
from contextlib import suppress
from time import monotonic

from pydantic import BaseModel
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.frames import CloseCode

from service.server.app import create_app

FULL = 1 / 0.7  # streams that a replica takes while others are started, by those it is to have
MISSED_CHECKS = 4  # periods without a check after which a replica asks whether it is being removed
RESTART = {"type": "websocket.disconnect", "code": CloseCode.SERVICE_RESTART}  # as this server's uvicorn puts it


class Arguments(BaseModel):
    """What `serve run` takes as NAME=VALUE."""

    streams_per_replica: int = 100  # about 0.7 of what one carries behind the proxy that is used
    min_replicas: int = 1
    max_replicas: int = 100
    initial_replicas: int | None = None  # min_replicas if unset
    cpus_per_replica: float = 1.0
    downscale_delay_s: float = 600.0
    graceful_shutdown_timeout_s: float = 60.0  # Ray then cuts off what is left
    health_check_period_s: float = 5.0


def build(arguments: Arguments) -> Application:
    """The application, one deployment."""
    deployment = serve.deployment(
        serve.ingress()(KeywordSpotting),
        name="keyword-spotting",
        ray_actor_options={"num_cpus": arguments.cpus_per_replica},
        max_ongoing_requests=round(FULL * arguments.streams_per_replica),
        autoscaling_config={
            "min_replicas": arguments.min_replicas,
            "max_replicas": arguments.max_replicas,
            "initial_replicas": arguments.initial_replicas,
            "target_ongoing_requests": arguments.streams_per_replica,
            "downscale_delay_s": arguments.downscale_delay_s,
        },
        health_check_period_s=arguments.health_check_period_s,
        graceful_shutdown_timeout_s=arguments.graceful_shutdown_timeout_s,
        graceful_shutdown_wait_loop_s=1.0,
    )
    return deployment.bind(arguments.health_check_period_s)


class KeywordSpotting:
    """A replica: the app, and the end of its streams when Ray removes it."""

    def __init__(self, check_period_s: float) -> None:
        self._app = DrainableApp(create_app())
        self._check_period_s, self._checked_at = check_period_s, monotonic()
        self._watching = asyncio.create_task(self._watch())

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._app

    async def check_health(self) -> None:
        """Called by Ray's controller, for as long as this replica is to stay."""
        self._checked_at = monotonic()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._check_period_s / 2)
            unchecked_s = monotonic() - self._checked_at
            if unchecked_s > MISSED_CHECKS * self._check_period_s and await asyncio.to_thread(is_being_removed):
                self._app.drain()


def is_being_removed() -> bool:
    """Whether replicas of this deployment are being stopped. One that nobody checks any longer is among them."""
    context = serve.get_replica_context()
    with suppress(RayError, RayServeException):  # no controller at the moment: nothing is being stopped
        application = serve.status().applications.get(context.app_name)
        deployment = application and application.deployments.get(context.deployment)
        return not deployment or "STOPPING" in deployment.replica_states
    return False


class DrainableApp:
    """An ASGI app whose open WebSockets can be ended from outside, each after the messages it already has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inputs: set[asyncio.Queue[Message]] = set()

    def drain(self) -> None:
        """End the streams that are open now."""
        for messages in self._inputs:
            messages.put_nowait(dict(RESTART))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        messages: asyncio.Queue[Message] = asyncio.Queue()
        receiving = asyncio.create_task(_receive_all(receive, messages))
        self._inputs.add(messages)
        try:
            await self._app(scope, messages.get, send)
        finally:
            self._inputs.discard(messages)
            receiving.cancel()


async def _receive_all(receive: Receive, messages: "asyncio.Queue[Message]") -> None:
    """Ray's own queue in front of it has no bound either."""
    message: Message = {"type": ""}
    while message["type"] != "websocket.disconnect":
        message = await receive()
        messages.put_nowait(message)
