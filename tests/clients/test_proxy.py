"""clients/proxy.py: what goes through a proxy of the environment, what never does, and errors that name the proxy."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile

from clients import blocking
from clients.bench import capacity
from clients.commands import listen, stream
from clients.connection import ServerUnreachableError, connect
from clients.demo import __main__ as demo
from clients.proxy import is_loopback, without_secrets
from tests.support.fake_microphone import InterruptedMicrophone
from tests.support.fake_proxy import VARIABLES, fake_proxy
from tests.support.fake_server import fake_server, until_flush
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

AWAY = "ws://kws.invalid/v1/stream"  # a host that only a proxy can reach


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def set_proxies(monkeypatch: pytest.MonkeyPatch, proxy: str, change: Callable[[str], str] = str) -> None:
    """Set all variables but NO_PROXY, in the spelling of `change`."""
    for name in VARIABLES[:-1]:
        monkeypatch.setenv(change(name), proxy)


async def failure(url: str) -> ServerUnreachableError:
    with pytest.raises(ServerUnreachableError) as caught:
        await connect(url)
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LocalHost.", "a.localhost", "ip6-localhost"),
        *("127.0.0.1", "127.9.8.7", "127.1", "0.0.0.0"),  # noqa: S104 - it binds nothing
        *("::1", "0:0:0:0:0:0:0:1", "::", "::ffff:127.0.0.2"),
    ],
)
def test_this_machine_is_known_by_any_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "10.0.0.1", "::2", "fe80::1", "127", "ü.de"])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("change", [str.lower, str.upper])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
async def test_loopback_never_goes_to_a_proxy(
    host: str, change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_proxy() as proxy:
        set_proxies(monkeypatch, f"http://{proxy.address}", change)
        async with fake_server(until_flush) as (url, streams):
            if host == "localhost":
                url = url.replace("127.0.0.1", host)
            async with connect(url):
                assert len(streams) == 1
        await failure(f"ws://{host}:9/v1/stream")
    assert proxy.requests == []


async def test_loopback_over_ipv6_never_goes_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_proxy() as proxy:
        set_proxies(monkeypatch, f"http://{proxy.address}")
        error = await failure("ws://[::1]:9/v1/stream")
    assert proxy.requests == []
    assert "proxy" not in error.message


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9", "nonsense", "http://127.0.0.1:port"])
async def test_a_useless_proxy_does_not_matter_to_loopback(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_proxies(monkeypatch, proxy)
    async with fake_server(until_flush) as (url, _), connect(url) as stream:
        assert stream.ready


async def test_another_host_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_server(until_flush) as (url, _):
        with fake_proxy(target=urlsplit(url).port) as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
            async with connect(AWAY) as stream:
                assert stream.ready
    assert proxy.requests == ["CONNECT kws.invalid:80 HTTP/1.1"]


@pytest.mark.parametrize(
    ("status", "retryable"), [("407 Proxy Authentication Required", False), ("403 Forbidden", False), ("502 Bad", True)]
)
async def test_a_refusal_of_the_proxy_names_it_without_its_password(
    status: str, retryable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_proxy(f"HTTP/1.1 {status}\r\n\r\n".encode()) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:secret@{proxy.address}")
        error = await failure(f"{AWAY}?token=secret")
    assert error.message == (
        f"expected a server at {AWAY} through the proxy http://{proxy.address}, got: proxy rejected connection: "
        f"HTTP {status[:3]}; correct the proxy in the environment, or set NO_PROXY=kws.invalid to connect directly"
    )
    assert error.retryable is retryable


async def test_a_proxy_asks_for_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_proxy(b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n") as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        error = await failure(AWAY)
    assert (error.retryable, error.retry_after_s) == (True, 3.0)


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    error = await failure("wss://kws.invalid/v1/stream")
    assert error.message.startswith(
        f"expected a server at {AWAY.replace('ws:', 'wss:')} through the proxy http://127.0.0.1:9"
    )
    assert error.retryable


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("ftp://user:secret@host:1", "'ftp://host:1': scheme ftp isn't supported"),
        ("proxy.example:3128", "'proxy.example:3128': scheme proxy.example isn't supported"),
        ("http://host:port", "'http://host:port': Port could not be cast to integer value as 'port'"),
        ("http://user@host:1", "'http://host:1': username provided without password"),
    ],
)
async def test_an_invalid_proxy_is_shown_with_its_fault(
    proxy: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    error = await failure(AWAY)
    assert error.message == (
        f"expected a proxy such as http://, https:// or socks5://HOST:PORT in the environment, got {shown}; "
        "correct it, or set NO_PROXY=kws.invalid to connect directly"
    )
    assert not error.retryable


async def test_a_socks_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_package(*_: object, **__: object) -> None:
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr("websockets.asyncio.client.connect_socks_proxy", without_package)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("SOCKS_PROXY", "socks5://user:secret@127.0.0.1:9")
    error = await failure(AWAY)
    assert error.message == (
        "expected the package python-socks for the proxy socks5://127.0.0.1:9, got none: "
        "pip install 'python-socks[asyncio]', or set NO_PROXY=kws.invalid to connect directly"
    )
    assert not error.retryable


async def test_another_host_is_reached_through_a_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("python_socks")
    async with fake_server(until_flush) as (url, _):
        with fake_proxy(target=urlsplit(url).port) as proxy:
            monkeypatch.setenv("SOCKS_PROXY", f"socks5h://{proxy.address}")
            async with connect(AWAY) as stream:
                assert stream.ready
    assert proxy.requests == ["SOCKS5 kws.invalid:80"]


async def test_a_socks_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("python_socks")
    monkeypatch.setenv("SOCKS_PROXY", "socks5://127.0.0.1:9")
    error = await failure(AWAY)
    assert error.message.startswith(f"expected a server at {AWAY} through the proxy socks5://127.0.0.1:9, got: ")
    assert error.retryable


async def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_proxy() as proxy:
        set_proxies(monkeypatch, f"http://{proxy.address}")
        monkeypatch.setenv("NO_PROXY", ".invalid")
        error = await failure(AWAY)
    assert proxy.requests == []
    assert "proxy" not in error.message


def test_secrets_are_left_out_of_addresses() -> None:
    assert without_secrets("http://user:pass@host:1/a?token=b#c") == "http://host:1/a"
    assert without_secrets("user:pass@host") == "host"
    assert without_secrets("http://user:pass@[::1") == "[::1"


def test_every_command_reaches_this_machine_past_a_proxy(
    server: Running,
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording, script = tmp_path / "yes.wav", tmp_path / "yes.json"
    soundfile.write(recording, synthesize("yes"), RATE)
    script.write_text('[{"word": "yes", "keyword": true}]')
    monkeypatch.setattr(listen, "Microphone", lambda _: InterruptedMicrophone(synthesize("yes")))
    monkeypatch.setattr(capacity, "RECORDING", recording)
    for name, value in {"RECORDING": recording, "SCRIPT": script, "MODELS": models_dir, "MODEL": "tones"}.items():
        monkeypatch.setattr(demo, name, value)
    with fake_proxy() as proxy:
        set_proxies(monkeypatch, f"http://{proxy.address}")
        set_proxies(monkeypatch, f"http://{proxy.address}", str.upper)
        assert stream.main(["--url", server.ws(), "--fast", str(recording)]) == 0
        assert listen.main(["--url", server.ws()]) == 0
        assert demo.main() == 0
        options = ["--models", str(models_dir), "--model", "tones", "--streams", "1", "--seconds", "0.9"]
        assert capacity.main([*options, "--transport"]) == 0
        with blocking.connect(server.ws()) as blocking_stream:
            assert blocking_stream.ready
    assert proxy.requests == []
    assert capsys.readouterr().out.count("yes") >= 3
