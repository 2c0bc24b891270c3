# SPDX-License-Identifier: MIT
"""A guest that uses the moment when the daemon is gone: other operations, nodes and flags than those
that the last process saw. The next one serves everybody else, and can take back what it has."""
import random
import unittest

from simlib import *

WHEN = ("job_adopt", "page_map", "port_bind", "store_read")


class Restart(unittest.TestCase):
    def world(self, **more):
        return Sim(devices=[device("e1000e"), device("nvme")],
                   domains=[domain(5), domain(6)], supervise=True, **more)

    def start(self, s):
        s.connect(6, DISK)
        s.connect(5, NIC)
        s.enable_msix(5, [0, 1, 2])
        s.follow(5, on=False)

    def others_are_served(self, s):
        self.assertEqual(s.sim("faults")["armed"], 0, "it was not done")
        self.assertEqual(s.config_read(6, 0), 0x00101B36)
        self.assertEqual(s.be_state(6), 4)
        s.assert_no_violations()

    def taken_back(self, s):
        try:
            s.detach(5, NIC, force=True)
        except RpcError as e:
            self.assertEqual(e.data["code"], "wrong-state", e)  # it has ended meanwhile
        s.wait_for("its return", lambda: s.state(NIC) == "claimed")
        s.settle()
        leaks = s.leaks()
        self.assertEqual([p for p in leaks["permissions"] if p["domid"] == 5], [])
        self.assertEqual([p for p in leaks["pirqs"] if p["domid"] == 5 and p["device"]], [])
        self.assertEqual(s.dev(NIC)["owner"], DOMID_IO)

    def test_T10_nodes_that_change_during_adoption(self):
        own = Sim.be(5)
        changes = [("state", v) for v in ("1", "2", "3", "5", "6", "7", "8", "9", "0", "", "x", "4 ",
                                          "9" * 3000)]
        changes += [("pci-op-ref", "99999"), ("event-channel", "99999"), ("event-channel", "17"),
                    ("magic", "8"), ("backend", Sim.be(6)), ("backend", "")]
        for n, (node, value) in enumerate(changes):
            with self.subTest(node=node, value=value[:20]), self.world() as s:
                self.start(s)
                s.fault(WHEN[n % len(WHEN)], action={"do": "store-write", "as": 5, "value": value,
                                                     "path": s.fe(5, node)})
                s.kill9()
                s.wait_restarted()
                self.others_are_served(s)
                self.taken_back(s)
                self.others_are_served(s)
                self.assertEqual(own, s.be(5))

    def test_T12_nodes_that_are_gone_after_it(self):
        for when in WHEN:
            with self.subTest(when), self.world() as s:
                self.start(s)
                s.fault(when, action={"do": "store-remove", "as": 5, "path": s.fe(5)})
                s.kill9()
                s.wait_restarted()
                self.others_are_served(s)
                s.wait_for("its return", lambda: s.state(NIC) == "claimed")
                self.taken_back(s)

    def test_T7_H9_another_operation_than_the_one_that_was_under_way(self):
        """It dies in the middle of one operation and finds another, or none, or garbage."""
        rng = random.Random(9)
        first = (("map_msi", dict(cmd=ENABLE_MSIX, value=2)), ("unmap_pirq", dict(cmd=DISABLE_MSIX)),
                 ("cycle_write", dict(cmd=WRITE, offset=0x0C, size=1, value=0x20)),
                 ("cycle_read", dict(cmd=READ, offset=6, size=2)))
        entries = struct.pack("<4H", 0, 0, 0, 1).hex()
        for n in range(16):
            call, op = first[n % len(first)]
            garbage = bytes(rng.randrange(256) for _ in range(548)).hex()
            then = (pack_op(cmd=READ), pack_op(cmd=DISABLE_MSIX), pack_op(**{**op, "info": 1}) + entries,
                    garbage)[n // 4]
            with self.subTest(n=n), self.world() as s:
                self.start(s)
                if op["cmd"] == ENABLE_MSIX:
                    s.disable_msix(5)
                s.fault("port_bind", action={"do": "post", "domid": 5, "offset": 4, "hex": then,
                                             "flags": 1})
                s.die_at(call, when=("before", "after")[n % 2])
                s.sim("post", domid=5, offset=4, hex=pack_op(**op) + entries, flags=1)
                s.wait_restarted()
                s.wait_for("an answer", lambda: s.flags(5) & 1 == 0)
                self.others_are_served(s)
                answer = s.op(5, READ, offset=0, size=4)
                self.assertEqual((answer["err"], answer["value"]), (0, 0x10D38086))
                self.taken_back(s)

    def test_T8_garbage_in_the_page_when_it_starts(self):
        rng = random.Random(8)
        with self.world() as s:
            self.start(s)
            for _ in range(12):
                page = bytes(rng.randrange(256) for _ in range(600)).hex()
                s.fault("page_map", action={"do": "post", "domid": 5, "offset": 4, "hex": page,
                                            "flags": 0xFFFFFFFF})
                s.kill9()
                s.wait_restarted()
                s.wait_for("an answer", lambda: s.flags(5) & 1 == 0)
                self.others_are_served(s)
            self.taken_back(s)


if __name__ == "__main__":
    unittest.main()
