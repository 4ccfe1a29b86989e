"""The Dockerfiles and compose.yaml."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests import ROOT
from tests.project.deploy.reading import (
    DEPLOY,
    USER,
    Instruction,
    checked,
    compose,
    dockerfile,
    last,
    longest_end,
    told,
    tool,
)

FILES = [DEPLOY / "Dockerfile", DEPLOY / "Dockerfile.cuda"]
SECONDS = re.compile(r"(\d+)s")


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def image(request: pytest.FixtureRequest) -> list[Instruction]:
    return dockerfile(request.param)


def test_hadolint_finds_nothing() -> None:
    assert checked(tool("hadolint"), "--failure-threshold", "style", *FILES) == ""


def test_an_image_listens_to_all_and_asks_for_a_token(image: list[Instruction]) -> None:
    entry = last(image, "ENTRYPOINT").words
    assert entry[:2] == ["wgan", "serve"]
    options = [*entry[2:], *last(image, "CMD").words]
    asked = told(options)
    assert (asked["host"], asked["port"]) == ("0.0.0.0", int(last(image, "EXPOSE").text))
    assert str(asked["token_file"]) == "/run/secrets/wgan_token"
    assert not asked["no_auth"]


def test_an_image_runs_as_a_user_with_a_number_and_is_ended_by_sigterm(image: list[Instruction]) -> None:
    assert last(image, "USER").text == f"{USER}:{USER}"
    assert last(image, "STOPSIGNAL").text == "SIGTERM"


def test_an_image_asks_for_readiness_where_it_listens(image: list[Instruction]) -> None:
    program = last(image, "HEALTHCHECK").words[-1]
    compile(program, "HEALTHCHECK", "exec")
    assert "'/readyz'" in program
    assert f"'127.0.0.1', {last(image, 'EXPOSE').text}," in program


def test_an_image_has_no_torch_and_the_versions_that_were_tested(image: list[Instruction]) -> None:
    (install,) = (each.text for each in image if each.name == "RUN" and " install --no-cache-dir" in each.text)
    for name, _, default in (each.text.partition("=") for each in image if each.name == "ARG"):
        install = install.replace(f"${{{name}}}", default)
    extras = re.search(r"\.\[([^\]]+)\]", install)
    assert extras is not None
    assert extras[1] in ("onnx-cpu,serve", "onnx,serve")
    assert "-c constraints.txt" in install
    assert not any("torch" in each.text.replace("without torch", "") for each in image)


def test_an_image_is_built_in_stages_on_a_base_with_a_tag(image: list[Instruction]) -> None:
    bases = [each.text.split()[0] for each in image if each.name == "FROM"]
    assert bases[1:] == ["base", "base"]
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", bases[0])
    assert last(image, "COPY").text == "--from=build /opt/wgan /opt/wgan"


def test_what_an_image_copies_is_there_and_is_sent_to_the_builder(image: list[Instruction]) -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    kept = [line[1:].rstrip("/") for line in ignored if line.startswith("!")]
    sources = [
        source.rstrip("/")
        for each in image
        if each.name == "COPY" and not each.text.startswith("--from")
        for source in each.text.split()[:-1]
    ]
    assert sorted(sources) == sorted(kept)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert "*" in ignored


def test_a_token_or_a_run_is_never_sent_to_the_builder() -> None:
    kept = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text("utf-8").split() if line[0] == "!"]
    assert [name for name in ("token", "runs", ".git", ".venv", "deploy") if any(fnmatch(name, k) for k in kept)] == []


def test_docker_compose_takes_the_file() -> None:
    words = [tool("docker-compose"), "-f", DEPLOY / "compose.yaml", "--profile", "gpu", "config", "--format", "json"]
    services = json.loads(checked(*words))["services"]
    assert set(services) == {"wgan", "wgan-gpu"}
    assert {service["build"]["context"] for service in services.values()} == {str(ROOT)}


@pytest.mark.parametrize("name", ["wgan", "wgan-gpu"])
def test_a_service_can_write_nothing_and_gain_nothing(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    assert all(volume["read_only"] for volume in service["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])


@pytest.mark.parametrize("name", ["wgan", "wgan-gpu"])
def test_a_service_has_its_token_its_check_and_the_time_to_end(name: str) -> None:
    project = compose()
    service = project["services"][name]
    image = dockerfile(
        Path(DEPLOY / "compose.yaml").parent / service["build"]["context"] / service["build"]["dockerfile"]
    )
    options = [*last(image, "ENTRYPOINT").words[2:], *service["command"]]
    assert str(told(options)["token_file"]) == f"/run/secrets/{service['secrets'][0]}"
    assert set(service["secrets"]) <= set(project["secrets"])
    assert service["healthcheck"]["test"] == ["CMD", *last(image, "HEALTHCHECK").words]
    grace = SECONDS.fullmatch(service["stop_grace_period"])
    assert grace is not None
    assert int(grace[1]) > longest_end(options)
