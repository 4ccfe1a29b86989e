"""`wgan doctor --distributed` on machines that are made up: their interfaces, names and variables as each test says."""

import json
import os

import pytest

from wgan.cli import main
from wgan.serve.doctor import network
from wgan.serve.machine import network as machine
from wgan.serve.machine.network import Interface

LO = Interface("lo", "127.0.0.1", up=True, loopback=True)
ETH = Interface("eth0", "10.0.0.5", up=True, loopback=False)
DOWN = Interface("ib0", None, up=False, loopback=False)
NAMES = {"node-b": "10.0.0.5", "debian": "127.0.1.1", "localhost": "127.0.0.1"}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(network, "interfaces", lambda: [LO, ETH, DOWN])
    monkeypatch.setattr(network, "resolved", NAMES.get)
    monkeypatch.setattr(network, "leading_to", lambda host, there: ETH if host in NAMES else None)
    monkeypatch.setattr(network.platform, "node", lambda: "node-b")
    for name in network.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "why", "fix"),
    [
        ({"GLOO_SOCKET_IFNAME": "eth1"}, "GLOO_SOCKET_IFNAME=eth1: this machine has no interface eth1", "(here: eth0)"),
        ({"GLOO_SOCKET_IFNAME": "eth"}, "GLOO_SOCKET_IFNAME=eth: this machine has no interface eth", "(here: eth0)"),
        ({"GLOO_SOCKET_IFNAME": "eth0,ib0"}, "GLOO_SOCKET_IFNAME=eth0,ib0: ib0 is down or has no", "(here: eth0)"),
        ({"NCCL_SOCKET_IFNAME": "=eth"}, "NCCL_SOCKET_IFNAME==eth: this machine has no interface eth", "(here: eth0)"),
        ({"MASTER_ADDR": "node-x"}, "MASTER_ADDR=node-x leads to no address from here", "by its address"),
        ({"MASTER_ADDR": "localhost"}, "MASTER_ADDR=localhost leads to 127.0.0.1, which on each", "by an address that"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_set(
    environment: dict[str, str], why: str, fix: str, made_up: pytest.MonkeyPatch
) -> None:
    (gap,) = network.surroundings(environment).troubles
    assert gap.why.startswith(why)
    assert fix in str(gap.fix)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"GLOO_SOCKET_IFNAME": "eth0", "NCCL_SOCKET_IFNAME": "eth", "MASTER_ADDR": "node-b"},
        {"NCCL_SOCKET_IFNAME": "^docker,lo"},
        {"MASTER_ADDR": "localhost", "WORLD_SIZE": "2"},  # torchrun on one machine
    ],
)
def test_nothing_is_wrong_with_what_works(environment: dict[str, str], made_up: pytest.MonkeyPatch) -> None:
    assert network.surroundings(environment).troubles == ()


def test_a_name_that_leads_to_loopback_is_wrong_unless_the_interface_is_named(made_up: pytest.MonkeyPatch) -> None:
    made_up.setattr(network.platform, "node", lambda: "debian")
    (gap,) = network.surroundings({}).troubles
    assert gap.why.startswith("this machine's name, debian, leads to 127.0.1.1")
    assert gap.fix == "torchrun --local-addr 10.0.0.5 …, with GLOO_SOCKET_IFNAME=eth0 in the environment"
    assert network.surroundings({"GLOO_SOCKET_IFNAME": "eth0"}).troubles == ()


def test_the_command_shows_it_and_ends_with_1_where_something_is_wrong(
    made_up: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--distributed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["interfaces"]] == ["lo", "eth0", "ib0"]
    made_up.setitem(os.environ, "NCCL_SOCKET_IFNAME", "eth9")
    assert main(["doctor", "--distributed"]) == 1
    out = capsys.readouterr().out
    assert "NCCL_SOCKET_IFNAME  eth9" in out
    assert "wrong:" in out
    assert main(["doctor", "--distributed", "--backend", "onnx"]) == 2


def test_the_interfaces_of_this_machine_are_found_with_the_one_that_leads_back_to_it() -> None:
    there = machine.interfaces()
    loopback = next((each for each in there if each.loopback), None)
    if loopback is None:
        pytest.skip("no loopback interface is shown here")
    assert loopback.address == "127.0.0.1"
    assert machine.leading_to("localhost", there) == loopback
    assert machine.resolved("name.invalid") is None
