"""`wgan doctor --distributed`: what this machine's network and environment hold for training with others."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wgan.serve.base.tables import table
from wgan.serve.doctor.text import gaps_text
from wgan.serve.machine.network import Interface, chosen, interfaces, is_loopback, leading_to, resolved
from wgan.serve.machine.requirements import Gap

VARIABLES = (
    "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "NCCL_IB_DISABLE", "NCCL_DEBUG",
)  # fmt: skip
GLOO, NCCL, MASTER = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "MASTER_ADDR"


@dataclass(frozen=True)
class Surroundings:
    """What a process finds around it before it joins others."""

    host: str
    address: str | None  # that the host's name leads to
    interfaces: tuple[Interface, ...]
    environment: Mapping[str, str]  # those of `VARIABLES` that are set
    towards: str | None  # the interface that leads to MASTER_ADDR
    troubles: tuple[Gap, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "environment": dict(self.environment)}

    def to_text(self) -> str:
        """For people."""
        rows = [("host", f"{self.host}, which leads to {self.address or 'no address'}")]
        rows += [(name, self.environment.get(name, "(not set)")) for name in VARIABLES[:5]]
        rows += [(name, self.environment[name]) for name in VARIABLES[5:] if name in self.environment]
        listed = [
            (each.name, each.address or "-", "up" if each.up else "down", _reaches(each)) for each in self.interfaces
        ]
        parts = [table(("", ""), rows, free="").lstrip("\n")]
        if listed:
            parts.append(table(("interface", "address", "state", "reaches"), listed))
        return "\n\n".join([*parts, *gaps_text("wrong:", self.troubles)])


def surroundings(environment: Mapping[str, str] = os.environ) -> Surroundings:
    """Looks at this machine's interfaces and names, and at what torchrun or a person has set."""
    host, there = platform.node(), tuple(interfaces())
    address = resolved(host) if host else None
    master = environment.get(MASTER)
    towards = leading_to(master, list(there)) if master else None
    troubles = [
        *_interfaces_named(GLOO, there, environment),
        *_interfaces_named(NCCL, there, environment),
        *_own_name(host, address, there, environment),
        *_master(master, environment),
    ]
    kept = {name: environment[name] for name in VARIABLES if name in environment}
    return Surroundings(host, address, there, kept, towards.name if towards else None, tuple(troubles))


def _reaches(interface: Interface) -> str:
    if not interface.up or interface.address is None:
        return "nothing"
    return "itself alone" if interface.loopback else "others"


def _usable(there: Sequence[Interface]) -> list[Interface]:
    """Those that others can be reached by."""
    return [each for each in there if each.up and not each.loopback and each.address]


def _interfaces_named(variable: str, there: Sequence[Interface], environment: Mapping[str, str]) -> list[Gap]:
    """Interfaces that a variable names and this machine does not have, or not up."""
    names = chosen(variable, environment)
    if variable == NCCL:
        if names and names[0].startswith("^"):  # those that are left out
            return []
        # NCCL takes every interface whose name begins so, or with = the very one
        exact = bool(names) and names[0].startswith("=")
        names = [name.removeprefix("=") for name in names]
    else:
        exact = True
    found = []
    usable = ", ".join(each.name for each in _usable(there)) or "none that leads to another machine"
    mend = f"set it to an interface of this machine (here: {usable}), or unset {variable}"
    for name in names if there else []:
        of_name = [each for each in there if (each.name == name if exact else each.name.startswith(name))]
        if not of_name:
            found.append(Gap(f"{variable}={environment[variable]}: this machine has no interface {name}", mend))
        elif not any(each.up and each.address for each in of_name):
            found.append(Gap(f"{variable}={environment[variable]}: {name} is down or has no IPv4 address", mend))
    return found


def _own_name(host: str, address: str | None, there: Sequence[Interface], environment: Mapping[str, str]) -> list[Gap]:
    """A name by which other machines do not find this one."""
    usable = _usable(there)
    if not usable or GLOO in environment or (address is not None and not is_loopback(address)):
        return []
    best = usable[0]
    leads = "to no address" if address is None else f"to {address}, which is each machine's own"
    return [
        Gap(
            f"this machine's name, {host}, leads {leads}: others that are told this name do not find it",
            f"torchrun --local-addr {best.address} …, with GLOO_SOCKET_IFNAME={best.name} in the environment",
        )
    ]


def _master(master: str | None, environment: Mapping[str, str]) -> list[Gap]:
    if master is None:
        return []
    address = resolved(master)
    if address is None:
        return [Gap(f"MASTER_ADDR={master} leads to no address from here", "name the first machine by its address")]
    if is_loopback(address) and environment.get("GROUP_WORLD_SIZE", "1") == "1" and "WORLD_SIZE" not in environment:
        why = f"MASTER_ADDR={master} leads to {address}, which on each machine is that machine"
        return [Gap(why, "name the first machine by an address that the others reach")]
    return []
