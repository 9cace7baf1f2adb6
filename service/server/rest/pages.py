"""Files for browsers: the page with its assets, and Swagger UI, which needs nothing from another host."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

PAGE_FILES = {path.name: path for path in Path(__file__).parents[2].joinpath("web").iterdir()}
SWAGGER_UI = Path(str(files("fastapi_swagger.resources")))
SWAGGER_FILES = {name: SWAGGER_UI / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")}

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.get("/web/{name}")
async def get_page(name: str = "index.html") -> Response:
    """The page and its assets; browsers ask for them every time, so that they fit each other."""
    if name not in PAGE_FILES:
        raise HTTPException(404)
    return FileResponse(PAGE_FILES[name], headers={"Cache-Control": "no-cache"})


@router.get("/docs")
async def get_docs() -> Response:
    """The REST interface for people."""
    return await get_page("docs.html")


@router.get("/docs/{name}")
async def get_swagger_ui(name: str) -> Response:
    """Swagger UI's own files, which change with its version only."""
    if name not in SWAGGER_FILES:
        raise HTTPException(404)
    return FileResponse(SWAGGER_FILES[name], headers={"Cache-Control": "max-age=86400"})
