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


class Guests(unittest.TestCase):
    def test_T17_a_flood_does_not_keep_a_guest_waiting(self):
        with Sim() as s:
            s.connect()
            with Flood(s, clients=8):
                answers = [s.op(5, READ, offset=0) for _ in range(300)]
            self.assertTrue(all(a["done"] for a in answers))
            self.assertLessEqual(max(a["turns"] for a in answers), 2)


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
