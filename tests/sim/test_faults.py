# SPDX-License-Identifier: MIT
"""Every call of a verb fails in turn: a defined error, nothing left behind, and the next try works."""
import unittest

from simlib import *
from test_death import faultable
from test_multi_msi import many


# Calls that take something back. When the hypervisor refuses one, nobody else can do it: the test
# asks that the daemon goes on, and that all is well again once the guest has ended.
HYPER_UNDO = ("unmap_pirq", "device_deassign", "msix_release")
STORE_UNDO = ("store_remove", "store_prune")
NEVER_FAIL = ("port_unbind", "page_unmap", "port_unmask", "port_notify")


class Faults(unittest.TestCase):
    CODES = ("not-found", "wrong-state", "refused", "timeout", "host-error", "xen-error", "limit",
             "internal")

    def recover(self, s):
        """Whatever the state: back to a claimed device in quarantine."""
        if s.state() == "assigned":
            s.detach(5, force=True)
        if s.state() == "failed" or (s.state() == "claimed" and not s.show()["quarantined"]):
            s.release(force=True)
        if s.state() != "claimed":
            s.claim()

    def guest_ends(self, s):
        s.violations_allowed = True
        s.sim("domain-destroy", domid=5)
        s.wait_for("rest", lambda: s.state() in ("claimed", "failed", "present"))
        s.settle()
        leaks = s.leaks()
        self.assertEqual((leaks["permissions"], leaks["pirqs"], leaks["domains"]), ([], [], []))
        s.sim("domain-create", domid=5, name="netvm")

    def act_with_fault(self, s, act, nth, errno):
        s.fault("*", errno, nth=nth)
        try:
            act(s)
        except RpcError as e:
            self.assertIn(e.data.get("code"), self.CODES, e)
            self.assertTrue(e.data.get("reason"), e)
        self.assertTrue(s.alive())
        s.settle()
        s.sim("fault-clear")  # reads that watches ask for may merge: then there was one call less

    def each(self, prepare, act, errno="EIO", least=5, devices=None):
        """Runs ACT once with each of its calls failing."""
        with Sim(devices=devices) as s:
            prepare(s)
            s.settle()
            s.clear_log()
            act(s)
            calls = [(e["call"], e.get("allow", True)) for e in faultable(s.log())]
        self.assertGreaterEqual(len(calls), least)
        for nth, (call, allow) in enumerate(calls, 1):
            if call in NEVER_FAIL:
                continue
            with self.subTest(nth=nth, call=call), \
                    Sim(devices=devices, config={"devices": [{"name": "nic0", "bdf": NIC}]}) as s:
                prepare(s)
                s.settle()
                self.act_with_fault(s, act, nth, errno)
                if call in HYPER_UNDO or not allow:
                    self.guest_ends(s)
                self.recover(s)
                if call not in STORE_UNDO:
                    s.assert_clean()
                elif s.read_node(s.reservation()):
                    s.remove_node(s.reservation())  # as the refusal of the next attach says
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

    def test_H18_every_step_of_detach_fails_with_a_row_of_msi(self):
        self.each(lambda s: (s.connect(), s.op(5, ENABLE_MULTI_MSI, value=4)),
                  lambda s: s.detach(5), least=30, devices=[many()])

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
