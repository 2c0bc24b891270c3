# SPDX-License-Identifier: MIT
"""boot.conf: one setting a line, its name first. Kept this plain so that CMake reads the scenarios with a regex."""
import os
import shlex
from dataclasses import dataclass, field

LAB = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BOOTS = os.path.join(LAB, "boots")


IMAGES = ("lab", "debian")


class LabError(Exception):
    """What stops the lab before it can say anything about the product."""


@dataclass
class Disk:
    """An image of known content: 4 KiB blocks, block n filled from the disk's name and n."""
    name: str
    mib: int


@dataclass
class Boot:
    name: str
    path: str
    timeout: int = 240           # seconds from power-on to the end of dom0's script
    memory: int = 3072           # MiB of the machine
    dom0_memory: int = 1536
    cpus: int = 2
    machine: str = "q35,kernel-irqchip=split"
    iommu: str = "intel-iommu,intremap=on"
    accel: str = "tcg,thread=multi"
    image: str = "lab"           # dom0: the lab's own ramdisk, or "debian"
    devices: list = field(default_factory=list)   # QEMU arguments
    disks: list = field(default_factory=list)
    xen: list = field(default_factory=list)       # arguments of the hypervisor
    kernel: list = field(default_factory=list)    # arguments of dom0's kernel
    scenarios: list = field(default_factory=list)
    needs_daemon: bool = True


def load(name):
    path = name if os.path.isdir(name) and os.sep in name else os.path.join(BOOTS, name)
    file = os.path.join(path, "boot.conf")
    if not os.path.isfile(file):
        raise LabError(f"there is no boot {name} ({file} is missing)")
    boot = Boot(os.path.basename(os.path.normpath(path)), path)
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = shlex.split(line, comments=True)
            if words:
                try:
                    _set(boot, words[0], words[1:])
                except ValueError as error:
                    raise LabError(f"{file}:{number}: {error}") from error
    if not boot.scenarios:
        raise LabError(f"{file}: no scenario is listed")
    return boot


def _one(values):
    if len(values) != 1:
        raise ValueError("wants one value")
    return values[0]


def _set(boot, key, values):
    if key in ("timeout", "memory", "dom0_memory", "cpus"):
        setattr(boot, key, int(_one(values)))
    elif key in ("machine", "iommu", "accel"):
        setattr(boot, key, _one(values))
    elif key == "image":
        boot.image = _one(values)
        if boot.image not in IMAGES:
            raise ValueError(f"no such image; there are {', '.join(IMAGES)}")
    elif key == "device":
        boot.devices += values
    elif key == "disk":
        boot.disks.append(Disk(values[0], int(values[1])))
    elif key in ("xen", "kernel"):
        getattr(boot, key).extend(values)
    elif key == "scenario":
        boot.scenarios.append(_one(values))
    elif key == "daemon":
        boot.needs_daemon = _one(values) == "yes"
    elif key == "label":
        pass                     # CMake reads it
    else:
        raise ValueError(f"unknown setting {key}")


def all_boots():
    names = sorted(os.listdir(BOOTS))
    return [load(name) for name in names if os.path.isfile(os.path.join(BOOTS, name, "boot.conf"))]
