# SPDX-License-Identifier: MIT
"""Runs pcibackd-sim, speaks to the daemon (JSON-RPC) and to the simulated world (sim socket).

    with Sim(devices=[device("e1000e")], domains=[domain(5)]) as s:
        s.claim(NIC)
        s.follow(5)
        s.attach(5, NIC, wait=5)

Supervised (`Sim(supervise=True)`) the world outlives the daemon, which is started again whenever it
ends, in the same world and with the same arguments; the connection to the world stays:

    s.die_at("device_assign", 1, when="before")   # or "after": its first such call from now
    s.die_at("*", 17, store="done")               # the 17th call of any name; what it has asked of
                                                  # xenstored then is carried out (else: lost)
    s.kill9()                                     # at once, wherever its own code is
    s.restart_gracefully()                        # SIGTERM to it alone: as an upgrade does it
    s.wait_restarted()                            # until the next one answers
    s.restarts                                    # how often it was started again
    s.loop(5, [{"cmd": READ, "offset": 0, "size": 4, "expect": 0x10D38086}])
    s.loop_end(5)                                 # {"done", "failed", "timeouts", "max_ms", ...}
    s.tried(s.attach, 5)                          # the result, None when the daemon died meanwhile,
                                                  # or the RpcError that it answered

A verb whose daemon dies raises DaemonDied; the next call connects anew. What the guest has posted
stays in its page: `op` goes on waiting. A call of the daemon's has the names that the log has, and
"job_KIND.start" (submitted, under way) beside "job_KIND". An unplanned death fails the test, unless
Sim(deaths=True).

Leaving the block stops the daemon and asserts that it ended well: status 0, no sanitizer report, no
violation (things that no correct daemon does to hardware or hypervisor), unless told otherwise.
"""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DOMID_IO = 0x7FF1

NIC = "0000:00:05.0"
DISK = "0000:00:06.0"
OLD = "0000:00:07.0"

MEM, MEM64, IO = 0x40200, 0x140204, 0x40101

# What the dumps do not say: resources (start, end, flags), line, driver.
MODELS = {
    "e1000": (NIC, "e1000", 22, [(0xFEA00000, 0xFEA1FFFF, MEM), (0xC000, 0xC03F, IO)]),
    "e1000e": (NIC, "e1000e", 21,
               [(0xFEA20000, 0xFEA3FFFF, MEM), (0xFEA40000, 0xFEA5FFFF, MEM),
                (0xC040, 0xC05F, IO), (0xFEA60000, 0xFEA63FFF, MEM)]),
    "rtl8139": (OLD, "8139cp", 23, [(0xC100, 0xC1FF, IO), (0xFEA64000, 0xFEA640FF, MEM)]),
    "nvme": (DISK, "nvme", 20, [(0xFEA68000, 0xFEA6BFFF, MEM64)]),
    "intel-hda": (OLD, "snd_hda_intel", 19, [(0xFEA6C000, 0xFEA6FFFF, MEM)]),
    "virtio-net": (OLD, "virtio-pci", 18,
                   [(0xC200, 0xC21F, IO), (0xFEA70000, 0xFEA70FFF, MEM), (0, 0, 0), (0, 0, 0),
                    (0xFEA74000, 0xFEA77FFF, 0x14220C)]),
}


def device(model, bdf=None, **more):
    """A device of the scenario; MORE replaces members (driver, irq, resources, reset, present), or
    adds "patch": [[offset, size, value]] to its registers."""
    default_bdf, driver, irq, resources = MODELS[model]
    return {"bdf": bdf or default_bdf, "dump": model + ".txt", "driver": driver, "irq": irq,
            "resources": [list(r) for r in resources], **more}


def moved(dev, bdf, by=0x100000):
    """A second one of the same model: another address, memory BY higher, ports 0x1000 higher."""
    shifted = [[s + (0x1000 if f & 0x100 else by), e + (0x1000 if f & 0x100 else by), f]
               if e else [0, 0, 0] for s, e, f in dev["resources"]]
    return {**dev, "bdf": bdf, "resources": shifted}


