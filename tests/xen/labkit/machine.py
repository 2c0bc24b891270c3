# SPDX-License-Identifier: MIT
"""The emulated machine and its three lines: console, lab channel, monitor.

The console is the hypervisor's and dom0's and may garble lines; whatever the verdict depends on therefore comes over
the second serial port, which dom0 has to itself. One line there is a letter and its text:

    R ok SCENARIO: text          a result              L FILE|text    a line of a log, to be written to FILE
    D text                       more about it         I reason       the boot says nothing about the product
    U seconds                    dom0 is up            E status       dom0's script has ended
    M command                    a command for QEMU's monitor; the answer goes back as "text" lines and "."
"""
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

from . import debian, verdict
from .conf import LabError

# eager-fpu: with Xen's lazy switching of vector registers, the emulator mixes up those of two domains, and one process in
# fifty dies of it (44 of 2100 with the default, none of 2100 with this).
XEN_ARGS = ("com1=115200,8n1 console=com1 loglvl=warning guest_loglvl=warning conring_size=1M "
            "spec-ctrl=eager-fpu")
# norandmaps: what lies at another address is translated anew, so that with random ones each program that starts costs twice
# its time; mitigations=off: there is no processor whose speculation could be misled. Guests have the same (lib/dom0.sh).
KERNEL_ARGS = "console=hvc0 loglevel=4 norandmaps mitigations=off"


@dataclass
class Outcome:
    came_up: bool = False
    timed_out: bool = False
    emulator_crashed: bool = False
    host_panic: str = ""
    script_status: int | None = None
    ended: str = ""
    last_line: str = ""
    results: list = field(default_factory=list)
    details: dict = field(default_factory=dict)      # a result's place in the list: lines that tell more
    inconclusive: str = ""


