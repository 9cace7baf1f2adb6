"""A tiny model with real state, and speech for it: a label is a tone, and its score grows while the tone lasts."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import onnx
import pytest
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.commands.serve import server_config
from service.server.app import create_app
from service.server.uvicorn_protocols import Server
from service.settings import Settings
from service.spotting.model import MODES, Metadata, Model

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: its threads would wait on each other

RATE, HOP, DELAY = 16000, 160, 3  # DELAY: frames of look-ahead
LABELS = ("yes", "no", "_unknown_", "_silence_")
TONES = {"yes": 500.0, "no": 1000.0, "_unknown_": 1500.0}  # Hz; each whole periods a hop
METADATA = Metadata(
    format_version=1,
    name="tones",
    version="1",
    labels=LABELS,
    keywords=("yes", "no"),
    sample_rate=RATE,
    hop=HOP,
    window=HOP,
    look_ahead=DELAY * HOP,
    method="rc",
    theta=0.95,
    beta=0.1,
    speeds={
        "fast": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.6)),
        "balanced": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.9) | {"_silence_": 1.0}),
        "accurate": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.98)),
    },
    refractory_s=0.2,
    curve=[{"threshold": 0.9, "accuracy": 1.0, "decision_time_s": 0.2}],
    data="tones",
    seed=0,
    commit="none",
)


def tone_model(metadata: Metadata = METADATA) -> onnx.ModelProto:
    """Energy at each tone (DELAY frames late: `state_delay`), a leaky integrator (`state_h`), softmax.

    The integrator is a recurrent layer, so a state lost, mixed up or fed twice shows in every later score.
    """
    n = len(TONES)
    phase = 2 * np.pi * np.arange(HOP)[:, None] * np.array(list(TONES.values())) / RATE
    constants = {
        "cosine": np.cos(phase) / HOP,
        "sine": np.sin(phase) / HOP,
        "hops": np.array([0, -1, HOP], np.int64),
        "w": 2.0 * np.eye(n)[None],
        "r": 0.9 * np.eye(n)[None],
        "dense": np.hstack([10 * np.eye(n), np.zeros((n, 1))]),
        "bias": np.array([0, 0, 0, 4.0]),
        "axis0": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "late": np.array([-DELAY], np.int64),
        "end": np.array([2**31], np.int64),
        "zero": np.array([0], np.int64),
        "minus_late": np.array([-DELAY], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Reshape", ["audio", "hops"], ["blocks"]),
        node("MatMul", ["blocks", "cosine"], ["c"]),
        node("MatMul", ["blocks", "sine"], ["s"]),
        node("Mul", ["c", "c"], ["c2"]),
        node("Mul", ["s", "s"], ["s2"]),
        node("Add", ["c2", "s2"], ["energy"]),
        node("Concat", ["state_delay", "energy"], ["joined"], axis=1),
        node("Slice", ["joined", "zero", "minus_late", "axis1"], ["heard"]),
        node("Slice", ["joined", "late", "end", "axis1"], ["next_state_delay"]),
        node("Transpose", ["heard"], ["steps"], perm=[1, 0, 2]),
        node("Unsqueeze", ["state_h", "axis0"], ["h0"]),
        node("RNN", ["steps", "w", "r", "", "", "h0"], ["out", "h1"], hidden_size=n, activations=["Relu"]),
        node("Squeeze", ["h1", "axis0"], ["next_state_h"]),
        node("Squeeze", ["out", "axis1"], ["flat"]),
        node("Transpose", ["flat"], ["rows"], perm=[1, 0, 2]),
        node("MatMul", ["rows", "dense"], ["unbiased"]),
        node("Add", ["unbiased", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tones",
        [
            value("audio", TensorProto.FLOAT, ["batch", "samples"]),
            value("state_delay", TensorProto.FLOAT, ["batch", DELAY, n]),
            value("state_h", TensorProto.FLOAT, ["batch", n]),
        ],
        [
            value("scores", TensorProto.FLOAT, ["batch", "frames", n + 1]),
            value("next_state_delay", TensorProto.FLOAT, ["batch", DELAY, n]),
            value("next_state_h", TensorProto.FLOAT, ["batch", n]),
        ],
        [
            numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata.to_props())
    return model


def write_model(directory: Path, name: str = "tones") -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    onnx.save(tone_model(replace(METADATA, name=name)), folder / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of two models, `tones` and `other`; `tones` has an evaluation."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory, "other")
    (write_model(directory, "tones") / "report.json").write_text('{"accuracy": 0.5}')
    return directory


@pytest.fixture(scope="session")
def model(models_dir: Path) -> Model:
    return Model(models_dir / "tones")


def say(*words: str, word_s: float = 0.3, gap_s: float = 0.4, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """Float32 samples: half a gap of faint noise, then each word's tone and a gap."""
    rng = np.random.default_rng(seed)
    gap = round(gap_s * rate)
    pieces = [np.zeros(gap // 2)]
    for word in words:
        tone = np.sin(2 * np.pi * TONES[word] * np.arange(round(word_s * rate)) / rate)
        pieces += [tone, np.zeros(gap)]
    clean = np.concatenate(pieces)
    return (0.6 * clean + 0.01 * rng.standard_normal(len(clean))).astype(np.float32)


def pcm(samples: NDArray[np.float32]) -> bytes:
    """Float samples to pcm_s16le."""
    return (samples * 32767).round().astype("<i2").tobytes()


def heard(data: bytes) -> NDArray[np.float32]:
    """What a stream of pcm_s16le carries, as float32."""
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


@dataclass(frozen=True)
class Running:
    """A real server on a port of its own."""

    server: uvicorn.Server
    app: FastAPI
    address: str

    @property
    def http(self) -> str:
        return f"http://{self.address}"

    def ws(self, **settings: object) -> str:
        query = urlencode(
            {key: json.dumps(value) if isinstance(value, dict) else value for key, value in settings.items()}
        )
        return f"ws://{self.address}/v1/stream" + (f"?{query}" if query else "")


@contextmanager
def serving(models_dir: Path, default_model: str = "tones", **settings: object) -> Iterator[Running]:
    """Run a server in a thread until the block ends."""
    chosen = Settings(models_dir=models_dir, default_model=default_model, **{"port": 0, **settings})
    app = create_app(chosen)
    config = server_config(chosen)
    config.app, config.factory = app, False
    server = Server(config, app.state.backend.drain)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(server, app, f"127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def server(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir) as running:
        yield running


class Client:
    """A WebSocket client that keeps everything it is told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def send(self, data: bytes, chunk: int) -> None:
        for start in range(0, len(data), chunk):
            await self.socket.send(data[start : start + chunk])

    async def ask(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> dict[str, Any]:
        """Hear messages up to one of this type."""
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            self.heard.append(message)
            if message["type"] == kind:
                return message

    async def closed(self) -> tuple[int | None, dict[str, Any]]:
        """Hear to the end: the close code and the last message."""
        with suppress(ConnectionClosed):
            while True:
                self.heard.append(json.loads(await asyncio.wait_for(self.socket.recv(), 10)))
        return self.socket.close_code, self.heard[-1] if self.heard else {}

    @property
    def detections(self) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == "detection"]


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    async with connect(url, compression=None) as socket:
        yield Client(socket)


async def stream(url: str, data: bytes, chunk: int = 1280) -> Client:
    """Send it all, flush, close; returns the client with all it heard."""
    async with client(url) as one:
        await one.send(data, chunk)
        await one.ask("close")
        code, last = await one.closed()
    assert (code, last["type"]) == (1000, "summary"), one.heard
    return one


def facts(event: Any) -> tuple[Any, ...]:
    """What must be the same of an event on the wire, of one in process, and of a file's result."""
    fields = event if isinstance(event, dict) else asdict(event)
    return fields["label"], fields["frame"], fields["crossed"], round(fields["score"], 4)
