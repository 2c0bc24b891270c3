# SPDX-License-Identifier: MIT
"""xenstored dies and returns, with and without what it knew."""
import unittest

from simlib import *


class Store(unittest.TestCase):
    def test_xenstored_dies_and_returns(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("store-kill")
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086, "accesses need no xenstore")
            self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
            s.sim("store-return", keep=True)
            s.settle()
            self.assertEqual((s.be_state(5), s.fe_state(5)), (4, 4))
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.remove_node(s.reservation())
            s.wait_for("the node", lambda: s.read_node(s.reservation()) == "5")
            s.detach(5)

    def test_what_happened_meanwhile_is_noticed(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("store-kill")
            s.settle()
            s.sim("domain-destroy", domid=5)
            s.settle()
            s.sim("store-return", keep=True)
            s.wait_for("the device", lambda: s.state() == "claimed")

    def test_xenstored_returns_empty(self):
        with Sim() as s:
            s.connect()
            s.follow(5, on=False)
            s.sim("store-kill")
            s.settle()
            s.sim("store-return", keep=False)
            s.settle()
            self.assertTrue(s.alive())
            # a guest that lives keeps what it has
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")
            s.settle()
            leaks = s.leaks()
            for kind in ("permissions", "pirqs", "pages", "ports"):
                self.assertEqual(leaks[kind], [])

    def test_verbs_without_xenstored_fail_and_leave_nothing(self):
        with Sim(clean=True) as s:
            s.follow(5)
            s.claim()
            s.sim("store-kill")
            s.settle()
            with self.assertRaises(RpcError) as e:
                s.attach(5)
            self.assertIn(e.exception.data["code"], ("xen-error", "timeout", "not-found"))
            s.sim("store-return", keep=True)
            s.settle()
            s.attach(5, wait=5)
            s.detach(5)

    def test_xenstored_dies_at_each_step_of_attach(self):
        with Sim() as s:
            s.follow(5)
            s.claim()
            s.clear_log()
            s.attach(5, wait=5)
            count = len([e for e in s.log() if e["call"].startswith("store_")])
        for nth in range(1, count + 1, 3):
            with self.subTest(nth=nth), Sim() as s:
                s.follow(5)
                s.claim()
                s.fault("store_*", nth=nth, action={"do": "store-kill"})
                try:
                    s.attach(5, wait=1)
                except RpcError as e:
                    self.assertTrue(e.data.get("reason"))
                self.assertTrue(s.alive())
                s.sim("fault-clear")
                s.sim("store-return", keep=True)
                s.settle()
                s.sim("domain-destroy", domid=5)
                s.wait_for("the device", lambda: s.state() == "claimed")

    def test_slow_xenstored(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("store-hold", on=True)
            s.sim("notify", domid=5)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            pending = s.rpc.start("detach", guest="5", dev=NIC)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.sim("store-hold", on=False)
            s.rpc.finish(pending)


if __name__ == "__main__":
    unittest.main()
