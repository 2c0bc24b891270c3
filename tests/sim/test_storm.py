# SPDX-License-Identifier: MIT
"""Verbs, frontends and ends of guests in any order, from a seed: afterwards everything is back."""
import random
import unittest

from simlib import *

NIC1 = "0000:00:05.1"
DEVICES = (NIC, NIC1, DISK)


class Storm(unittest.TestCase):
    def tried(self, verb, *args, **more):
        """Most of what the storm does is not possible when it does it."""
        try:
            return verb(*args, **more)
        except (SimError, RpcError):
            return None

    def verb(self, s, rng, clients, pending, domid):
        client = rng.choice(clients)
        if client in pending:
            self.tried(client.finish, pending.pop(client))
        params = {"force": True} if rng.random() < 0.5 else {}
        if rng.random() < 0.5:
            pending[client] = client.start("attach", guest=str(domid), claim=True,
                                           dev=rng.choice(DEVICES), **params)
        else:
            pending[client] = client.start("detach", guest=str(domid), dev=rng.choice(DEVICES),
                                           **params)

    def frontend(self, s, rng, domid):
        what = rng.random()
        if what < 0.3:
            self.tried(s.follow, domid, on=rng.random() < 0.7)
        elif what < 0.75:
            self.tried(s.sim, "state", domid=domid, state=rng.randrange(1, 9))
        elif what < 0.9:
            more = {} if rng.random() < 0.5 else {"state": None}
            self.tried(s.sim, "publish", domid=domid, fresh=rng.random() < 0.5, **more)
        else:
            self.tried(s.op, domid, rng.choice((READ, ENABLE_MSIX, DISABLE_MSIX)),
                       rng.choice((0, 1, 8)), offset=0, size=4, value=1, entries=[0], wait_ms=50)

    def end_of_guest(self, s, rng, guests, k):
        self.tried(s.sim, rng.choice(("domain-destroy", "domain-shutdown")), domid=guests[k])
        if rng.random() < 0.5:
            time.sleep(0.05)
        self.tried(s.sim, "domain-destroy", domid=guests[k])
        guests[k] = max(guests) + 1
        s.sim("domain-create", domid=guests[k], name="guest-" + "ab"[k])

    def storm(self, seed, **more):
        rng = random.Random(seed)
        guests = [5, 6]
        with Sim(devices=[device("e1000e"), moved(device("e1000e"), NIC1), device("nvme")],
                 domains=[domain(5, "guest-a"), domain(6, "guest-b")], clean=True,
                 scenario={"job_delay_ms": rng.choice((0, 5, 30))},
                 config={"limits": {"attach_timeout_ms": 200, "detach_timeout_ms": 150},
                         "devices": [{"name": "d%d" % i, "bdf": bdf}
                                     for i, bdf in enumerate(DEVICES)], **more}) as s:
            clients, pending = [Rpc(s.control_path) for _ in range(4)], {}
            for _ in range(200):
                k, what = rng.randrange(2), rng.random()
                if what < 0.05:
                    self.end_of_guest(s, rng, guests, k)
                elif what < 0.3:
                    self.verb(s, rng, clients, pending, guests[k])
                elif what < 0.95:
                    self.frontend(s, rng, guests[k])
                else:
                    time.sleep(rng.choice((0.01, 0.1, 0.6)))
            for client, serial in pending.items():
                self.tried(client.finish, serial)
            for client in clients:
                client.close()
            if more:
                s.config["assignments"] = []
                s.write_config()
                s.reload()
            for domid in guests:
                self.tried(s.sim, "domain-destroy", domid=domid)
            s.wait_for("all devices", lambda: all(s.state(d) in ("claimed", "present")
                                                  for d in DEVICES), timeout=20)

    def test_verbs_and_frontends(self):
        for seed in (1, 2):
            with self.subTest(seed=seed):
                self.storm(seed)

    def test_with_assignments(self):
        for seed in (3, 4):
            with self.subTest(seed=seed):
                self.storm(seed, assignments=[{"guest": "guest-a", "devices": [NIC, DISK]},
                                              {"guest": "guest-b", "devices": [NIC1]}])


if __name__ == "__main__":
    unittest.main()
