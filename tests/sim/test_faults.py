# SPDX-License-Identifier: MIT
"""Every call of a verb fails in turn: a defined error, nothing left behind, and the next try works."""
import unittest

from simlib import *
from test_death import faultable


class Faults(unittest.TestCase):
    CODES = ("not-found", "wrong-state", "refused", "timeout", "host-error", "xen-error", "limit",
             "internal")

    def recover(self, s):
        """Whatever the state: back to a claimed device and an empty world."""
        state = s.state()
        if state == "assigned":
            s.detach(5, force=True)
        elif state == "failed":
            s.release(force=True)
        if s.state() != "claimed":
            s.claim()
        s.assert_clean()

    def each(self, prepare, act, errno="EIO", least=5):
        """Runs ACT once with each of its calls failing."""
        with Sim() as s:
            prepare(s)
            s.settle()
            s.clear_log()
            act(s)
            calls = [e["call"] for e in faultable(s.log())]
        self.assertGreaterEqual(len(calls), least)
        for nth, call in enumerate(calls, 1):
            with self.subTest(nth=nth, call=call), \
                    Sim(config={"devices": [{"name": "nic0", "bdf": NIC}]}) as s:
                prepare(s)
                s.settle()
                s.fault("*", errno, nth=nth)
                failed = None
                try:
                    act(s)
                except RpcError as e:
                    failed = e
                s.sim("fault-clear")
                if failed:
                    self.assertIn(failed.data.get("code"), self.CODES, failed)
                    self.assertTrue(failed.data.get("reason"), failed)
                self.assertTrue(s.alive())
                s.settle()
                self.recover(s)
                s.follow(5)
                s.attach(5, wait=5)
                s.settle()
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
                s.detach(5)
                s.assert_clean()

    def test_every_step_of_attach_fails_in_turn(self):
        self.each(lambda s: (s.follow(5), s.claim()), lambda s: s.attach(5, wait=2), least=30)

    def test_every_step_of_detach_fails_in_turn(self):
        self.each(lambda s: (s.connect(), s.enable_msix(5, [0, 1])), lambda s: s.detach(5),
                  least=30)

    def test_every_step_of_claim_fails_in_turn(self):
        self.each(lambda s: None, lambda s: s.claim(), least=3)

    def test_every_step_of_release_fails_in_turn(self):
        self.each(lambda s: s.claim(), lambda s: s.release(), least=3)

    def test_failed_attach_leaves_the_device_claimed_and_clean(self):
        """The calls whose failure must end the attach, each by its name and each time it is made."""
        for call in ("domain_get", "device_test", "device_assign", "allow_memory", "allow_ports",
                     "allow_irq", "map_gsi", "store_write", "store_expect", "store_perms"):
            with self.subTest(call=call), Sim() as s:
                s.follow(5)
                s.claim()
                s.fault(call, "EIO")
                with self.assertRaises(RpcError):
                    s.attach(5, wait=2)
                s.sim("fault-clear")
                s.assert_clean()
                self.assertEqual(s.state(), "claimed")


if __name__ == "__main__":
    unittest.main()
