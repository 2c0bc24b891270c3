# SPDX-License-Identifier: MIT
"""dom0 as people install it: Debian with systemd, udev and an initial ramdisk made by initramfs-tools.

The base system is made once, from the mirror that this machine's apt uses, and cached as an archive. For each boot it is
unpacked, gets the product and the boot's files, and makes its own initial ramdisk: the product's hook is part of that.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from . import image
from .conf import LAB, LabError

PACKAGES = ["busybox", "initramfs-tools", "iproute2", "iputils-ping", "kmod", "libev4", "libjansson4", "pciutils",
            "systemd", "systemd-sysv", "udev", "xen-utils-4.17", "xen-utils-common", "xenstore-utils", "zstd"]
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]

MODULES = image.DOM0_MODULES + ["xen-netback", "xen-blkback", "bridge", "loop", "virtio_blk", "ext4", "autofs4",
                                "efivarfs", "configfs", "fuse", "dm_mod", "crc32c_generic"]

# Applets that dom0.sh expects to be busybox's, because it reads what they print.
APPLETS = ["sh", "awk", "ping", "diff", "poweroff", "sed", "grep", "sleep"]

# Nobody logs in, and every process costs.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
          "fstrim.timer", "getty@tty1.service", "getty.target", "systemd-tmpfiles-clean.timer", "systemd-random-seed.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-user-sessions.service",
          "systemd-logind.service", "systemd-binfmt.service", "systemd-pstore.service", "systemd-timesyncd.service",
          "systemd-journal-flush.service", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount",
          "modprobe@drm.service", "modprobe@efi_pstore.service", "systemd-ask-password-wall.path",
          "systemd-ask-password-console.path", "keyboard-setup.service", "console-setup.service", "hwclock.service",
          "networking.service", "cryptdisks.service", "remote-fs.target", "rmnologin.service"]

UNIT = """[Unit]
Description=The boot's script
After=multi-user.target xendomains.service
[Service]
Type=idle
ExecStart=/lab/bin/sh /lab/debian-run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/hvc0
TimeoutStartSec=infinity
"""

ROOT_DISK = "virtio-blk-pci,drive=labroot,addr=1e"
KERNEL_ARGS = "root=LABEL=labroot rw"


def _sources():
    """The mirrors of Debian that this machine's apt uses; it may know others, too."""
    targets = image.shell("apt-get", "indextargets", "--format", "$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                          "Created-By: Packages")
    lines = [line.partition(" ")[2] for line in targets.splitlines() if line.startswith("Debian ")]
    if not lines:
        raise LabError("apt knows no mirror of Debian; run apt-get update")
    return lines


def _hash(kernel, sources):
    digest = hashlib.sha256()
    own = sorted({source for group in image.PROGRAMS for source, _ in group.values()})
    for name in own + ["labkit/image.py", "labkit/debian.py"]:
        with open(os.path.join(LAB, name), "rb") as file:
            digest.update(name.encode() + b"\0" + file.read() + b"\0")
    digest.update("\n".join([os.path.basename(kernel), *sources]).encode())
    digest.update(subprocess.run(["dpkg-query", "-W", "xen-hypervisor-4.17-amd64"], capture_output=True,
                                 check=False).stdout)
    return digest.hexdigest()[:16]


def prepare(kernel):
    """Return the archive of the base system."""
    if os.geteuid() != 0:
        raise LabError("the image debian is made in a chroot: run as root")
    sources = _sources()
    target = os.path.join(image.cache_root(), f"debian-{_hash(kernel, sources)}.tar")
    with image.locked("setup.lock", "lab: waiting for another setup"):
        if not os.path.exists(target):
            print("lab: building the image debian", flush=True)
            for old in sorted(glob.glob(os.path.join(image.cache_root(), "debian-*.tar")), key=os.path.getmtime)[:-2]:
                os.unlink(old)
            with tempfile.TemporaryDirectory(dir=image.cache_root()) as work:
                _build(work, kernel, sources, target)
    return target


def _build(work, kernel, sources, target):
    root = os.path.join(work, "root")
    proxy = image.shell("apt-config", "shell", "PROXY", "Acquire::http::Proxy").partition("=")[2].strip().strip("'")
    suite = next(line.split()[2] for line in sources)
    image.shell("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}",
                *[f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT], "--dpkgopt=force-unsafe-io",
                *([f'--aptopt=Acquire::http::Proxy "{proxy}"'] if proxy else []), "--skip=cleanup/apt/lists",
                suite, root, *sources)
    for path in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(os.path.join(root, path), ignore_errors=True)
    version = os.listdir(os.path.join(kernel, "lib/modules"))[0]
    image.put_modules(root, kernel, version, MODULES)
    for name in ("config", "vmlinuz"):
        shutil.copy(os.path.join(kernel, f"boot/{name}-{version}"), os.path.join(root, "boot"))
    image.compile_programs(root, image.DOM0_PROGRAMS, static=True)
    image.compile_programs(root, image.DOM0_DYNAMIC, static=False)
    _settle(root)
    image.shell("tar", "-C", root, "-cf", f"{target}.new", ".")
    os.rename(f"{target}.new", target)


def _write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def _settle(root):
    """What an installer would ask, and what makes an emulated machine slow."""
    _write(root, "etc/hostname", "lab\n")
    _write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    _write(root, "etc/systemd/journald.conf.d/lab.conf", "[Journal]\nStorage=volatile\n")
    _write(root, "etc/systemd/system/lab.service", UNIT)
    _write(root, "etc/xen/xl.conf", "")
    units = os.path.join(root, "etc/systemd/system")
    for name in MASKED:
        path = os.path.join(units, name)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink("/dev/null", path)
    os.makedirs(os.path.join(units, "default.target.wants"), exist_ok=True)
    link = os.path.join(units, "default.target")
    if not os.path.lexists(link):
        os.symlink("/lib/systemd/system/multi-user.target", link)
    wants = os.path.join(units, "multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    os.symlink("/etc/systemd/system/lab.service", os.path.join(wants, "lab.service"))
    os.makedirs(os.path.join(root, "lab/bin"))
    for applet in APPLETS:
        os.symlink("/bin/busybox", os.path.join(root, "lab/bin", applet))


# --- one boot --------------------------------------------------------------------------------------------------------

def unpack(archive, root):
    image.shell("tar", "-C", root, "-xf", archive)
    for name in sorted(os.listdir(os.path.join(LAB, "lib"))):
        if not name.startswith("guest"):
            shutil.copy(os.path.join(LAB, "lib", name), os.path.join(root, "lab", name))


def put_contrib(root):
    """What `cmake --install` puts beside the programs."""
    contrib = os.path.join(LAB, "../../contrib")
    for pattern, dest in (("systemd/*.service", "lib/systemd/system"), ("udev/*.rules", "lib/udev/rules.d")):
        for file in glob.glob(os.path.join(contrib, pattern)):
            shutil.copy(file, os.path.join(root, "usr", dest))
    shutil.copy(os.path.join(contrib, "initramfs/hook"), os.path.join(root, "usr/share/initramfs-tools/hooks/pcibackd"))


def compose(root, work):
    """Run the boot's own preparation, make the initial ramdisk, then the disk; the ramdisk is work/dom0.img."""
    def inside(*command):
        return image.shell("chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command)

    said = ""
    if os.path.exists(os.path.join(root, "lab/boot/prepare")):
        said += inside("/bin/sh", "/lab/boot/prepare")
    version = re.sub(".*/vmlinuz-", "", glob.glob(os.path.join(root, "boot/vmlinuz-*"))[0])
    said += inside("sh", "-c", f"update-initramfs -c -k {version} 2>&1")
    _write(root, "lab/update-initramfs.txt", said)
    shutil.copy(os.path.join(root, f"boot/initrd.img-{version}"), os.path.join(work, "dom0.img"))
    image.shell("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "labroot", "-d", root, os.path.join(work, "root.img"), "1500M")
    shutil.rmtree(root)
