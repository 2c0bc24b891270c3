# SPDX-License-Identifier: MIT
"""One boot: compose the ramdisks, start the machine, listen to it, judge it."""
import os
import shutil
import sys
import tempfile
import time

from . import debian, image, verdict
from .conf import LabError
from .machine import Machine

ATTEMPTS = 3             # of a boot that says nothing: on a busy machine the emulator has died twice in a row
COMES_UP_WITHIN = {"lab": 150, "debian": 240}      # seconds; 12 and 60 on an idle machine


def run(boot, args):
    out = args.out or tempfile.mkdtemp(prefix=f"lab-{boot.name}-")
    with image.locked("run.lock", "lab: waiting for another boot to end"):
        images = image.prepare()
        status, reasons = _attempts(boot, args, images, out)
    for reason in reasons:
        print(f"lab: {reason}")
    print(f"lab: {boot.name} {status}", flush=True)
    if status == verdict.PASSED and not args.out and not args.keep:
        shutil.rmtree(out)
    else:
        print(f"lab: logs are in {out}")
    if args.by_scenario and verdict.only_scenarios_failed(status, reasons):
        return 0
    return verdict.EXIT[status]


def _attempts(boot, args, images, out):
    status, reasons = _attempt(boot, args, images, out)
    for attempt in range(2, ATTEMPTS + 1):
        if status != verdict.INCONCLUSIVE:
            break
        print("lab: " + "!" * 70, flush=True)
        for reason in reasons:
            print(f"lab: INCONCLUSIVE, says nothing about the product: {reason}")
        print(f"lab: booting once more, attempt {attempt} of {ATTEMPTS}", flush=True)
        first = os.path.join(out, "inconclusive")
        shutil.rmtree(first, ignore_errors=True)
        os.makedirs(first)
        for name in os.listdir(out):
            if os.path.isfile(os.path.join(out, name)):
                os.rename(os.path.join(out, name), os.path.join(first, name))
        status, reasons = _attempt(boot, args, images, out)
    return status, reasons


def _attempt(boot, args, images, out):
    os.makedirs(out, exist_ok=True)
    for name in os.listdir(out):
        path = os.path.join(out, name)
        if os.path.isfile(path):
            os.unlink(path)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lab-") as work:
        _compose(boot, args, images, work)
        outcome = Machine(boot, work, out, COMES_UP_WITHIN[boot.image]).run(echo=sys.stdout)
    verdict.write_results(os.path.join(out, "results.txt"), outcome.results, outcome.details)
    status, reasons = verdict.judge(boot, outcome)
    with open(os.path.join(out, "status.txt"), "w", encoding="utf-8") as file:
        file.write(f"{status}\n" + "".join(f"{reason}\n" for reason in reasons))
        file.write(f"seconds {time.monotonic() - started:.0f}\n")
    return status, reasons


# --- the machine's files ---------------------------------------------------------------------------------------------

def _pair(text):
    source, colon, dest = text.rpartition(":")
    if not colon or not dest.startswith("/"):
        raise LabError(f"{text}: want FILE:/ABSOLUTE/DESTINATION")
    return source, dest


def _put_product(root, folder):
    if os.path.isdir(os.path.join(folder, "usr")):
        image.put(root, os.path.join(folder, "usr"), "/usr")
        if os.path.isdir(os.path.join(folder, "etc")):
            image.put(root, os.path.join(folder, "etc"), "/etc")
        return
    for name, dest in (("pcibackd", "/usr/sbin/pcibackd"), ("pcibackctl", "/usr/bin/pcibackctl")):
        image.put(root, os.path.join(folder, name), dest)
    for name, dest in (("plugins", "/usr/lib/pcibackd/plugins"), ("quirks.d", "/usr/share/pcibackd/quirks.d")):
        if os.path.isdir(os.path.join(folder, name)):
            image.put(root, os.path.join(folder, name), dest)


def _write_disk(path, disk):
    """Every 16-byte line says which block it is in: a guest that reads the wrong block cannot miss it."""
    with open(path, "wb") as file:
        for block in range(disk.mib * 256):
            line = f"{disk.name[:6]:6}{block:9x}\n".encode()
            file.write(line * 256)
    return image.shell("md5sum", path).split()[0]


def _compose(boot, args, images, work):
    dom0, guest = os.path.join(work, "dom0"), os.path.join(work, "guest")
    os.makedirs(dom0)
    if boot.image == "debian":
        debian.unpack(debian.prepare(image.unpacked_kernel_package()), dom0)
        shutil.copy(os.path.join(images, "vmlinux"), os.path.join(dom0, "boot"))
    os.makedirs(os.path.join(dom0, "lab"), exist_ok=True)
    os.makedirs(os.path.join(guest, "lab"))
    for name in os.listdir(boot.path):
        if name.endswith("~"):
            continue
        if name.startswith("guest-") and name.endswith(".sh"):
            shutil.copy(os.path.join(boot.path, name), os.path.join(guest, "lab", name))
        elif name != "boot.conf":
            # dom0.sh, and whatever else the boot's script wants beside it
            image.put(dom0, os.path.join(boot.path, name), f"/lab/boot/{name}")
    for text in args.put:
        image.put(dom0, *_pair(text))
    for text in args.put_guest:
        image.put(guest, *_pair(text))
    if args.bin:
        _put_product(dom0, args.bin)
    if boot.needs_daemon and not os.path.exists(os.path.join(dom0, "usr/sbin/pcibackd")):
        raise LabError(f"boot {boot.name} needs the daemon: say --bin DIR")
    sums = {disk.name: _write_disk(os.path.join(work, f"{disk.name}.img"), disk) for disk in boot.disks}
    with open(os.path.join(dom0, "lab/disks"), "w", encoding="utf-8") as file:
        file.writelines(f"{name} {digest}\n" for name, digest in sums.items())

    os.makedirs(os.path.join(dom0, "boot"), exist_ok=True)
    guest_image = os.path.join(dom0, "boot/guest.img")
    shutil.copy(os.path.join(images, "guest.cpio"), guest_image)
    image.archive(guest, guest_image)
    if boot.image == "debian":
        debian.put_contrib(dom0)
        debian.compose(dom0, work)
    else:
        dom0_image = os.path.join(work, "dom0.img")
        shutil.copy(os.path.join(images, "dom0.cpio"), dom0_image)
        image.archive(dom0, dom0_image)
    for name in ("xen", "vmlinux"):
        os.symlink(os.path.join(images, name), os.path.join(work, name))

