# SPDX-License-Identifier: MIT
"""xl mode where it ends: guests and devices that are somebody else's, limits, a guest in silence, a
driver that comes between, steps that fail."""
import unittest

from xllib import *


class NotServed(unittest.TestCase):
    def refused(self, s, bdf, reason, domid=5):
        s.wait_for("the refusal", lambda: s.state_of(bdf, domid) == CLOSED)
        self.assertIn(reason, s.error(bdf.replace(":", "-").replace(".", "-"), domid))

    def test_a_device_that_a_guest_of_ours_has(self):
        with Xl(devices=eight(), domains=[domain(5), domain(6)]) as s:
            s.connect(6, s.bdfs[0])
            s.assignable(s.bdfs[1])
            s.create(5, s.bdfs[1])
            s.connected()
            # somebody else writes what libxl would not: Xen says who has it
            s.write_node(s.xbe(5, "key-1"), s.bdfs[0])
            s.write_node(s.xbe(5, "dev-1"), s.bdfs[0])
            s.write_node(s.xbe(5, "state-1"), 1)
            s.write_node(s.xbe(5, "num_devs"), 2)
            self.refused(s, s.bdfs[0], "domain 6 (guest6) has it")
            self.assertEqual(s.config_read(6, 0), 0x10D38086)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_a_device_that_failed(self):
        devices = eight()
        config = {"devices": [{"bdf": devices[0]["bdf"], "driver": "pciback",
                               "reset": "required"}]}
        with Xl(devices=devices, config=config) as s:
            s.claim(s.bdfs[0])
            s.fault("job_reset", "EIO")
            with self.assertRaises(RpcError):
                s.call("reset", dev=s.bdfs[0])
            self.assertEqual(s.state(s.bdfs[0]), "failed")
            s.add(5, s.bdfs[0], starting=True, unchecked=True)
            s.follow(5)
            self.refused(s, s.bdfs[0], "the device failed")

    def test_the_limit_of_guests_is_told_once(self):
        with Xl(devices=eight(), domains=[domain(5), domain(6), domain(7)],
                config={"limits": {"guests": 1}}) as s:
            s.assignable()
            s.create(5, s.bdfs[0])
            s.connected()
            s.create(6, s.bdfs[1])
            s.create(7, s.bdfs[2])
            s.wait_for("the warning", lambda: "limits.guests is 1" in s.stderr())
            s.settle()
            self.assertEqual(s.stderr().count("limits.guests is 1"), 1)
            self.assertEqual((s.xstate(6), s.dev(s.bdfs[1])["open"]), (1, 0))
            # there is a place now: it is served without another word of xl's
            s.xl("destroy", 5)
            s.gone(5)
            s.connected(6)

    def test_our_own_guests_count_for_the_limit(self):
        with Xl(devices=eight(), domains=[domain(5), domain(6)],
                config={"limits": {"guests": 1}}) as s:
            s.connect(6, s.bdfs[0])
            s.assignable(s.bdfs[1])
            s.create(5, s.bdfs[1])
            s.wait_for("the reason", lambda: "limits.guests is reached" in s.stderr())
            self.assertEqual((s.xstate(), s.dev(s.bdfs[1])["open"]), (1, 0))

    def test_a_frontend_of_another_backend(self):
        with Xl() as s:
            s.assignable(NIC)
            s.sim("store-hold", on=True)
            s.create(5, NIC, follow=False)
            s.write_node(s.fe(5, "backend"), "/local/domain/3/backend/pci/5/0")
            s.sim("store-hold", on=False)
            s.wait_for("the reason", lambda: "another backend serves its frontend: "
                       "/local/domain/3/backend/pci/5/0" in s.stderr())
            self.assertEqual((s.node("state"), s.dev()["open"]), ("1", 0))

    def test_an_answer_about_the_kernel_that_does_not_come_is_asked_again(self):
        with Xl() as s:
            s.assignable(NIC)
            s.fault("job_kernel_stays_away", "EIO", count=3)
            s.create(5, NIC)
            s.connected()
            self.assertIn("is the kernel's backend away?", s.stderr())


