import re
from pathlib import Path

import httpx

from tests.support.server import Running, serving


def test_every_answer_has_them(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        for path in ("/", "/docs", "/v1/models", "/healthz", "/nowhere"):
            headers = http.get(path).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Frame-Options"] == "DENY"


def test_denials_have_them_too(models_dir: Path) -> None:
    with serving(models_dir, api_keys="a-key-of-this-test-0123") as running:
        denied = httpx.get(f"{running.http}/v1/models")
    assert (denied.status_code, denied.headers["X-Content-Type-Options"]) == (401, "nosniff")


def test_pages_load_nothing_from_another_host(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        for path in ("/", "/docs"):
            page = http.get(path)
            assert "default-src 'none'; script-src 'self';" in page.headers["Content-Security-Policy"]
            assert "http" not in page.headers["Content-Security-Policy"]
            loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert loaded
            assert [link for link in loaded if "//" in link] == []
