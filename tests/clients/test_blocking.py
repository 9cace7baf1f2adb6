"""clients/blocking.py: the same as clients/connection.py, for callers that wait."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clients.blocking import connect, connect_shared
from clients.connection import ServerError, ServerUnreachableError
from service.spotting.spotter import Spotter
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.ws_client import facts

SPEECH = synthesize("yes", "no", "_unknown_", "yes")


def test_it_reports_what_a_spotter_detects_in_process(server: Running, models_dir: Path) -> None:
    spotter = Spotter(models_dir / "tones", speed="fast")
    with connect(server.ws(), speed="fast", encoding="pcm_f32le") as stream:
        assert stream.ready["config"]["speed"] == "fast"
        stream.send(SPEECH)
        stream.close()
        *events, summary = stream
    assert [facts(event) for event in events] == [facts(event) for event in spotter.push(SPEECH) + spotter.flush()]
    assert (summary["type"], summary["detections"], len(events)) == ("summary", 3, 3)


def test_one_thread_sends_while_another_iterates(server: Running) -> None:
    def send() -> None:
        for start in range(0, len(SPEECH), 800):
            stream.send(SPEECH[start : start + 800])
        stream.close()

    with connect(server.ws()) as stream:
        sending = threading.Thread(target=send)
        sending.start()
        labels = [event["label"] for event in stream if event["type"] == "detection"]
        sending.join()
    assert labels == ["yes", "no", "yes"]


def test_requests_are_sent_and_answered(server: Running) -> None:
    with connect(server.ws()) as stream:
        stream.update(speed="accurate")
        assert next(stream)["type"] == "ready"
        assert stream.ready["config"]["speed"] == "accurate"
        stream.keepalive()
        stream.send(SPEECH[:1600])
        stream.reset()
        stream.send(SPEECH[:800])
        stream.flush()
        assert next(stream)["audio_s"] == 0.05


def test_no_thread_is_left(server: Running) -> None:
    before = threading.active_count()
    with connect(server.ws()):
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_failures_are_those_of_the_asyncio_library() -> None:
    with (
        pytest.raises(ServerUnreachableError, match=r"expected a server at ws://127.0.0.1:1/"),
        connect("ws://127.0.0.1:1/"),
    ):
        pass


def test_a_wrong_setting_is_raised(server: Running) -> None:
    with pytest.raises(ServerError, match="bad_value: mode: expected"), connect(server.ws(), mode="c"):
        pass


def test_many_streams_share_a_socket_each_with_its_thread(server: Running) -> None:
    def listen(words: tuple[str, ...]) -> list[str]:
        with shared.open(encoding="pcm_f32le") as stream:
            stream.send(synthesize(*words))
            stream.close()
            return [event["label"] for event in stream if event["type"] == "detection"]

    spoken = [("yes",), ("no", "yes"), ("no",)] * 3
    with connect_shared(server.ws_shared) as shared, ThreadPoolExecutor(len(spoken)) as threads:
        assert [tuple(words) for words in threads.map(listen, spoken)] == spoken
        shared.keepalive()
        with pytest.raises(ServerError, match="bad_value: mode: expected"), shared.open(mode="c"):
            pass