class Devices(unittest.TestCase):
    def test_what_only_advises_is_told(self):
        """xl has no --force."""
        with Xl(config={"devices": [{"bdf": NIC, "assign": "warn"}]}) as s:
            s.running(NIC)
            self.assertIn("although the configuration warns of that", s.stderr())

    def test_what_a_quirk_warns_of_is_told(self):
        with Xl(quirks=[{"id": "hot", "device": {"assign": "warn"}}]) as s:
            s.running(NIC)
            self.assertIn("although quirk hot warns of that", s.stderr())

    def test_a_guest_in_silence_loses_by_force_what_xl_takes(self):
        """H7: xl has revoked in Xen already; the deadline is ours, so xl's own does not pass."""
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            s.follow(5, on=False)
            answer = s.remove(5, s.bdfs[0], poll_ms=30)
            self.assertIn("does not let go; taking it by force", s.stderr())
            s.wait_for("the device", lambda: s.state(s.bdfs[0]) == "present")
            self.assertTrue(s.show(s.bdfs[0])["tainted"], answer)
            s.back(s.bdfs[0])
            self.assertEqual(s.dev(s.bdfs[0])["vectors"], 0)

    def test_an_unplug_before_any_frontend_was_connected(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            s.create(5, *s.bdfs[:2], follow=False)
            s.wait_for("both", lambda: s.state_of(s.bdfs[1]) == 3)
            s.write_node(s.xbe(5, "state-0"), 5)
            s.wait_for("the device", lambda: s.state(s.bdfs[0]) == "present")
            self.assertFalse(s.show(s.bdfs[0])["tainted"], "nobody has ever seen it")
            s.back(s.bdfs[0])
            s.follow(5)
            s.wait_for("the other", lambda: s.fe_state(5) == CONNECTED)
            self.assertEqual(s.state(s.bdfs[1]), "assigned")

    def test_a_driver_of_the_hosts_that_came_between(self):
        """It is not reset under its feet."""
        with Xl(violations=True) as s:
            s.running(NIC)
            s.sim("device-bind", device=NIC, driver="e1000e")
            resets = s.dev()["resets"]
            s.xl("destroy", poll_ms=1)
            s.wait_for("the end", lambda: s.state() == "failed")
            self.assertIn("driver \"e1000e\" took it from pciback", s.show()["cause"])
            self.assertFalse([e for e in s.log("job_reset")], s.dev()["resets"] - resets)

    def test_vectors_that_xen_keeps_make_it_fail(self):
        with Xl(violations=True) as s:
            s.running(NIC)
            self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
            s.fault("unmap_pirq", "EBUSY", count=100)
            s.remove(5, NIC, poll_ms=2)
            s.wait_for("the end", lambda: s.state() == "failed")
            self.assertIn("interrupts of it mapped", s.show()["cause"])
            s.sim("fault-clear")


class Steps(unittest.TestCase):
    def test_each_job_and_call_of_an_attach_fails_once(self):
        """The entry says so, nothing of it stays, and the next one works."""
        for call in ("job_open", "cycle_read", "cycle_write", "domain_get"):
            for nth in (1, 2, 3):
                with self.subTest(call=call, nth=nth), Xl(devices=eight()) as s:
                    s.running(s.bdfs[0])
                    s.assignable(s.bdfs[1])
                    s.fault(call, "EIO", nth=nth)
                    s.add(5, s.bdfs[1])
                    s.wait_for("an end", lambda s=s: s.state_of(s.bdfs[1]) in (3, CLOSED))
                    s.settle()
                    s.sim("fault-clear")
                    self.assertEqual(s.config_read(5, 0), 0x10D38086)
                    self.assertEqual(s.dev(s.bdfs[1])["open"],
                                     1 if s.state_of(s.bdfs[1]) == 3 else 0)


if __name__ == "__main__":
    unittest.main()
