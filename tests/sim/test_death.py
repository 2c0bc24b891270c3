# SPDX-License-Identifier: MIT
"""How guests end, and what is done first."""
import unittest

from simlib import *

MASTER = 4


class Death(unittest.TestCase):
    def test_h2_order_on_guest_death(self):
        with Sim(clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.enable_msix(5, [0, 1, 2])
            self.assertTrue(s.dev()["command"] & MASTER)
            s.clear_log()
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")
            s.settle()
            log = s.log()
            master_off = command_write(clear=MASTER)

            def msi_unmapped(entry):
                return entry["call"] == "unmap_pirq" and entry["pirq"] >= 48
            self.assertEqual(len([e for e in log if msi_unmapped(e)]), 3)
            self.assertLess(find(log, master_off), find(log, msi_unmapped))
            assert_before(log, msi_unmapped, "job_reset.start")
            # page and port last: until then they pin the domain's number
            assert_before(log, "job_reset", "page_unmap")
            assert_before(log, "job_reset", "port_unbind")
            assert_order(log, "page_unmap", "world.domain_gone")

    def test_h2_next_guest_keeps_its_interrupts(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.connect(5)
            s.enable_msix(5, range(5))
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")
            s.follow(6)
            s.attach(6, wait=5)
            self.assertEqual(s.enable_msix(6, range(5))["err"], 0)
            s.settle()
            self.assertEqual(s.dev()["vectors"], 5)
            s.detach(6)

    def test_h3_master_cleared_when_frontend_node_disappears(self):
        with Sim(clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.follow(5, on=False)
            s.clear_log()
            s.remove_node(s.fe(5))
            s.wait_for("bus master off", lambda: not s.dev()["command"] & MASTER)
            s.wait_for("the device", lambda: s.state() == "claimed")
            log = s.log("cycle_write", "cycle_read", "job_reset.start", "unmap_pirq",
                        "allow_memory")
            self.assertEqual(find(log, command_write(clear=MASTER)),
                             find(log, lambda e: e["call"] == "cycle_write"))
            s.settle()

    def test_h20_dying_domain_is_acted_on(self):
        """A zombie answers "dying" for ever: nobody waits for "gone"."""
        with Sim(clean=True) as s:
            s.connect()
            s.sim("domain-destroy", domid=5, toolstack=False)
            s.wait_for("the device", lambda: s.state() == "claimed")
            s.settle()
            self.assertEqual(s.leaks()["domains"], [])

    def test_h20_suspend_is_not_death(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.sim("domain-shutdown", domid=5, reason="suspend")
            s.settle()
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.dev()["vectors"], 1)
            s.sim("domain-resume", domid=5, follow=True)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_every_other_shutdown_is_the_end(self):
        for reason in ("poweroff", "reboot", "crash"):
            with self.subTest(reason=reason), Sim(clean=True) as s:
                s.connect()
                s.enable_msix(5, [0])
                s.sim("domain-shutdown", domid=5, reason=reason)
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.sim("domain-destroy", domid=5)
                s.settle()

    def test_death_during_an_operation(self):
        for slow in (0, 100):
            with self.subTest(slow=slow), Sim(clean=True) as s:
                s.connect()
                s.sim("device-set", device=NIC, slow_ms=slow)
                s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=6, size=2), flags=1)
                s.sim("domain-destroy", domid=5)
                s.sim("device-set", device=NIC, slow_ms=0)
                s.wait_for("the device", lambda: s.state() == "claimed")

    def test_death_of_a_guest_that_never_connected(self):
        with Sim(clean=True) as s:
            s.claim()
            s.attach(5)
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")

    def test_death_of_one_leaves_the_other(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=[domain(5), domain(6)],
                 clean=True) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            s.enable_msix(6, [0, 1])
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            self.assertEqual(s.dev(DISK)["vectors"], 2)
            s.detach(6, DISK)

    def test_number_that_is_used_again(self):
        with Sim(clean=True) as s:
            for _ in range(3):
                s.connect()
                s.enable_msix(5, [0, 1])
                s.sim("domain-destroy", domid=5)
                s.wait_for("the number", lambda: not s.leaks()["domains"])
                s.sim("domain-create", domid=5, name="netvm")
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.release()

    def test_guest_destroyed_mid_attach(self):
        """At each call of an attach, before the call has its effect."""
        self.destroyed_at_each_call(lambda s: s.claim(),
                                    lambda s: s.attach(5, wait=2))

    def test_guest_destroyed_mid_detach(self):
        self.destroyed_at_each_call(lambda s: (s.connect(), s.enable_msix(5, [0, 1])),
                                    lambda s: s.detach(5))

    def destroyed_at_each_call(self, prepare, act):
        with Sim() as s:
            s.follow(5)
            prepare(s)
            s.clear_log()
            act(s)
            count = len(faultable(s.log()))
        self.assertGreater(count, 10)
        for nth in range(1, count + 1):
            with self.subTest(nth=nth), Sim(clean=True) as s:
                s.follow(5)
                prepare(s)
                s.settle()
                s.fault("*", nth=nth, action={"do": "domain-destroy", "domid": 5})
                try:
                    act(s)
                except RpcError as e:
                    self.assertTrue(e.data.get("reason"), e)
                s.sim("fault-clear")
                if any(not d["dying"] for d in s.leaks()["domains"]):
                    s.sim("domain-destroy", domid=5)  # merged reads: there was one call less
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.settle()


FAULTABLE = ("store_", "device_", "allow_", "map_", "unmap_", "msix_", "msi_", "port_", "page_",
             "domain_", "job_", "cycle_")


def faultable(log):
    return [e for e in log if e["call"].startswith(FAULTABLE) and not e["call"].endswith(".start")]


if __name__ == "__main__":
    unittest.main()
