"""/openapi.json against the answers of a real server, and a client that is generated from it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.server.rest import answers
from tests.support.server import Running, serving
from tests.support.uploads import YES, upload

KEY = "a-key-of-this-test-0123"
CLIENT = """
import io
import sys

from kws_client import AuthenticatedClient
from kws_client.api.default import classify, get_model, list_models
from kws_client.models import ClassifyForm, ClassifyMode, ClassifySpeed, ErrorAnswer, GetModelName
from kws_client.types import File

address, key, path = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=key)
content = open(path, "rb").read()
form = ClassifyForm(files=[File(io.BytesIO(content), "a.wav"), File(io.BytesIO(b""), "empty.wav")])
utterance = classify.sync(client=client, body=form, speed=ClassifySpeed.ACCURATE)
print(utterance.results[0].label, utterance.results[1].error.code)
form = ClassifyForm(files=[File(io.BytesIO(content), "a.wav")])
continuous = classify.sync(client=client, body=form, mode=ClassifyMode.CONTINUOUS)
print(*(detection.label for detection in continuous.results[0].detections))
print(*(model.name for model in list_models.sync(client=client).models))
print(get_model.sync(GetModelName.TONES, client=client).frame_ms)
refused = list_models.sync(client=AuthenticatedClient(base_url=address, token="wrong"))
print(isinstance(refused, ErrorAnswer), refused.error.code)
"""


@pytest.fixture(scope="module")
def secured(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir, api_keys=KEY) as running:
        yield running


def document(running: Running) -> dict[str, Any]:
    fetched: dict[str, Any] = httpx.get(f"{running.http}/openapi.json", params={"token": KEY}).json()
    return fetched


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["operationId"]: entry for item in described["paths"].values() for entry in item.values()}


def test_operations_have_names_and_schemas_of_all_answers(server: Running) -> None:
    described = operations(document(server))
    assert set(described) == {"get_health", "get_readiness", "get_metrics", "list_models", "get_model", "classify"}
    assert {"200", "400", "401", "404", "408", "413", "429", "503"} <= set(described["classify"]["responses"])
    for name, operation in described.items():
        assert operation["description"], name
        for status, answer in operation["responses"].items():
            (content,) = answer["content"].values()
            assert "$ref" in content["schema"] or name == "get_metrics", (name, status)


def test_choices_are_those_of_the_server(server: Running) -> None:
    described = operations(document(server))
    schemas = {parameter["name"]: parameter["schema"] for parameter in described["classify"]["parameters"]}
    assert schemas["model"] == {"type": "string", "enum": ["other", "tones"], "default": "tones"}
    assert schemas["speed"] == {"type": "string", "enum": ["fast", "balanced", "accurate"], "default": "balanced"}
    assert schemas["mode"] == {"type": "string", "enum": ["utterance", "continuous"], "default": "utterance"}
    assert schemas["trace"] == {"type": "boolean", "default": False}
    (name,) = described["get_model"]["parameters"]
    assert name["schema"]["enum"] == ["other", "tones"]


def test_keys_are_a_security_scheme_where_they_are_configured(server: Running, secured: Running) -> None:
    for running, security in ((server, None), (secured, [{"bearer": []}])):
        described = document(running)
        assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        assert {name: operation.get("security") for name, operation in operations(described).items()} == {
            "get_health": None,
            "get_readiness": None,
            **dict.fromkeys(["get_metrics", "list_models", "get_model", "classify"], security),
        }


def test_answers_may_get_more_fields(server: Running) -> None:
    """A client that is strict about them would break with the next version."""
    schemas = document(server)["components"]["schemas"]
    assert {name for name, schema in schemas.items() if schema.get("additionalProperties") is False} == set()


def test_answers_have_the_fields_of_their_schemas_and_no_others(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        models = answers.ModelListAnswer.model_validate(http.get("/v1/models").json())
        assert models.model_dump(exclude_unset=True) == http.get("/v1/models").json()
        detail = http.get("/v1/models/tones").json()
        assert set(detail) == set(answers.ModelDetailAnswer.model_fields)
        for query in ("mode=utterance&trace=true", "mode=continuous&trace=true"):
            results = http.post(f"/v1/classify?{query}&x=1", files=upload(YES, b"")).json()
            assert answers.ClassifyAnswer.model_validate(results).model_dump(exclude_unset=True) == results
            kind = answers.UtteranceAnswer if "utterance" in query else answers.ContinuousAnswer
            assert set(results["results"][0]) == set(kind.model_fields)


@pytest.mark.skipif(not find_spec("openapi_python_client"), reason="needs openapi-python-client")
def test_a_generated_client_classifies_a_file(secured: Running, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document(secured)))
    generate = ["generate", "--path", "openapi.json", "--meta", "none", "--output-path", "kws_client"]
    command = [sys.executable, "-m", "openapi_python_client", *generate]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "a.wav").write_bytes(YES)
    (tmp_path / "client.py").write_text(CLIENT)
    command = [sys.executable, "client.py", secured.http, KEY, "a.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["yes bad_audio", "yes", "other tones", "10.0", "True unauthorized"], done.stderr
