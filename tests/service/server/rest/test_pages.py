import httpx

from tests.support.server import Running


def test_the_page_and_its_assets(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        page = http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "/v1/stream" in page.text
        assert http.get("/web/page.js").headers["content-type"].split(";")[0].endswith("/javascript")
        assert http.get("/web/style.css").headers["content-type"].startswith("text/css")
        assert http.get("/web/nothing.js").status_code == 404


def test_swagger_ui_comes_from_this_server(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        assert "docs/swagger-ui-bundle.js" in http.get("/docs").text
        bundle = http.get("/docs/swagger-ui-bundle.js")
        assert bundle.headers["content-type"].split(";")[0].endswith("/javascript")
        assert "SwaggerUIBundle" in bundle.text
        assert http.get("/docs/swagger-ui.css").headers["content-type"].startswith("text/css")
        assert http.get("/docs/package.json").status_code == 404
