# SPDX-License-Identifier: MIT
"""pcibackd --detach-all: every device back from every guest, then the end. SIGTERM is the way that leaves them."""
import unittest

from xllib import *

OTHER = "0000:00:06.0"


def two():
    return [device("e1000e"), device("e1000e", bdf=OTHER, irq=25, resources=[
        [a + (0x40 if f & 0x100 else 0x100000), b + (0x40 if f & 0x100 else 0x100000), f]
        for a, b, f in device("e1000e")["resources"]])]


class DetachAll(unittest.TestCase):
    def running(self, s):
        """Two guests, a device each, one with interrupts."""
        s.connect(5)
        s.connect(6, OTHER)
        s.enable_msix(5, [0, 1])

    def test_all_come_back_and_it_ends_well(self):
        with Sim(devices=two(), domains=[domain(5), domain(6)], supervise=True, clean=True) as s:
            self.running(s)
            s.with_argument("--detach-all")
            s.wait_restarted(2)  # it, which ended with 0, and the one after it
            self.assertIn("2 devices came back; no guest has one", s.stderr())
            for bdf in (NIC, OTHER):
                self.assertEqual(s.state(bdf), "claimed")
                self.assertEqual(s.dev(bdf)["vectors"], 0)
                self.assertFalse(s.show(bdf)["tainted"], "its guest took part")
            self.assertEqual(s.call("guests")["guests"], [])

    def test_what_a_guest_keeps_is_told_and_the_status_is_not_0(self):
        with Sim(devices=two(), domains=[domain(5), domain(6)], supervise=True,
                 config={"limits": {"detach_timeout_ms": 1000}}) as s:
            self.running(s)
            s.follow(6, on=False)
            s.with_argument("--detach-all")
            self.assertEqual(s.process.wait(20), 1)
            self.assertIn("%s: its guest keeps it: " % OTHER, s.stderr())
            self.assertIn("1 device came back, 1 did not", s.stderr())
            s.process = None

    def test_nothing_is_claimed_or_assigned_meanwhile(self):
        """Else what came back would go to its guest again at once."""
        config = {"slots": [NIC, OTHER], "assignments": [{"guest": "netvm", "devices": [NIC]}]}
        with Sim(devices=two(), config=config, supervise=True) as s:
            s.follow(5)
            s.wait_for("the assignment", lambda: s.state(NIC) == "assigned")
            s.call("release", dev=OTHER)
            s.sim("log-clear")
            s.with_argument("--detach-all")
            s.wait_restarted(2)
            s.wait_for("the assignment, of the one after it", lambda: s.state(NIC) == "assigned")
            said = s.stderr()
            first = said.index("1 device came back; no guest has one")
            self.assertNotIn(OTHER, said[said.rindex("stopping on signal", 0, first):first])

    def test_none_at_all(self):
        with Sim(supervise=True, clean=True) as s:
            s.with_argument("--detach-all")
            s.wait_restarted(2)
            self.assertIn("0 devices came back; no guest has one", s.stderr())

    def test_a_device_that_xl_gave_is_xls_to_take(self):
        with Xl(supervise=True) as s:
            s.running(NIC)
            s.with_argument("--detach-all")
            self.assertEqual(s.process.wait(20), 1)
            self.assertIn("xl pci-detach", s.stderr())
            s.process = None


if __name__ == "__main__":
    unittest.main()
