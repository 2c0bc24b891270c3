# SPDX-License-Identifier: MIT
"""What every boot is made of: hypervisor, kernel and two base ramdisks, built from Debian's packages and cached."""
import fcntl
import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from contextlib import contextmanager

from .conf import LAB, LabError

PACKAGES = [
    "busybox-static", "cpio", "e2fsprogs", "gcc", "kmod", "libc6-dev", "libxen-dev", "mmdebstrap", "pciutils", "python3",
    "qemu-system-x86", "xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xen-utils-common", "xenstore-utils",
]
XEN_BIN = "/usr/lib/xen-4.17/bin"
XEN_GZ = "/boot/xen-4.17-amd64.gz"
LIBGCC = "/lib/x86_64-linux-gnu/libgcc_s.so.1"      # libxenstore cancels its thread, which loads this at run time

XEN_TOOLS = ["xl", "xenstored", "xenconsoled", "xenconsole", "xen-init-dom0", "libxl-save-helper", "xenstore-control",
             "lsevtchn", "xen-diag"]
XENSTORE_NAMES = ["ls", "read", "write", "rm", "list", "exists", "chmod", "watch"]

# Nothing here is loaded by itself: scripts say modprobe.
CARD_DRIVERS = ["e1000", "e1000e", "8139cp", "8139too", "igb", "nvme", "snd-hda-intel", "snd-hda-codec-generic", "ahci",
                "sd_mod", "xhci-pci", "virtio_pci", "virtio_net"]
DOM0_MODULES = ["xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-pciback", "pci-stub",
                "vfio-pci"] + CARD_DRIVERS
GUEST_MODULES = ["xen-pcifront", "xen-netfront", "xen-blkfront", "xen-gntalloc", "xen-evtchn", "xenfs"] + CARD_DRIVERS

# name: (source, libraries). Static where possible. Not where libxenstore watches: its thread's stack is too small for a
# static program on a CPU with much vector state (EINVAL from xs_watch).
GUEST_PROGRAMS = {
    "labfe": ("frontend/labfe.c", ["xengnttab", "xenevtchn", "xenstore", "xentoollog", "xentoolcore"]),
    "cfgprobe": ("frontend/cfgprobe.c", []),
    "confbench": ("frontend/confbench.c", []),
    "hold": ("frontend/hold.c", []),
}
GUEST_DYNAMIC = {
    "labagent": ("tools/labagent.c", ["xenstore"]),
}
DOM0_PROGRAMS = {
    "logship": ("tools/logship.c", []),
    "pcifacts": ("tools/pcifacts.c", []),
    "cfgprobe": ("frontend/cfgprobe.c", []),
}
DOM0_DYNAMIC = {
    "cputime": ("tools/cputime.c", ["xenctrl"]),
    "echoback": ("tools/echoback.c", ["xengnttab", "xenevtchn", "xenstore"]),
    "labdo": ("tools/labdo.c", ["xenstore"]),
    "xenpoke": ("tools/xenpoke.c", ["xenctrl", "xengnttab", "xenevtchn"]),
}
PROGRAMS = (GUEST_PROGRAMS, GUEST_DYNAMIC, DOM0_PROGRAMS, DOM0_DYNAMIC)


