"""New models and keys in a running server."""

import asyncio
import gc
import shutil
import weakref
from pathlib import Path

import httpx
import pytest

from service.server.reload import reload
from tests.support.server import Running, serving
from tests.support.speech import pcm, synthesize
from tests.support.tone_model import write_model, write_version
from tests.support.ws_client import client, stream

ONE, TWO = "first-key-0123456789", "second-key-0123456789"
YES = pcm(synthesize("yes"))


def reloaded(running: Running) -> bool:
    """Reload as SIGHUP does, on the server's own loop."""
    state = running.app.state
    loop = next(iter(state.server.models._served.values())).engine._loop
    return asyncio.run_coroutine_threadsafe(reload(state.server, state.keys, state.certificate), loop).result(10)


async def test_new_streams_get_the_new_model_and_old_ones_finish_on_theirs(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    with serving(tmp_path) as running:
        before = weakref.ref(running.app.state.server.models.get(None).model)
        async with client(running.ws()) as old:
            await old.ask("keepalive")
            first = (await old.until("ready"))["model"]
            await old.send(YES[:1280], 1280)
            sha256 = write_version(folder, "2")
            assert await asyncio.to_thread(reloaded, running)
            new = await stream(running.ws(), YES)
            assert (new.received[0]["model"]["version"], new.received[0]["model"]["sha256"]) == ("2", sha256)
            assert before() is not None
            await old.send(YES[1280:], 1280)
            await old.ask("update")
            await old.until("ready")
            assert old.received[-1]["model"] == first
            await old.ask("close")
            assert (await old.closed())[0] == 1000
        assert [event["label"] for event in old.detections] == ["yes"]
        async with asyncio.timeout(5):
            while gc.collect() and before():  # it is gone with its last stream
                await asyncio.sleep(0.01)
        text = httpx.get(f"{running.http}/metrics").text
    assert f'kws_model_info{{default="true",name="tones",sha256="{sha256}",version="2"}} 1.0' in text
    infos = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("kws_model_info{")]
    assert sorted(infos) == ["0.0", "1.0"]
    assert 'kws_reloads_total{result="done"} 1.0' in text


@pytest.mark.parametrize("broken", ["truncated", "checksum", "gone", "metadata"])
async def test_a_broken_model_is_refused_and_the_old_stays(tmp_path: Path, broken: str) -> None:
    folder = write_model(tmp_path)
    write_model(tmp_path, "other")
    with serving(tmp_path) as running:
        served = httpx.get(f"{running.http}/v1/models").json()
        async with client(running.ws()) as open_stream:
            await open_stream.send(YES[:8000], 1280)
            content = (folder / "model.onnx").read_bytes()
            if broken == "truncated":
                (folder / "model.onnx").write_bytes(content[: len(content) // 2])
            if broken == "metadata":
                (folder / "model.onnx").write_bytes(content.replace(b"refractory_s", b"refractory_x"))
            if broken == "checksum":
                (folder / "model.onnx.sha256").write_text("0" * 64 + "  model.onnx\n")
            if broken == "gone":
                shutil.rmtree(folder)
            assert not await asyncio.to_thread(reloaded, running)
            assert httpx.get(f"{running.http}/v1/models").json() == served
            assert httpx.get(f"{running.http}/readyz").status_code == 200
            await open_stream.send(YES[8000:], 1280)
            await open_stream.ask("close")
            await open_stream.closed()
        assert [event["label"] for event in open_stream.detections] == ["yes"]
        assert [event["label"] for event in (await stream(running.ws(), YES)).detections] == ["yes"]
        assert 'kws_reloads_total{result="refused"} 1.0' in httpx.get(f"{running.http}/metrics").text


async def test_a_model_that_did_not_change_keeps_its_engine(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    with serving(tmp_path) as running:
        before = running.app.state.server.models.get("tones")
        write_model(tmp_path, "new")
        assert await asyncio.to_thread(reloaded, running)
        assert running.app.state.server.models.get("tones") is before
        assert {event["label"] for event in (await stream(running.ws(model="new"), YES)).detections} == {"yes"}
        (folder / "report.json").write_text('{"accuracy": 1}')
        assert await asyncio.to_thread(reloaded, running)
        assert httpx.get(f"{running.http}/v1/models/tones").json()["evaluation"] == {"accuracy": 1}


def test_keys_are_read_again(models_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(ONE)
    with serving(models_dir, api_keys_file=file) as running:

        def status(key: str) -> int:
            return httpx.get(f"{running.http}/v1/models", params={"token": key}).status_code

        assert (status(ONE), status(TWO)) == (200, 401)
        file.write_text(f"{ONE}\n{TWO}\n")
        assert reloaded(running)
        assert (status(ONE), status(TWO)) == (200, 200)
        file.write_text("")
        assert not reloaded(running)
        assert (status(ONE), status("")) == (200, 401)


def test_a_broken_model_keeps_the_keys_too(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(ONE)
    folder = write_model(tmp_path / "models")
    with serving(tmp_path / "models", api_keys_file=file) as running:
        file.write_text(TWO)
        (folder / "model.onnx").write_bytes(b"broken")
        assert not reloaded(running)
        answers = [httpx.get(f"{running.http}/v1/models", params={"token": key}) for key in (ONE, TWO)]
    assert [answer.status_code for answer in answers] == [200, 401]