def domain(domid, name=None, **more):
    return {"id": domid, "name": name or "guest%d" % domid, **more}


# Operations and errors of the protocol
READ, WRITE, ENABLE_MSI, DISABLE_MSI, ENABLE_MSIX, DISABLE_MSIX = range(6)
ENABLE_MULTI_MSI = 10
NOT_FOUND, INVALID_OFFSET, ACCESS_DENIED, NOT_IMPLEMENTED, OP_FAILED = -1, -2, -3, -4, -5


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data") or {}


class SimError(Exception):
    pass


class DaemonDied(Exception):
    """Its end of the connection is closed: whether it did what was asked is not known."""


class Lines:
    """One JSON message a line over a UNIX socket."""

    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buf = b""

    def send(self, message):
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self):
        while b"\n" not in self.buf:
            more = self.sock.recv(1 << 16)
            if not more:
                raise EOFError("the peer closed the connection")
            self.buf += more
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)

    def close(self):
        self.sock.close()


class Rpc(Lines):
    """A client of the control socket. Notifications are kept in .notifications."""

    def __init__(self, path, timeout=30):
        super().__init__(path, timeout)
        self.serial = 0
        self.notifications = []
        self.answers = {}

    def start(self, method, **params):
        self.serial += 1
        self.send({"jsonrpc": "2.0", "id": self.serial, "method": method, "params": params})
        return self.serial

    def finish(self, serial):
        while serial not in self.answers:
            message = self.receive()
            if message.get("id") is None and "method" in message:
                self.notifications.append(message)
            elif message.get("id") is None:  # it could not read what was asked
                self.answers[serial] = message
            else:
                self.answers[message.get("id")] = message
        answer = self.answers.pop(serial)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer.get("result")

    def call(self, method, **params):
        return self.finish(self.start(method, **params))


def binary():
    path = os.environ.get("PCIBACKD_SIM")
    if not path:
        raise RuntimeError("PCIBACKD_SIM must name the pcibackd-sim binary")
    return path