def cache_root():
    return os.environ.get("PCIBACKD_LAB_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "pcibackd-lab")


@contextmanager
def locked(name, note):
    """One builder, and one boot at a time on a machine: two would only slow each other into their timeouts."""
    os.makedirs(cache_root(), exist_ok=True)
    with open(os.path.join(cache_root(), name), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(note, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shell(*command, **options):
    result = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if result.returncode:
        raise LabError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


# --- copying programs and modules ------------------------------------------------------------------------------------

def _is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def put(root, source, dest):
    """Copy a file or folder; programs bring the libraries that they are linked with."""
    if not os.path.exists(source):
        raise LabError(f"no such file: {source}")
    target = root + dest
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, dirs_exist_ok=True)
        files = [os.path.join(top, name) for top, _, names in os.walk(source) for name in names]
    else:
        shutil.copy(source, target)
        files = [source]
    for file in files:
        if os.path.isfile(file) and _is_elf(file):
            _put_libraries(root, file)


def _put_libraries(root, program):
    listing = subprocess.run(["ldd", program], text=True, capture_output=True, check=False).stdout
    if "not found" in listing:
        raise LabError(f"{program} needs libraries that are not here:\n{listing}")
    for library in re.findall(r"(/\S+)", listing):
        target = root + library
        if os.path.isfile(library) and not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(library, target)


def put_modules(root, kernel, version, names):
    for name in names:
        # --show-depends also prints "builtin NAME" lines, which need no file.
        for line in shell("modprobe", "-d", kernel, "-S", version, "--show-depends", name).splitlines():
            words = line.split()
            if words[0] == "insmod":
                target = os.path.join(root, os.path.relpath(words[1], kernel))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(words[1], target)
    base = f"lib/modules/{version}"
    for file in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(os.path.join(kernel, base, file), os.path.join(root, base, file))
    shell("depmod", "-b", root, version)


def compile_programs(root, programs, static):
    for name, (source, libraries) in programs.items():
        target = os.path.join(root, "usr/bin", name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shell("gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", *(["-static"] if static else []),
              "-o", target, os.path.join(LAB, source), *[f"-l{library}" for library in libraries], "-lpthread")
        if not static:
            _put_libraries(root, target)


def archive(root, target):
    """Append a folder to a ramdisk: the kernel unpacks one archive after the other."""
    names = subprocess.run(["find", ".", "-print0"], cwd=root, capture_output=True, check=True).stdout
    with open(target, "ab") as out:
        subprocess.run(["cpio", "-o", "-0", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root, input=names, stdout=out,
                       check=True)


# --- the two base images ---------------------------------------------------------------------------------------------

def _skeleton(root, init):
    for folder in ("bin sbin dev proc sys run tmp root etc/xen var/log/xen/console var/lib/xen var/lib/xenstored usr/bin "
                   "usr/sbin usr/lib lib64 boot lab").split():
        os.makedirs(os.path.join(root, folder))
    shutil.copy("/bin/busybox", os.path.join(root, "bin/busybox"))
    for applet in shell("/bin/busybox", "--list").split():
        path = os.path.join(root, "bin", applet)
        if applet not in ("lspci", "setpci") and not os.path.exists(path):
            os.symlink("busybox", path)
    # The kernel's own module requests look here; an empty path in /proc/sys/kernel/modprobe then switches them off.
    with open(os.path.join(root, "etc/passwd"), "w", encoding="utf-8") as file:
        file.write("root:x:0:0::/root:/bin/sh\npcibackd:x:990:990::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n")
    with open(os.path.join(root, "etc/group"), "w", encoding="utf-8") as file:
        file.write("root:x:0:\npcibackd:x:990:\nnogroup:x:65534:\n")
    shutil.copy(os.path.join(LAB, "lib", init), os.path.join(root, "init"))
    os.chmod(os.path.join(root, "init"), 0o755)
    for tool in ("/usr/bin/lspci", "/usr/bin/setpci"):
        put(root, tool, tool)
    put(root, "/usr/bin/xenstore", "/usr/bin/xenstore")
    for name in XENSTORE_NAMES:
        os.symlink("xenstore", os.path.join(root, f"usr/bin/xenstore-{name}"))
    put(root, LIBGCC, LIBGCC)


def _build_dom0(root, kernel, version, vmlinux):
    _skeleton(root, "dom0-init")
    open(os.path.join(root, "etc/xen/xl.conf"), "w", encoding="utf-8").close()
    for tool in XEN_TOOLS:
        put(root, f"{XEN_BIN}/{tool}", f"{XEN_BIN}/{tool}")
    compile_programs(root, DOM0_PROGRAMS, static=True)
    compile_programs(root, DOM0_DYNAMIC, static=False)
    for file in ("dom0.sh", "normalise.awk", "store.awk"):
        shutil.copy(os.path.join(LAB, "lib", file), os.path.join(root, "lab", file))
    put_modules(root, kernel, version, DOM0_MODULES)
    shutil.copy(vmlinux, os.path.join(root, "boot/vmlinux"))


def _build_guest(root, kernel, version):
    _skeleton(root, "guest-init")
    compile_programs(root, GUEST_PROGRAMS, static=True)
    compile_programs(root, GUEST_DYNAMIC, static=False)
    shutil.copy(os.path.join(LAB, "lib/guest.sh"), os.path.join(root, "lab/guest.sh"))
    put_modules(root, kernel, version, GUEST_MODULES)


def _unpacked_kernel(vmlinuz):
    """The ELF image inside a bzImage: Xen and xl would else unpack it under emulation, for ten seconds a domain."""
    with open(vmlinuz, "rb") as file:
        image = file.read()
    offset, length = struct.unpack_from("<II", image, 0x248)       # payload_offset, payload_length of the boot protocol
    start = (image[0x1F1] + 1) * 512 + offset
    payload = image[start:start + length]
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(payload)
    return image                                                    # slower, but it boots


# --- the cache -------------------------------------------------------------------------------------------------------

def unpacked_kernel_package():
    """Debian's kernel, unpacked and not installed: the machine that runs the lab keeps its own."""
    ready = sorted(glob.glob(os.path.join(cache_root(), "kernel-*")))
    if ready:
        return ready[-1]
    depends = shell("apt-cache", "depends", "linux-image-amd64")
    names = re.findall(r"Depends: (linux-image-\S+)", depends)
    if not names:
        raise LabError("apt knows no linux-image-amd64; run apt-get update")
    with tempfile.TemporaryDirectory(dir=cache_root()) as work:
        shell("apt-get", "download", "-qq", names[0], cwd=work)
        shell("dpkg", "-x", glob.glob(os.path.join(work, "*.deb"))[0], os.path.join(work, "tree"))
        version = os.listdir(os.path.join(work, "tree/lib/modules"))[0]
        shell("depmod", "-b", os.path.join(work, "tree"), version)
        target = os.path.join(cache_root(), f"kernel-{version}")
        os.rename(os.path.join(work, "tree"), target)
    return target


def _inputs_hash(kernel):
    digest = hashlib.sha256()
    sources = {source for group in PROGRAMS for source, _ in group.values()}
    own = sorted(sources) + ["labkit/image.py"] + [os.path.join("lib", name) for name in sorted(os.listdir(f"{LAB}/lib"))]
    for name in own:
        with open(os.path.join(LAB, name), "rb") as file:
            digest.update(name.encode() + b"\0" + file.read() + b"\0")
    digest.update(os.path.basename(kernel).encode())
    digest.update(subprocess.run(["dpkg-query", "-W", *PACKAGES], capture_output=True, check=False).stdout)
    return digest.hexdigest()[:16]


def _require_packages():
    missing = [name for name in PACKAGES if subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True, check=False
    ).stdout != "install ok installed"]
    if missing:
        raise LabError("these packages are missing: " + " ".join(missing))


def prepare():
    """Return a folder with xen, vmlinux, dom0.cpio and guest.cpio that match the lab's sources."""
    _require_packages()
    with locked("setup.lock", "lab: waiting for another setup"):
        kernel = unpacked_kernel_package()
        key = _inputs_hash(kernel)
        target = os.path.join(cache_root(), f"images-{key}")
        if os.path.isdir(target):
            return target
        print("lab: building the images", flush=True)
        # A few stay: another checkout of the project may be at its own.
        for old in sorted(glob.glob(os.path.join(cache_root(), "images-*")), key=os.path.getmtime)[:-3]:
            shutil.rmtree(old)
        version = os.listdir(os.path.join(kernel, "lib/modules"))[0]
        vmlinuz = os.path.join(kernel, f"boot/vmlinuz-{version}")
        with tempfile.TemporaryDirectory(dir=cache_root()) as work:
            images = os.path.join(work, "images")
            for folder in ("images", "dom0", "guest"):
                os.mkdir(os.path.join(work, folder))
            with gzip.open(XEN_GZ) as packed, open(os.path.join(images, "xen"), "wb") as out:
                shutil.copyfileobj(packed, out)
            with open(os.path.join(images, "vmlinux"), "wb") as out:
                out.write(_unpacked_kernel(vmlinuz))
            _build_dom0(os.path.join(work, "dom0"), kernel, version, os.path.join(images, "vmlinux"))
            _build_guest(os.path.join(work, "guest"), kernel, version)
            for name in ("dom0", "guest"):
                archive(os.path.join(work, name), os.path.join(images, f"{name}.cpio"))
            os.rename(images, target)
        return target