class Machine:
    def __init__(self, boot, work, out, comes_up_within):
        self.boot, self.work, self.out = boot, work, out
        self.comes_up_within = comes_up_within
        self.outcome = Outcome()
        self.logs = {}
        self.tails = {}          # incomplete last lines, by source
        self.monitor_queue = []  # commands that dom0 waits for
        self.lab = self.qmp = None

    # --- starting ---

    def command(self):
        boot = self.boot
        xen = " ".join([XEN_ARGS, f"dom0_mem={boot.dom0_memory}M,max:{boot.dom0_memory}M",
                        f"dom0_max_vcpus={boot.cpus}", *boot.xen])
        kernel = " ".join([KERNEL_ARGS, *([debian.KERNEL_ARGS] if boot.image == "debian" else []), *boot.kernel]).replace(",", ",,")
        # -smap: with it, dom0 dies at its first iret under software emulation. -svm: no nested guests.
        command = ["qemu-system-x86_64", "-name", f"lab-{boot.name}", "-accel", boot.accel, "-cpu", "max,-smap,-svm",
                   "-smp", str(boot.cpus), "-M", boot.machine, "-m", str(boot.memory), "-display", "none",
                   "-no-reboot", "-nodefaults", "-serial", "stdio",
                   "-chardev", "socket,id=lab,path=lab.sock", "-serial", "chardev:lab",
                   "-chardev", "socket,id=qmp,path=qmp.sock", "-mon", "chardev=qmp,mode=control",
                   "-kernel", "xen", "-append", xen, "-initrd", f"vmlinux {kernel},dom0.img"]
        if boot.image == "debian":
            command += ["-drive", "if=none,id=labroot,file=root.img,format=raw,cache=unsafe", "-device", debian.ROOT_DISK]
        if boot.iommu != "none":
            command += ["-device", boot.iommu]
        for disk in boot.disks:
            command += ["-drive", f"if=none,id={disk.name},file={disk.name}.img,format=raw"]
        return command + boot.devices

    def _listen(self, name):
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.join(self.work, name))
        server.listen(1)
        server.settimeout(0.5)
        return server

    @staticmethod
    def _accept(server, process):
        """QEMU connects at once, or has refused its arguments and is gone."""
        while process.poll() is None:
            try:
                return server.accept()[0]
            except TimeoutError:
                continue
        return None

    def run(self, echo):
        servers = [self._listen("lab.sock"), self._listen("qmp.sock")]
        command = self.command()
        with open(os.path.join(self.out, "qemu.log"), "w", encoding="utf-8") as log:
            log.write(" ".join(command) + "\n")
            log.flush()
            process = subprocess.Popen(command, cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=log)
            try:
                self.lab, self.qmp = (self._accept(server, process) for server in servers)
                if self.lab and self.qmp:
                    self.qmp.sendall(b'{"execute":"qmp_capabilities"}\n')
                    self._serve(process, echo)
            except ConnectionError:
                pass             # the emulator is gone; its exit status says how
            finally:
                if process.poll() is None and not self.outcome.ended:
                    self._grace(process)
                if process.poll() is None:
                    process.kill()
                process.wait()
                for file in self.logs.values():
                    file.close()
        self._explain_end(process.returncode)
        return self.outcome

    @staticmethod
    def _grace(process):
        """A dying emulator closes its sockets before it can be waited for; killing it here would hide why it died."""
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass

    def _explain_end(self, status):
        outcome = self.outcome
        if outcome.ended:
            return
        if status > 0 and "console-dom0.log" not in self.logs:
            with open(os.path.join(self.out, "qemu.log"), encoding="utf-8") as log:
                raise LabError(f"the emulator refused to start: {log.read().splitlines()[-1]}")
        if status < 0:
            outcome.ended = f"emulator killed by {signal.Signals(-status).name}"
            outcome.emulator_crashed = True
        elif status > 0:
            outcome.ended = f"emulator exited with {status}, see qemu.log"
            outcome.emulator_crashed = outcome.script_status is None
        else:
            outcome.ended = "machine switched off"

    # --- listening ---

    def _serve(self, process, echo):
        started = time.monotonic()
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ, "console")
        selector.register(self.lab, selectors.EVENT_READ, "lab")
        selector.register(self.qmp, selectors.EVENT_READ, "qmp")
        while selector.get_map():
            elapsed = time.monotonic() - started
            limit = self.boot.timeout if self.outcome.came_up else self.comes_up_within
            if elapsed > limit:
                self.outcome.timed_out = self.outcome.came_up
                self.outcome.ended = f"stopped after {elapsed:.0f} s"
                return
            for key, _ in selector.select(1):
                data = self._read(key.fileobj)
                if not data:
                    selector.unregister(key.fileobj)
                    if key.data == "console":
                        process.wait()
                        self._drain_lab(selector)
                        return
                    continue
                for line in self._lines(key.data, data):
                    getattr(self, f"_on_{key.data}")(line, echo)

    @staticmethod
    def _read(file):
        try:
            return os.read(file.fileno(), 65536)
        except ConnectionError:
            return b""           # the other end died; what it had sent was read before

    def _drain_lab(self, selector):
        """The machine is off; what it said last over the lab channel may still be in the socket."""
        if self.lab in [key.fileobj for key in selector.get_map().values()]:
            while data := self._read(self.lab):
                for line in self._lines("lab", data):
                    self._on_lab(line, None)

    def _lines(self, source, data):
        parts = (self.tails.get(source, b"") + data).split(b"\n")
        self.tails[source] = parts.pop()
        return [part.decode("utf-8", "replace").rstrip("\r") for part in parts]

    def _log(self, name, text):
        name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        if name not in self.logs:
            self.logs[name] = open(os.path.join(self.out, name), "w", encoding="utf-8")
        self.logs[name].write(text + "\n")
        self.logs[name].flush()

    def _on_console(self, line, echo):
        self._log("console-dom0.log", line)
        at = line.find("LAB ")
        # A failed check may show a guest's own last words; those are not the host's.
        if at < 0 and verdict.HOST_DIED.search(line) and not self.outcome.host_panic:
            self.outcome.host_panic = line
        self.outcome.last_line = line or self.outcome.last_line
        if echo and (at >= 0 or self.outcome.host_panic):
            print(line[max(at, 0):], file=echo, flush=True)

    def _on_lab(self, line, _echo):
        kind, _, text = line.partition(" ")
        if kind == "L":
            name, _, text = text.partition("|")
            self._log(name, text)
        elif kind == "R":
            match = verdict.RESULT.match(text)
            if match:
                self.outcome.results.append(match.groups())
        elif kind == "D":
            self.outcome.details.setdefault(len(self.outcome.results) - 1, []).append(text)
        elif kind == "I":
            self.outcome.inconclusive = text
        elif kind == "U":
            self.outcome.came_up = True
        elif kind == "E":
            self.outcome.script_status = int(text)
        elif kind == "M":
            self.monitor_queue.append(text)
            request = {"execute": "human-monitor-command", "arguments": {"command-line": text}, "id": "lab"}
            self.qmp.sendall(json.dumps(request).encode() + b"\n")

    def _on_qmp(self, line, _echo):
        answer = json.loads(line)
        if answer.get("id") != "lab":
            return
        text = answer["return"] if "return" in answer else "error: " + answer["error"]["desc"]
        lines = [part.rstrip("\r") for part in text.splitlines()]
        self.lab.sendall("".join(f" {part}\n" for part in lines).encode() + b".\n")