class Sim:
    def __init__(self, devices=None, domains=None, config=None, scenario=None, clean=False,
                 violations=False, start=True, quirks=None, keep=False, supervise=False,
                 deaths=False):
        self.dir = tempfile.mkdtemp(prefix="pcibackd-sim-")
        self.config_path = os.path.join(self.dir, "config.json")
        self.scenario_path = os.path.join(self.dir, "scenario.json")
        self.control_path = os.path.join(self.dir, "control.sock")
        self.sim_path = os.path.join(self.dir, "sim.sock")
        self.log_path = os.path.join(self.dir, "stderr")
        self.state_path = os.path.join(self.dir, "world.json")
        self.keep = keep
        self.boot = 1
        self.config = {
            "control": {"socket": self.control_path},
            "state_dir": os.path.join(self.dir, "state"),
            "limits": {"attach_timeout_ms": 3000, "detach_timeout_ms": 600,
                       "reset_timeout_ms": 1000},
        }
        self.quirk_dir = os.path.join(self.dir, "quirks.d")
        self.config["quirk_dirs"] = [self.quirk_dir]
        self.config["plugin_dirs"] = [os.environ.get("PCIBACKD_SIM_PLUGINS", self.dir)]
        os.makedirs(self.quirk_dir)
        if quirks:
            self.write_quirks(quirks)
        for key, value in (config or {}).items():
            if isinstance(value, dict) and isinstance(self.config.get(key), dict):
                self.config[key] = {**self.config[key], **value}
            else:
                self.config[key] = value
        self.scenario = {
            "devices": [device("e1000e")] if devices is None else devices,
            "domains": [domain(5, "netvm")] if domains is None else domains,
            **(scenario or {}),
        }
        self.clean = clean
        self.violations_allowed = violations
        self.auto_start = start
        self.supervise = supervise
        self.deaths_allowed = deaths
        self.lives_seen = 0
        self.process = self.rpc = self.world = None

    # --- life ---

    def __enter__(self):
        if self.auto_start:
            try:
                self.start()
            except BaseException:
                self._kill()
                self._remove()
                raise
        return self

    def start(self, *arguments):
        os.makedirs(self.config["state_dir"], exist_ok=True)
        self.write_config()
        with open(self.scenario_path, "w") as f:
            json.dump(self.scenario, f)
        env = dict(os.environ)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [binary(), "--config", self.config_path, "--scenario", self.scenario_path,
                 "--sim-socket", self.sim_path, "--sim-boot", "boot-%d" % self.boot,
                 *(("--sim-state", self.state_path) if self.keep else ()),
                 *(("--supervise",) if self.supervise else ()), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self._await(self.control_path)
        self.rpc = Rpc(self.control_path)
        self.world = Lines(self.sim_path)

    def write_config(self):
        with open(self.config_path, "w") as f:
            json.dump(self.config, f)

    def write_quirks(self, quirks, file="50-test.json"):
        """A manifest of these quirks; what every quirk needs is filled in. None removes it."""
        path = os.path.join(self.quirk_dir, file)
        if quirks is None:
            os.unlink(path)
            return
        whole = [{"id": "test-%d" % i, "reason": "a test", "source": "https://example.org/",
                  "match": {"vendor": "0x8086"}, **q}
                 for i, q in enumerate(quirks)]
        with open(path, "w") as f:
            json.dump({"schema": 1, "quirks": whole}, f)
        os.chmod(path, 0o644)

    def reload(self, **more):
        return self.call("reload", **more)

    def _await(self, path):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("pcibackd-sim ended with %s:\n%s" %
                                   (self.process.returncode, self.stderr()))
            try:
                Lines(path).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("no socket at %s:\n%s" % (path, self.stderr()))

    def stderr(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """SIGTERM; the exit status."""
        for connection in (self.rpc, self.world):
            if connection:
                connection.close()
        self.rpc = self.world = None
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the daemon did not end after SIGTERM:\n" + self.stderr())

    def _kill(self):
        if self.process and self.alive():
            self.process.kill()
            self.process.wait()

    def _remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                print("--- stderr of pcibackd-sim:\n" + self.stderr()[-8000:])
                return False
            if not self.process:
                return False
            if not self.alive():
                self.check_exit(self.process.returncode)
                return False
            if self.clean:
                self.assert_clean()
            if not self.violations_allowed:
                self.assert_no_violations()
            self.check_exit(self.stop())
        finally:
            self._kill()
            self._remove()
        return False

    def check_exit(self, status):
        text = self.stderr()
        for sign in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "HOST CRASH",
                     "pcibackd: bug:"):
            assert sign not in text, text[-8000:]
        assert self.deaths_allowed or "sim: unplanned death" not in text, text[-8000:]
        assert status == 0, "exit status %s\n%s" % (status, text[-8000:])

    # --- the daemon's lives (supervised) ---

    @property
    def restarts(self):
        return self.sim("life")["lives"]

    def die_at(self, call, nth=1, when="before", store="lost", count=1):
        self.lives_seen = self.restarts
        self.sim("die", call=call, nth=nth, count=count, after={"before": False, "after": True}[when],
                 done={"lost": False, "done": True}[store])

    def kill9(self):
        life = self.sim("life")
        self.lives_seen = life["lives"]
        os.kill(life["pid"], signal.SIGUSR2)

    def meanwhile(self, *commands):
        """What happens between the daemon's next death and its next life: {"do": ...}."""
        self.sim("meanwhile", commands=list(commands))

    def with_argument(self, text):
        """SIGTERM; the next daemon has the argument TEXT. If that one ends, and well, one without it comes next."""
        self.sim("next-argument", text=text)
        life = self.sim("life")
        self.lives_seen = life["lives"]
        os.kill(life["pid"], signal.SIGTERM)

    def restart_gracefully(self):
        life = self.sim("life")
        self.lives_seen = life["lives"]
        os.kill(life["pid"], signal.SIGTERM)
        self.wait_restarted()

    def wait_restarted(self, lives=1, timeout=20):
        """Until the daemon was started LIVES times since it was told to die, and answers."""
        self.wait_for("the next daemon", lambda: self.restarts >= self.lives_seen + lives, timeout)
        self.wait_for("its answer", self._answers, timeout)

    def _answers(self):
        try:
            return self.call("version")
        except DaemonDied:
            return None

    def tried(self, verb, *arguments, **more):
        try:
            return verb(*arguments, **more)
        except RpcError as e:
            return e
        except DaemonDied:
            return None

    def loop(self, domid, ops, **more):
        """What the guest does without an end: ops as of `op`, with "expect" and "expect_err".
        more: wait_ms (2000), gap_ms (0)."""
        self.sim("loop", domid=domid, ops=[{"devfn": 0, **o} for o in ops], **more)

    def loop_report(self, domid):
        return self.sim("loop-get", domid=domid)

    def loop_end(self, domid):
        self.sim("loop-stop", domid=domid)
        return self.wait_for("the last operation", lambda: self._loop_ended(domid))

    def _loop_ended(self, domid):
        report = self.loop_report(domid)
        return None if report["running"] else report

    # --- the simulated world ---

    def sim(self, do, **params):
        self.world.send({"do": do, **params})
        answer = self.world.receive()
        if "error" in answer:
            raise SimError("%s: %s" % (do, answer["error"]))
        return answer

    def begin_anew(self, domid):
        """A frontend that was refused closes, opens and connects, as a driver loaded again does."""
        self.sim("state", domid=domid, state=6)
        self.wait_for("closed", lambda: self.be_state(domid) == 6)
        self.sim("state", domid=domid, state=1)
        self.wait_for("open again", lambda: self.be_state(domid) in (2, 3))
        self.sim("publish", domid=domid)
        self.wait_for("connection", lambda: self.be_state(domid) == 4)

    def settle(self, timeout_ms=10000):
        self.sim("settle", timeout_ms=timeout_ms)

    def follow(self, domid, on=True):
        self.sim("follow", domid=domid, on=on)

    def read_node(self, path):
        return self.sim("store-read", path=path)["value"]

    def write_node(self, path, value, domid=0):
        self.sim("store-write", path=path, value=str(value), **{"as": domid})

    def remove_node(self, path, domid=0):
        self.sim("store-remove", path=path, **{"as": domid})

    def names(self, path):
        return self.sim("store-list", path=path)["names"]

    def fault(self, call, errno=None, nth=1, count=1, action=None):
        params = {"call": call, "nth": nth, "count": count}
        if errno:
            params["errno"] = errno
        if action:
            params["action"] = action
        self.sim("fault", **params)

    def dev(self, bdf=NIC):
        return self.sim("device", device=bdf)

    def log(self, *calls):
        """The log's entries, of CALLS only if some are named."""
        return [e for e in self.sim("log")["log"] if not calls or e["call"] in calls]

    def clear_log(self):
        self.sim("log-clear")

    def leaks(self):
        return self.sim("leaks")

    def unplug(self, bdf=NIC):
        self.sim("device-unplug", device=bdf)

    def plug(self, bdf=NIC, **more):
        """more: "as" (another device in its place), "bind_ms"."""
        self.sim("device-plug", device=bdf, **more)

    def script(self, domid, *rules):
        """How a followed frontend differs from Linux': rules as {"backend": 7, "write": "8"}; write
        None: never; absent: what Linux does; "after_ms", "count"."""
        self.sim("front-script", domid=domid, rules=list(rules))

    def unload(self, domid):
        """`modprobe -r xen-pcifront`: the guest's driver goes; its page and port, too."""
        self.follow(domid, on=False)
        self.sim("state", domid=domid, state=5)
        self.settle()
        self.sim("state", domid=domid, state=6)
        self.settle()
        self.sim("unpublish", domid=domid)

    def load(self, domid):
        """The driver comes back, with a new page and port, once its backend invites it."""
        self.wait_for("InitWait", lambda: self.be_state(domid) in (2, 3))
        self.sim("publish", domid=domid)
        self.follow(domid)

    def kexec(self, domid):
        """Another kernel without a word of the old one: it goes through the states as Linux' xenbus
        does at its start, and publishes a new page and port; the old ones are lost."""
        self.follow(domid, on=False)
        for state, backend in ((5, 5), (6, 6), (1, 2)):
            self.sim("state", domid=domid, state=state)
            self.wait_for("backend state %d" % backend,
                          lambda backend=backend: self.be_state(domid) in (backend, 3))
        self.follow(domid)

    def restart(self, kill=False, **scenario):
        """Another daemon in the same world (Sim(keep=True)): drivers, owners, registers and what the
        helper remembers stay; guests and xenstore begin anew."""
        if kill:
            self.process.kill()
            self.process.wait()
            self.rpc.close()
            self.world.close()
        else:
            self.check_exit(self.stop())
        self.scenario.update(scenario)
        self.start()

    def reboot(self, **scenario):
        """Another boot of the host: nothing of the world is left."""
        self.check_exit(self.stop())
        os.unlink(self.state_path)
        self.boot += 1
        self.scenario.update(scenario)
        self.start()

    # --- paths ---

    @staticmethod
    def be(domid, node=""):
        return "/local/domain/0/backend/pcibackd/%d/0" % domid + ("/" + node if node else "")

    @staticmethod
    def fe(domid, node=""):
        return "/local/domain/%d/device/pci/0" % domid + ("/" + node if node else "")

    @staticmethod
    def reservation(bdf=NIC):
        return "/libxl/pci/%s/domid" % bdf.replace(":", "-").replace(".", "-")

    def be_state(self, domid):
        return int(self.read_node(self.be(domid, "state")) or 0)

    def fe_state(self, domid):
        return int(self.read_node(self.fe(domid, "state")) or 0)

    # --- the daemon ---

    def call(self, method, **params):
        if self.rpc is None:
            self._connect()
        try:
            return self.rpc.call(method, **params)
        except (EOFError, ConnectionError) as e:
            if not self.supervise:
                raise
            self.rpc.close()
            self.rpc = None
            raise DaemonDied(method) from e

    def _connect(self):
        self._await(self.control_path)
        self.rpc = Rpc(self.control_path)

    def claim(self, bdf=NIC, **more):
        return self.call("claim", dev=bdf, **more)

    def release(self, bdf=NIC, **more):
        return self.call("release", dev=bdf, **more)

    def attach(self, guest, bdf=NIC, **more):
        return self.call("attach", guest=str(guest), dev=bdf, **more)

    def detach(self, guest, bdf=NIC, **more):
        return self.call("detach", guest=str(guest), dev=bdf, **more)

    def show(self, bdf=NIC):
        result = self.call("show", dev=bdf)
        inner = result.get("device")
        return inner if isinstance(inner, dict) else result

    def state(self, bdf=NIC):
        return self.show(bdf)["state"]

    def connect(self, domid=5, bdf=NIC):
        """A claimed device, attached to a guest whose frontend is followed, connected."""
        self.follow(domid)
        self.claim(bdf)
        self.attach(domid, bdf, wait=5)
        self.settle()

    # --- what the guest does ---

    def op(self, domid, cmd, devfn=0, **more):
        return self.sim("op", domid=domid, cmd=cmd, devfn=devfn, **more)

    def config_read(self, domid, offset, size=4, devfn=0):
        answer = self.op(domid, READ, devfn, offset=offset, size=size)
        assert answer["done"], "no answer to the guest's read"
        assert answer["err"] == 0, answer
        return answer["value"]

    def config_write(self, domid, offset, size, value, devfn=0):
        answer = self.op(domid, WRITE, devfn, offset=offset, size=size, value=value)
        assert answer["done"], "no answer to the guest's write"
        return answer["err"]

    def enable_msix(self, domid, entries, devfn=0):
        return self.op(domid, ENABLE_MSIX, devfn, value=len(entries), entries=list(entries))

    def disable_msix(self, domid, devfn=0):
        return self.op(domid, DISABLE_MSIX, devfn)

    def flags(self, domid):
        return self.sim("peek", domid=domid, length=0)["flags"]

    # --- assertions ---

    def wait_for(self, what, condition, timeout=5):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            assert self.alive(), "the daemon ended:\n" + self.stderr()
            time.sleep(0.01)
        raise AssertionError("waited in vain for %s\n%s" % (what, self.stderr()[-4000:]))

    def assert_no_violations(self):
        found = self.leaks()["violations"]
        assert not found, "violations: %s" % json.dumps(found, indent=1)

    def assert_clean(self):
        """No trace of any attachment. Claimed devices may stay claimed, in quarantine."""
        self.settle()
        leaks = self.leaks()
        for kind in ("permissions", "pirqs", "ports", "pages", "nodes"):
            assert not leaks[kind], "%s left behind: %s" % (kind, json.dumps(leaks[kind]))
        for dev in leaks["devices"].values():
            if dev["gone"]:
                assert dev["open"] == 0, "a descriptor of what is gone: %s" % json.dumps(dev)
                continue
            wanted = (DOMID_IO,) if dev["claimed"] or dev["assignable"] else (0,)
            assert dev["owner"] in wanted, "owner of %s" % json.dumps(dev)
            assert not dev["resetting"], dev
            assert dev["open"] == (1 if dev["claimed"] else 0), dev
            if dev["claimed"]:
                assert not dev["command"] & 4, "bus mastering is on: %s" % json.dumps(dev)
            elif not dev["assignable"]:
                assert not dev["prepared"], dev


def matches(entry, wanted):
    """Does a log entry have the call (a name) or all the members (a dict) that are wanted?"""
    if isinstance(wanted, str):
        return entry["call"] == wanted
    if callable(wanted):
        return wanted(entry)
    return all(entry.get(k) == v for k, v in wanted.items())


def find(log, wanted, start=0, rc=0):
    """The index of the first match from START with result RC (None: any); -1 without one."""
    for i in range(start, len(log)):
        if (rc is None or log[i]["rc"] == rc) and matches(log[i], wanted):
            return i
    return -1


def assert_order(log, *wanted):
    """The WANTED happen in this order (others may happen between)."""
    at = 0
    for w in wanted:
        i = find(log, w, at)
        assert i >= 0, "%s does not follow in:\n%s" % (
            w if not callable(w) else getattr(w, "__name__", w),
            "\n".join(json.dumps(e) for e in log))
        at = i + 1


def assert_before(log, first, then):
    """The last of FIRST comes before the first of THEN, and both happen."""
    firsts = [i for i, e in enumerate(log) if e["rc"] == 0 and matches(e, first)]
    thens = [i for i, e in enumerate(log) if e["rc"] == 0 and matches(e, then)]
    text = "\n".join(json.dumps(e) for e in log)
    assert firsts, "no %s in:\n%s" % (first, text)
    assert thens, "no %s in:\n%s" % (then, text)
    assert firsts[-1] < thens[0], "%s is not before %s in:\n%s" % (first, then, text)


def command_write(clear=0, set_=0, bdf=NIC):
    """A matcher: a write of COMMAND with these bits off and on."""
    def write(entry):
        return (entry["call"] == "cycle_write" and entry["device"] == bdf and
                entry["offset"] == 4 and entry["value"] & clear == 0 and
                entry["value"] & set_ == set_)
    write.__name__ = "write of COMMAND without %#x, with %#x" % (clear, set_)
    return write


def pack_op(cmd=0, err=0, dom=0, bus=0, devfn=0, offset=0, size=4, value=0, info=0):
    """The fixed part of an operation as it stands in the page, in hexadecimal."""
    return struct.pack("<IiIIIiiII", cmd, err, dom, bus, devfn, offset, size, value, info).hex()
