"""The Helm chart, rendered by Helm's own engine and held against Kubernetes' schemas."""

import importlib
import re
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project.deploy.reading import DEPLOY, USER, dockerfile, last, longest_end, told
from wgan.version import version

CHART = DEPLOY / "helm/wgan"
TEMPLATES = sorted((CHART / "templates").iterdir())
KUBERNETES = ("1.30", "1.37")  # an old and a new one: what is deprecated in between would be found
TOKEN = {"auth": {"token": "a-token-of-24-characters"}}
EVERYTHING: dict[str, Any] = {
    "auth": {"existingSecret": "mine", "secretKey": "tokens"},
    "model": {
        "file": "/models/generator.onnx",
        "volume": {"persistentVolumeClaim": {"claimName": "generators"}},
        "watch": True,
    },
    "backend": "onnx",
    "allowHosts": ["wgan.example.com"],
    "accessLog": True,
    "extraArgs": ["--workers=1"],
    "env": [{"name": "TZ", "value": "UTC"}],
    "imagePullSecrets": [{"name": "registry"}],
    "drain": {"delay": 7, "timeout": 50},
    "service": {"annotations": {"a": "b"}},
    "autoscaling": {"enabled": True, "cpu": 80},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "tokenSecret": {"name": "one"}},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"name": "web"}}}]},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
}


def needed(name: str) -> types.ModuleType:
    """A module that the test cannot do without."""
    return pytest.importorskip(name, reason=f"needs {name}, which is not installed")


def rendered(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What Helm makes of the chart: kind → object."""
    manifests = needed("helm_python").Chart.load(CHART).render(values, name="try", namespace="here")
    objects = [each for path, text in manifests.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text)]
    return {each["kind"]: each for each in objects if each}


def refused(values: dict[str, Any]) -> str:
    """Why Helm does not make anything of these values."""
    helm = needed("helm_python")
    with pytest.raises(helm.HelmError) as caught:
        rendered(values)
    return str(caught.value)


def pod(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The pod's specification, its container, and all options of `wgan serve` in it."""
    spec = rendered(values)["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    entry = last(dockerfile(DEPLOY / "Dockerfile"), "ENTRYPOINT").words
    return spec, container, [*entry[2:], *container["args"]]


@pytest.mark.parametrize("values", [TOKEN, EVERYTHING], ids=["token", "everything"])
def test_helm_lint_finds_nothing(values: dict[str, Any]) -> None:
    needed("helm_python")
    report = importlib.import_module("helm_python.chart").lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", [TOKEN, EVERYTHING], ids=["token", "everything"])
def test_what_is_rendered_is_what_kubernetes_knows(values: dict[str, Any], kubernetes: str) -> None:
    validate = needed("kubernetes_validate").validate
    objects = rendered(values)
    objects.pop("ServiceMonitor", None)  # of the Prometheus operator, whose schema is its own
    for each in objects.values():
        validate(each, kubernetes, strict=True)
    assert {"Deployment", "Service", "PodDisruptionBudget"} <= set(objects)


@pytest.mark.parametrize("values", [TOKEN, EVERYTHING], ids=["token", "everything"])
def test_a_pod_has_options_that_serve_knows_and_the_time_to_end(values: dict[str, Any]) -> None:
    spec, _, options = pod(values)
    asked = told(options)
    assert spec["terminationGracePeriodSeconds"] > longest_end(options)
    assert asked["drain_delay"] > 0  # the cluster must first see that it leaves
    assert asked["allow_host"][:2] == ["try-wgan", "try-wgan.here"]
    assert str(asked["token_file"]) == "/run/secrets/wgan/token"


def test_a_pod_keeps_to_the_restricted_standard() -> None:
    spec, container, _ = pod(TOKEN)
    for_pod, for_container = spec["securityContext"], container["securityContext"]
    assert for_pod["runAsNonRoot"]
    assert for_pod["runAsUser"] == for_pod["runAsGroup"] == USER
    assert for_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert for_container["capabilities"] == {"drop": ["ALL"]}
    assert for_container["allowPrivilegeEscalation"] is False
    assert for_container["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]


def test_probes_ask_where_the_server_answers_without_a_token() -> None:
    _, container, options = pod(TOKEN)
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert {kind: get["path"] for kind, get in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    (port,) = container["ports"]
    assert {get["port"] for get in probes.values()} == {port["name"]}
    assert port["containerPort"] == told(options)["port"]
    assert rendered(TOKEN)["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]


def test_the_autoscaler_goes_by_the_queue_and_the_cpu() -> None:
    objects = rendered(EVERYTHING)
    by_queue, by_cpu = objects["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert by_queue["pods"]["metric"]["name"] == metric_of_the_adapter()
    assert by_cpu["resource"]["target"]["averageUtilization"] == 80
    assert "replicas" not in objects["Deployment"]["spec"]


def test_the_adapter_passes_on_a_metric_that_the_server_has() -> None:
    from prometheus_client import generate_latest

    from wgan.serve.http.queue.metrics import Metrics

    assert f"\n{metric_of_the_adapter()} " in generate_latest(Metrics().registry).decode()


def metric_of_the_adapter() -> str:
    """What prometheus-adapter asks Prometheus for, and what it calls that."""
    (rule,) = yaml.safe_load((DEPLOY / "helm/prometheus-adapter.yaml").read_text("utf-8"))["rules"]["custom"]
    name = str(rule["name"]["as"])
    assert rule["seriesQuery"].startswith(name + "{")
    return name


def test_the_token_is_a_secret_that_only_the_pod_reads() -> None:
    objects = rendered(TOKEN)
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    (volume,) = [each["secret"] for each in spec["volumes"] if "secret" in each]
    assert volume["secretName"] == objects["Secret"]["metadata"]["name"]
    assert volume["items"] == [{"key": "token", "path": "token"}]
    assert TOKEN["auth"]["token"] not in str(objects["Deployment"])


def test_without_a_token_it_must_be_said() -> None:
    assert "who may ask?" in refused({})
    assert "--no-auth" in pod({"auth": {"disabled": True}})[2]
    assert "not both" in refused({"auth": {"disabled": True, "token": "x" * 16}})
    assert "exclude each other" in refused({"auth": {"existingSecret": "mine", "token": "x" * 16}})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"queue": 0}, "/queue"),
        ({"drain": {"delay": 1.5}}, "/drain/delay"),
        ({"model": {"file": "generator.onnx"}}, "/model/file"),
        ({"modle": {}}, "modle"),
        ({"autoscaling": {"enabled": True, "queueImages": 0}}, "autoscaling by nothing"),
    ],
)
def test_a_value_that_cannot_be_is_named(values: dict[str, Any], named: str) -> None:
    assert named in refused({**TOKEN, **values})


def test_templates_use_values_that_are_there_and_each_value_is_used() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    text = "\n".join(path.read_text("utf-8") for path in TEMPLATES)
    used = set(re.findall(r"\.Values\.(\w+)", text))
    assert used == set(defaults)
    for first, second in re.findall(r"\.Values\.(\w+)\.(\w+)", text):
        assert second in defaults[first], f"{first}.{second}"


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == version()
    assert f"ARG VERSION={version()}" in Path(DEPLOY / "Dockerfile").read_text("utf-8")
