"""clients/handshake.py: every way in which a stream is not opened, in words that say what to do."""

import json

import pytest

from clients.connection import ServerError, ServerUnreachableError, connect
from clients.handshake import MAX_REASON
from tests.support.fake_server import Refusal, fake_server, until_flush


async def refused(refusal: Refusal) -> ServerError:
    """The error of a handshake that gets this refusal."""
    async with fake_server(until_flush, [refusal]) as (url, _):
        with pytest.raises(ServerError) as caught:
            await connect(url)
    return caught.value


async def test_status_and_reason_are_those_of_the_server() -> None:
    error = await refused(Refusal(503, {"Retry-After": "7"}, "expected at most 2 streams, got another\n"))
    assert str(error) == "http_503: expected at most 2 streams, got another"
    assert (error.code, error.retryable, error.retry_after_s) == ("http_503", True, 7.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html><h1>502 Bad Gateway</h1></html>", "Bad Gateway"),
        ("", "Bad Gateway"),
        (json.dumps({"error": {"code": "x", "message": "expected a, got b"}}), "expected a, got b"),
        ('{"detail":"Not Found"}', '{"detail":"Not Found"}'),
        ("[" * 5000, "[" * MAX_REASON),
        ("two\r\nlines", "two lines"),
    ],
)
async def test_the_reason_is_one_line_whatever_the_body(body: str, reason: str) -> None:
    assert (await refused(Refusal(502, body=body))).message == reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 414, 426, 501])
async def test_other_statuses_are_not_retryable(status: int) -> None:
    error = await refused(Refusal(status))
    assert (error.code, error.retryable, error.retry_after_s) == (f"http_{status}", False, None)


async def test_retry_after_as_a_date_counts_from_the_date_of_the_answer() -> None:
    headers = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:40 GMT"}
    error = await refused(Refusal(429, headers))
    assert error.retryable
    assert error.retry_after_s == 40.0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:8000", "got 'localhost:8000': scheme isn't ws or wss"),
        ("http://localhost:8000", "got 'http://localhost:8000': scheme isn't ws or wss"),
        ("ws://", "got 'ws://': hostname isn't provided"),
        ("ws://127.0.0.1:port/", "got 'ws://127.0.0.1:port/': Port could not be cast to integer value as 'port'"),
        ("ws://127.0.0.1:99999/", "got 'ws://127.0.0.1:99999/': Port out of range 0-65535"),
        ("ws://[::1/", "got 'ws://[::1/': Invalid IPv6 URL"),
        ("http://x/?token=secret", "got 'http://x/': scheme isn't ws or wss"),
    ],
)
async def test_a_wrong_address_is_an_error_that_shows_a_right_one(url: str, reason: str) -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        await connect(url)
    assert caught.value.message == f"expected an address such as ws://127.0.0.1:8000/v1/stream, {reason}"
    assert not caught.value.retryable


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".invalid"])
async def test_a_host_without_an_address_is_unreachable(host: str) -> None:
    with pytest.raises(ServerUnreachableError, match=f"expected a server at ws://{host}/s, got: "):
        await connect(f"ws://{host}/s?token=secret")


async def test_a_redirection_to_another_protocol_is_an_error() -> None:
    error = await refused(Refusal(301, {"Location": "https://example.invalid/login?next=x"}))
    assert error.message == "expected a WebSocket, got a redirection to https://example.invalid/login"
    assert not error.retryable


async def test_the_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RC_API_KEY", "a-key-of-16-letters\n")
    async with fake_server(until_flush) as (url, streams), connect(url):
        request = streams[0].socket.request
        assert request
        assert request.headers["Authorization"] == "Bearer a-key-of-16-letters"


async def test_a_page_is_not_a_stream() -> None:
    error = await refused(Refusal(200, body="<html>Welcome</html>"))
    assert str(error) == "http_200: OK; check the address: expected a WebSocket, got a page"
    assert not error.retryable
