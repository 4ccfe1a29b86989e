"""The systemd unit and nginx's configuration: what stands around `wgan serve` on a machine of one's own."""

import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fakes.generator import FakeGenerator
from tests.project.deploy.reading import DEPLOY, checked, longest_end, options_of_unit, told, tool, unit
from tests.serve.http.serving import PATIENCE, Serving, serving
from wgan.serve.http.limits.settings import Settings

UNIT = DEPLOY / "systemd/wgan-serve.service"
CONF = DEPLOY / "nginx/wgan.conf"
NAME = "wgan.example.com"
EXPOSURE = 20  # of systemd-analyze's hundred; what nothing protects has 96


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """With a program that is there: systemd looks whether it can be run."""
    mine = tmp_path / UNIT.name
    mine.write_text(UNIT.read_text("utf-8").replace("/opt/wgan/bin/wgan", sys.executable), "utf-8")
    done = subprocess.run([tool("systemd-analyze"), "verify", mine], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_exposed_to_little() -> None:
    checked(tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE}", UNIT)


def test_the_unit_has_options_that_serve_knows_and_the_time_to_end() -> None:
    asked, settings = told(options_of_unit()), unit()
    assert asked["host"] == "127.0.0.1"
    assert int(settings["TimeoutStopSec"][0]) > longest_end(options_of_unit())
    assert asked["allow_host"] == [NAME]


def test_the_units_token_is_a_credential_and_its_reload_a_hangup() -> None:
    asked, settings = told(options_of_unit()), unit()
    name = settings["LoadCredential"][0].partition(":")[0]
    assert str(asked["token_file"]) == f"${{CREDENTIALS_DIRECTORY}}/{name}"
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert {name: settings[name] for name in ("DynamicUser", "ProtectSystem", "NoNewPrivileges")} == {
        "DynamicUser": ["yes"],
        "ProtectSystem": ["strict"],
        "NoNewPrivileges": ["yes"],
    }


def test_nginx_waits_as_long_as_the_server_and_leads_to_it() -> None:
    text, asked, limits = CONF.read_text("utf-8"), told(options_of_unit()), Settings()
    assert f"server {asked['host']}:{asked['port']};" in text
    assert set(re.findall(r"server_name (\S+);", text)) == set(asked["allow_host"])
    seconds = {name: int(value) for name, value in re.findall(r"(\w+_timeout) +(\d+)s;", text)}
    assert seconds["proxy_read_timeout"] > limits.max_request_timeout
    assert seconds["client_header_timeout"] == limits.header_timeout
    assert seconds["client_body_timeout"] == limits.body_timeout


@dataclass
class Proxied:
    """nginx on this machine, with `wgan serve` behind it."""

    behind: Serving
    tls: int  # its port for https
    plain: int  # and for http
    certificate: Path

    def client(self) -> httpx.Client:
        """A client that trusts this certificate alone, and knows the server by its name."""
        trusting = ssl.create_default_context(cafile=str(self.certificate))
        url = f"https://127.0.0.1:{self.tls}"
        return httpx.Client(base_url=url, verify=trusting, headers={"Host": NAME}, timeout=PATIENCE, trust_env=False)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens to."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def configured(folder: Path, behind: int, tls: int, plain: int) -> Path:
    """A configuration of nginx with ours in it as it is, but for the ports and the place of the certificate."""
    text = CONF.read_text("utf-8")
    for old, new in (
        ("listen 443 ", f"listen 127.0.0.1:{tls} "),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("127.0.0.1:8000", f"127.0.0.1:{behind}"),
        ("/etc/nginx/tls", str(folder)),
    ):
        assert old in text
        text = text.replace(old, new)
    text = "".join(line for line in text.splitlines(keepends=True) if "listen [::]" not in line)
    (folder / "wgan.conf").write_text(text, "utf-8")
    whole = folder / "nginx.conf"
    places = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; {places} include {folder}/wgan.conf; }}\n",
        "utf-8",
    )
    return whole


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    nginx, openssl = shutil.which("nginx") or shutil.which("/usr/sbin/nginx"), tool("openssl")
    if nginx is None:
        pytest.skip("needs nginx, which is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    tls, plain = free_ports(2)
    key, certificate = folder / "wgan.key", folder / "wgan.crt"
    checked(
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
        "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1",
    )  # fmt: skip
    with serving(FakeGenerator(), Settings(allowed_hosts=(NAME,))) as behind:
        conf = configured(folder, behind.port, tls, plain)
        checked(nginx, "-t", "-q", "-c", conf, "-p", folder)
        process = subprocess.Popen([nginx, "-c", str(conf), "-p", str(folder)])
        try:
            made = Proxied(behind, tls, plain, certificate)
            wait_for(tls)
            yield made
        finally:
            process.terminate()
            process.wait(PATIENCE)


def wait_for(port: int) -> None:
    """Until something listens there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.slow
def test_an_image_is_the_same_through_tls(proxied: Proxied) -> None:
    with proxied.client() as client, proxied.behind.client() as direct:
        through = client.get("/v1/images/7.png")
        assert through.status_code == 200
        assert through.content == direct.get("/v1/images/7.png").content
        assert "max-age" in through.headers["strict-transport-security"]


@pytest.mark.slow
def test_a_request_keeps_its_id_through_nginx(proxied: Proxied) -> None:
    with proxied.client() as client:
        assert client.get("/readyz", headers={"X-Request-Id": "mine-7"}).headers["x-request-id"] == "mine-7"
        assert re.fullmatch("[0-9a-f]{32}", client.get("/readyz").headers["x-request-id"])  # nginx's own


@pytest.mark.slow
def test_a_stream_and_a_refusal_come_through_as_the_server_gives_them(proxied: Proxied) -> None:
    with proxied.client() as client:
        made = client.post("/v1/images", json={"seed": 1, "n": 300, "format": "tar"})
        assert made.status_code == 200
        assert made.content.count(b".png") >= 300
        large = client.post("/v1/images", content=b" " * (Settings().max_body + 1))
        assert (large.status_code, large.json()["code"]) == (413, "too_large")


@pytest.mark.slow
def test_http_leads_to_https_and_metrics_stay_inside(proxied: Proxied) -> None:
    with proxied.client() as client:
        assert client.get("/metrics").status_code == 404
    plain = httpx.get(f"http://127.0.0.1:{proxied.plain}/x?y=1", headers={"Host": NAME}, trust_env=False)
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://{NAME}/x?y=1")


@pytest.mark.slow
def test_a_name_that_is_not_the_servers_own_is_not_passed_on(proxied: Proxied) -> None:
    with proxied.client() as client:
        assert client.get("/v1/images/7.png", headers={"Host": "rebound.example"}).status_code == 403
