# SPDX-License-Identifier: MIT
"""T17 over the whole daemon: nobody at the control socket makes guests, or others there, wait."""
import os
import select
import socket
import sys
import time
import unittest

from simlib import *

REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"%s"}\n'


class Flood:
    """A process whose clients ask as fast as they are answered; READING False: never take one."""

    def __init__(self, sim, clients=4, method=b"version", reading=True, uid=0):
        os.chmod(sim.dir, 0o755)
        os.chmod(sim.control_path, 0o666)
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if uid:
                    os.setgroups([])
                    os.setgid(uid)
                    os.setuid(uid)
                self.run(sim.control_path, clients, REQUEST % method * 100, reading, tell)
            finally:
                os._exit(0)
        os.close(tell)
        assert os.read(ready, 1) == b"r"
        os.close(ready)

    @staticmethod
    def run(path, clients, block, reading, tell):
        socks = []
        for _ in range(clients):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            sock.setblocking(False)
            socks.append(sock)
        announced = False
        while os.getppid() != 1:
            inputs, outputs, _ = select.select(socks if reading else [], socks, [], 1)
            for sock in outputs:
                try:
                    sock.send(block)
                except BlockingIOError:
                    pass
                except OSError:
                    socks.remove(sock)
            for sock in inputs:
                try:
                    sock.recv(1 << 18)
                except OSError:
                    pass
            if not announced:
                os.write(tell, b"r")
                announced = True

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def many_devices(count=800):
    """So many that a list of them takes many turns; none of them is there."""
    return {"devices": [{"name": "d%d" % i, "bdf": "0001:%02x:%02x.%d" % (i // 256, i // 8 % 32, i % 8)}
                        for i in range(count)]}


def rss(s):
    with open("/proc/%d/statm" % s.process.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_instrumented():
    with open(binary(), "rb") as f:
        return b"__asan_init" in f.read()


class Guests(unittest.TestCase):
    def ops_under(self, s, **flood):
        with Flood(s, **flood):
            answers = [s.op(5, READ, offset=0) for _ in range(200)]
        self.assertTrue(all(a["done"] for a in answers))
        self.assertLessEqual(max(a["turns"] for a in answers), 3)

    def test_T17_a_flood_does_not_keep_a_guest_waiting(self):
        with Sim() as s:
            s.connect()
            self.ops_under(s, clients=8)
            self.assertGreater(s.call("stats")["control"]["messages"], 1000)

    def test_T17_a_flood_of_long_lists_does_not_keep_a_guest_waiting(self):
        with Sim(config=many_devices()) as s:
            s.connect()
            self.ops_under(s, clients=4, method=b"list")
            self.ops_under(s, clients=4, method=b"list", uid=65534)
            self.ops_under(s, clients=4, method=b"stats", reading=False, uid=65534)

    def test_T17_a_flood_of_checks_does_not_keep_a_guest_waiting(self):
        with Sim() as s:
            s.connect()
            self.ops_under(s, clients=8, method=b"check-config", uid=65534)


class Others(unittest.TestCase):
    def test_T17_root_changes_things_while_readers_flood(self):
        with Sim(config={**many_devices(), "limits": {"control_requests_per_s": 20}},
                 clean=True) as s:
            for method in (b"list", b"version"):
                with Flood(s, clients=8, method=method, uid=65534):
                    for _ in range(3):
                        s.connect()
                        s.detach(5)
                        s.release()
                    if method == b"version":
                        s.wait_for("a delay", lambda: s.call("stats")["control"]["delayed"])

    def test_T17_readers_who_do_not_read_are_dropped_and_cost_a_bounded_memory(self):
        limits = {"control_unread_bytes": 1000000, "control_answer_bytes": 900000}
        with Sim(config={**many_devices(1000), "limits": limits}) as s:
            sizes = []
            for _ in range(4):
                with Flood(s, clients=8, method=b"list", reading=False, uid=65534):
                    dropped = s.call("stats")["control"]["dropped"]
                    s.wait_for("a dropped client", lambda before=dropped: s.call(
                        "stats")["control"]["dropped"] > before, timeout=20)
                s.wait_for("their end", lambda: s.call("stats")["limits"]["control_clients"][
                    "used"] == 1, timeout=20)
                sizes.append(rss(s))
            unread = s.call("stats")["limits"]["control_unread_bytes"]
            self.assertEqual(unread["used"], 0)
            self.assertLessEqual(unread["most"], limits["control_unread_bytes"])
            if not is_instrumented():
                self.assertLess(sizes[-1] - sizes[0], 4 << 20, sizes)
            self.assertLessEqual(s.stderr().count("does not read its answer"), 10)

    def test_T17_a_flood_of_connections_leaves_nothing_behind(self):
        with Sim() as s:
            os.chmod(s.dir, 0o755)
            s.call("stats")
            s.settle()
            before = len(os.listdir("/proc/%d/fd" % s.process.pid))
            for i in range(2000):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(s.control_path)
                    sock.send(REQUEST[:i % 40])
            s.wait_for("their end", lambda: s.call("stats")["limits"]["control_clients"][
                "used"] == 1, timeout=20)
            self.assertEqual(len(os.listdir("/proc/%d/fd" % s.process.pid)), before)
            self.assertLess(s.stderr().count("control:"), 5)


class Log(unittest.TestCase):
    def test_a_verb_that_fails_is_told_of_once(self):
        with Sim(config={"devices": [{"name": "nic0", "bdf": NIC, "assign": "deny"}]}) as s:
            for reason, verb, params in (
                    ("denies assigning it", "attach",
                     {"guest": "5", "dev": NIC, "claim": True, "force": True}),
                    ("the device is present", "attach", {"guest": "5", "dev": NIC}),
                    ("no guest has it", "detach", {"guest": "5", "dev": NIC}),
                    ("no such device", "release", {"dev": "nic7"}),
                    ("no such device in the machine", "claim", {"dev": DISK}),
                    ("no device has this name", "reset", {"dev": "nic8"}),
                    ("slot is not listed", "slot.remove", {"address": DISK})):
                with self.subTest(verb), self.assertRaises(RpcError) as failed:
                    s.call(verb, **params)
                told = failed.exception.data["reason"]
                self.assertIn(reason, told)
                self.assertEqual(s.stderr().count(told), 1, s.stderr())
            # what it had claimed for it was given back
            self.assertEqual(s.state(), "present")


if __name__ == "__main__":
    unittest.main()
