"""How much memory there is: the machine's, what its container may use of it, or a graphics processor's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Limit:
    """`Limit(16 << 30, "this machine's memory")`."""

    size: int  # bytes
    source: str  # for people


def memory_limit(device: str) -> Limit:
    """What a run on `device` ("cpu" or "cuda") may use at most."""
    if device == "cuda":
        import torch

        properties = torch.cuda.get_device_properties(0)
        return Limit(int(properties.total_memory), f"the memory of {properties.name}")
    machine = Limit(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "this machine's memory")
    container = container_limit(_GROUPS, _OWN)
    if container is not None and container < machine.size:
        return Limit(container, "the memory limit of this container (cgroup)")
    return machine


def container_limit(groups: Path, own: Path) -> int | None:
    """The least limit of the control groups above this process, in bytes; None without one.

    Args:
        groups: where they are mounted, /sys/fs/cgroup.
        own: which this process is in, /proc/self/cgroup: `0::/path` (version 2) or `4:memory:/path` (version
        1).

    A group's path may be the host's, which a container does not see; its own is then the mount itself.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    found: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _limits(groups, path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits(groups / "memory", path, "memory.limit_in_bytes")
    return min(found, default=None)


def _limits(mount: Path, path: str, name: str) -> list[int]:
    """The numbers in files `name` of a group and of those above it."""
    group = mount / path.lstrip("/")
    above = [folder for folder in (group, *group.parents) if folder == mount or mount in folder.parents]
    found = []
    for folder in above:
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue  # the root has no such file, nor has a path of the host
        if text.isdigit():  # "max": none here
            found.append(int(text))
    return found
