"""deploy/kubernetes: valid objects, and numbers that fit each other, the server's settings and what was measured."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # noqa: TID253 (the tests have it)
from httpx import Client

from clients.bench.sizing import TARGET, UTILISATION, read_measured
from service.commands.serve import parse
from service.server.app import STREAM_PATH, STREAMS_PATH
from service.settings import Settings
from tests.support.paths import ROOT
from tests.support.server import Running

FOLDER = ROOT / "deploy" / "kubernetes"
KUBERNETES = "1.37.0"  # the version whose schemas are used
OWN_GROUPS = re.compile(r"v1|apps/.*|policy/.*|autoscaling/.*")  # others are not part of Kubernetes


def load_objects() -> dict[str, Any]:
    """The objects of all files, by kind."""
    files = [file for file in FOLDER.rglob("*.yaml") if file.name not in ("kustomization.yaml",)]
    objects = [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]
    return {manifest["kind"]: manifest for manifest in objects if "kind" in manifest}


OBJECTS = load_objects()
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


def settings_of_the_pod(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As rc-serve reads them in the container."""
    for line in (FOLDER / "base" / "settings.env").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split("=")
            assert name.removeprefix("RC_").lower() in Settings.model_fields
            monkeypatch.setenv(name, value)
    command, *arguments = CONTAINER["args"]
    assert command == "rc-serve"
    return parse(arguments)


def seconds(duration: str) -> float:
    """A duration such as 5m."""
    count, unit = re.fullmatch(r"(\d+)(s|m|h)", duration).groups()  # type: ignore[union-attr]
    return int(count) * {"s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize("kind", [kind for kind, item in OBJECTS.items() if OWN_GROUPS.fullmatch(item["apiVersion"])])
def test_objects_are_those_of_kubernetes(kind: str) -> None:
    kubernetes_validate.validate(OBJECTS[kind], KUBERNETES, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**OBJECTS[kind], "spek": {}}, KUBERNETES, strict=True)


@pytest.mark.parametrize("variant", ["hpa", "keda"])
def test_kustomize_builds_each_variant(variant: str) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("expected kubectl")
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER / variant)], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    scaler = {"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}[variant]
    assert {"Deployment", "Service", "PodDisruptionBudget", "HTTPRoute", scaler} <= {item["kind"] for item in built}
    (settings,) = (item for item in built if item["kind"] == "ConfigMap")
    (deployment,) = (item for item in built if item["kind"] == "Deployment")
    source = deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]
    assert source["configMapRef"]["name"] == settings["metadata"]["name"]


def test_a_pod_has_the_time_to_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of_the_pod(monkeypatch)
    wait_s = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = POD["terminationGracePeriodSeconds"]
    assert grace_s >= wait_s + settings.drain_timeout_s + settings.close_timeout_s
    readiness = CONTAINER["readinessProbe"]
    assert wait_s > readiness["periodSeconds"] * (readiness["failureThreshold"] + 1) + readiness["timeoutSeconds"]


def test_a_pod_takes_seven_tenths_of_what_a_core_was_measured_to_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of_the_pod(monkeypatch)
    carried = read_measured(ROOT / "docs" / "results" / "capacity").streams_per_core
    assert settings.workers == 1
    assert CONTAINER["resources"]["requests"]["cpu"] == "1"
    assert 0.5 * UTILISATION * carried <= settings.max_streams <= UTILISATION * carried


def test_pods_are_added_before_the_others_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of_the_pod(monkeypatch)
    (metric,) = OBJECTS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    (trigger,) = OBJECTS["ScaledObject"]["spec"]["triggers"]
    target = int(metric["pods"]["target"]["averageValue"])
    assert metric["pods"]["metric"]["name"] == "kws_streams"
    assert target == TARGET * settings.max_streams
    assert int(trigger["metadata"]["threshold"]) == target
    assert "kws_streams" in trigger["metadata"]["query"]


def test_both_autoscalers_take_pods_away_slowly() -> None:
    own = OBJECTS["HorizontalPodAutoscaler"]["spec"]
    keda = OBJECTS["ScaledObject"]["spec"]
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == own["behavior"]
    assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (own["minReplicas"], own["maxReplicas"])
    down, up = own["behavior"]["scaleDown"], own["behavior"]["scaleUp"]
    assert down["stabilizationWindowSeconds"] >= 600 > up["stabilizationWindowSeconds"]
    assert max(policy["value"] / policy["periodSeconds"] for policy in down["policies"]) < 1 / 10
    assert own["minReplicas"] >= 2
    assert "replicas" not in OBJECTS["Deployment"]["spec"]


def test_the_pods_of_each_selector_are_those_of_the_deployment() -> None:
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert OBJECTS[kind]["spec"]["selector"]["matchLabels"] == labels
    for spread in POD["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels


def test_probes_ask_what_the_server_answers(server: Running) -> None:
    with Client(base_url=server.http) as http:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert http.get(CONTAINER[name]["httpGet"]["path"]).status_code == 200
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/healthz"  # a pod that drains must not be killed
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_no_proxy_ends_a_stream_that_the_server_would_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of_the_pod(monkeypatch)
    streams, rest = OBJECTS["HTTPRoute"]["spec"]["rules"]
    assert {match["path"]["value"] for match in streams["matches"]} == {STREAM_PATH, STREAMS_PATH}
    assert seconds(streams["timeouts"]["request"]) == 0  # no limit
    assert seconds(rest["timeouts"]["request"]) > settings.upload_timeout_s + settings.classify_timeout_s
    assert OBJECTS["Service"]["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/ws"
    for kind, name in (("ClientTrafficPolicy", "idleTimeout"), ("BackendTrafficPolicy", "connectionIdleTimeout")):
        assert seconds(OBJECTS[kind]["spec"]["timeout"]["http"][name]) > settings.idle_timeout_s
        assert OBJECTS[kind]["spec"]["tcpKeepalive"]
    assert seconds(OBJECTS["BackendTrafficPolicy"]["spec"]["timeout"]["http"]["maxConnectionDuration"]) == 0


def test_the_image_is_run_as_it_was_built() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {POD['securityContext']['runAsUser']}:" in dockerfile
    assert f"EXPOSE {CONTAINER['ports'][0]['containerPort']}" in dockerfile
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    assert Path(CONTAINER["volumeMounts"][0]["mountPath"]) == Path("/tmp")  # noqa: S108 (of the container)
