# SPDX-License-Identifier: MIT
"""Claim and release: identity, refusals that change nothing, what a restart takes up again."""
import unittest

from simlib import *

OTHER = "0000:00:08.0"


def refused(case, s, code="refused", bdf=NIC, verb="claim", **more):
    with case.assertRaises(RpcError) as e:
        s.call(verb, dev=bdf, **more)
    case.assertEqual(e.exception.data["code"], code, e.exception)
    return e.exception.data


def untouched(case, s, bdf=NIC, driver="e1000e"):
    """As if nobody had asked: driver, owner, registers, nothing prepared."""
    dev = s.dev(bdf)
    case.assertEqual((dev["driver"], dev["owner"], dev["prepared"], dev["open"], dev["claimed"]),
                     (driver, 0, False, 0, False))
    case.assertEqual(s.state(bdf), "present")


def soon(s, state="claimed", bdf=NIC):
    """It is being worked on, and may not even be listed yet."""
    s.wait_for("%s to be %s" % (bdf, state), lambda: any(
        d["address"] == bdf and d["state"] == state for d in s.call("list")["devices"]))
    s.settle()


def listed(**more):
    return {"devices": [{"name": "nic0", "bdf": NIC, **more}]}


class Identity(unittest.TestCase):
    def test_a_mismatch_refuses_and_prints_both(self):
        for policy, text in (
                ({"vendor": "0x8086", "device": "0x10d4"},
                 "another device is there: 8086:10d3 instead of 8086:10d4"),
                ({"vendor": "0x10ec"}, "another device is there: 8086:10d3 instead of 10ec:10d3"),
                ({"subsystem_vendor": "0x1234"}, "subsystem "),
                ({"subsystem_device": "0x1234"}, ":1234"),
                ({"path": "0000:00:1c.0/05.0"},
                 "it sits at 0000:00:05.0 instead of 0000:00:1c.0/05.0")):
            with self.subTest(policy=policy), Sim(config=listed(**policy), clean=True) as s:
                s.settle()
                s.clear_log()
                for force in (False, True):
                    data = refused(self, s, force=force)
                    self.assertIn(text, data["reason"])
                    self.assertIn("devices", data["next"])
                self.assertEqual(s.log("job_claim.start", "cycle_write", "device_assign"), [])
                untouched(self, s)
                self.assertIn(text, s.show()["cause"])

    def test_what_is_true_is_claimed(self):
        with Sim(config=listed(vendor="0x8086", device="0x10d3", path=NIC), clean=True) as s:
            s.claim()
            self.assertEqual(s.state(), "claimed")

    def test_another_card_in_the_place_of_a_claimed_one(self):
        with Sim(devices=[device("e1000e")]) as s:
            s.claim()
            s.unplug()
            s.wait_for("absent", lambda: s.state() == "absent")
            s.plug(**{"as": device("rtl8139", NIC, driver="")})
            s.wait_for("present", lambda: s.state() == "present")
            data = refused(self, s)
            self.assertIn("10ec:8139 instead of 8086:10d3", data["reason"])
            self.assertIn("--force", data["next"])
            s.claim(force=True)
            self.assertEqual(s.state(), "claimed")
            s.release()

    def test_release_forgets_the_identity(self):
        with Sim(clean=True) as s:
            s.claim()
            s.release()
            s.unplug()
            s.plug(**{"as": device("rtl8139", NIC, driver="")})
            s.settle()
            s.claim()
            self.assertEqual(s.state(), "claimed")


class Refusals(unittest.TestCase):
    def test_H1_the_helpers_refusals_are_carried_on(self):
        """Pluggable ports, virtual functions, what the host lives on: unless forced."""
        for what, word in (({"port": "0000:00:1c.0"}, "0000:00:1c.0"),
                           ({"uses": ["root"], "uses_text": "/ is on nvme0n1p2"}, "nvme0n1p2"),
                           ({"virtual_functions": 2}, "virtual")):
            with self.subTest(what=what), Sim(devices=[device("e1000e", **what)],
                                              clean=True) as s:
                data = refused(self, s)
                self.assertIn(word, data["reason"])
                self.assertTrue(data["next"])
                untouched(self, s)
                self.assertIn(word, s.show()["cause"])
                s.claim(force=True)
                self.assertEqual(s.state(), "claimed")
                self.assertEqual(s.show()["cause"], "")
                s.release()

    def test_bridges_are_refused_before_anything_is_changed(self):
        with Sim(devices=[device("e1000e", patch=[[0x0A, 2, 0x0604]])]) as s:
            data = refused(self, s)
            self.assertIn("bridge", data["reason"])
            self.assertEqual(s.log("job_claim.start"), [])
            untouched(self, s)

    def test_already_claimed_is_success(self):
        with Sim(clean=True) as s:
            s.claim()
            s.clear_log()
            s.claim()
            s.claim(force=True)
            self.assertEqual(s.log("job_claim", "device_assign", "msix_prepare"), [])

    def test_a_failure_in_the_middle_leaves_it_as_it_was(self):
        for call, errno in (("job_claim", "EIO"), ("job_claim", "ETIMEDOUT"),
                            ("msix_prepare", "EIO")):
            with self.subTest(call=call), Sim(clean=True) as s:
                s.fault(call, errno)
                with self.assertRaises(RpcError):
                    s.claim()
                self.assertEqual(s.dev()["driver"], "e1000e")
                self.assertEqual(s.state(), "present")
                self.assertTrue(s.show()["cause"], "the cause stays")
                s.claim()
                self.assertEqual(s.show()["cause"], "")

    def test_absent(self):
        with Sim(clean=True) as s:
            data = refused(self, s, "not-found", OTHER)
            self.assertIn("no such device", data["reason"])
            self.assertNotIn(OTHER, [d["address"] for d in s.call("list")["devices"]])


class Release(unittest.TestCase):
    def test_reports_when_the_former_driver_is_not_back(self):
        with Sim() as s:
            s.claim()
            s.fault("job_release", "ENOENT")
            with self.assertRaises(RpcError) as e:
                s.release()
            self.assertEqual(e.exception.data["code"], "host-error")
            self.assertIn("former driver is not back", e.exception.data["reason"])
            self.assertTrue(e.exception.data["next"])
            self.assertEqual(s.state(), "present")
            self.assertIn("driver-lost", [r["code"] for r in s.call("why", dev=NIC)["reasons"]])

    def test_is_tried_again_until_the_former_driver_is_back(self):
        with Sim(clean=True) as s:
            s.claim()
            s.fault("job_release", "ENOENT", count=2)
            for _ in range(2):
                with self.assertRaises(RpcError) as e:
                    s.release()
                self.assertIn("former driver is not back", e.exception.data["reason"])
            s.clear_log()
            s.release()
            self.assertEqual((s.state(), s.show()["cause"]), ("present", ""))
            self.assertEqual(s.dev()["driver"], "e1000e")
            self.assertEqual([e["call"] for e in s.log("device_deassign", "job_release")],
                             ["job_release"])
            s.clear_log()
            s.release()
            self.assertEqual(s.log("job_release"), [], "nothing is left to give back")

    def test_of_one_whose_claim_was_undone_by_halves(self):
        with Sim(clean=True) as s:
            s.fault("msix_prepare", "EIO")
            s.fault("job_release", "ENOENT")
            with self.assertRaises(RpcError):
                s.claim()
            self.assertEqual(s.dev()["driver"], "pci-stub")
            s.release()
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_one_whose_driver_is_lost_may_be_claimed_again(self):
        with Sim(clean=True) as s:
            s.claim()
            s.fault("job_release", "ENOENT")
            with self.assertRaises(RpcError):
                s.release()
            s.claim()
            s.release()
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_of_one_that_is_gone_is_done(self):
        with Sim() as s:
            s.claim()
            s.unplug()
            s.wait_for("absent", lambda: s.state() == "absent")
            s.release()
            self.assertEqual(s.state(), "absent")

    def test_reset_of_one_that_is_gone_says_what_helps(self):
        with Sim(config={"devices": [{"bdf": OTHER}]}) as s:
            data = refused(self, s, "wrong-state", OTHER, verb="reset")
            self.assertIn("not in the machine", data["reason"])
            self.assertNotIn("claim DEVICE", data["next"])
            self.assertIn("lspci", data["next"])


class Restart(unittest.TestCase):
    def test_what_was_claimed_is_claimed_again(self):
        for kill in (False, True):
            with self.subTest(kill=kill), Sim(keep=True, clean=True) as s:
                s.claim()
                s.restart(kill=kill)
                soon(s)
                self.assertEqual(s.dev()["owner"], DOMID_IO)
                s.release()
                self.assertEqual(s.dev()["driver"], "e1000e", "the driver of before the restart")

    def test_errors_are_reported_to_the_host_again_after_release(self):
        """SERR and PARITY are off after a guest; what a restart finds is not what the host had."""
        with Sim(devices=[device("e1000e", patch=[[4, 2, 0x0147]])], keep=True, clean=True) as s:
            s.connect()
            s.detach(5)
            self.assertEqual(s.dev()["command"] & 0x147, 0)
            s.restart()
            soon(s)
            s.release()
            self.assertEqual(s.dev()["command"] & 0x147, 0x147)

    def test_also_what_had_to_be_forced(self):
        with Sim(devices=[device("e1000e", port="0000:00:1c.0")], keep=True, clean=True) as s:
            s.claim(force=True)
            s.restart()
            soon(s)

    def test_not_what_the_host_has_needed_since(self):
        with Sim(keep=True, violations=True) as s:
            s.claim()
            s.sim("set", deaf=True)
            s.sim("device-bind", device=NIC, driver="igb")
            s.restart(devices=[device("e1000e", uses=["route"])])
            s.wait_for("the refusal", lambda: s.show()["cause"])
            self.assertEqual(s.state(), "present")
            self.assertEqual(s.dev()["driver"], "igb")
            self.assertEqual(s.call("why", dev=NIC)["reasons"][0]["code"], "refused-claim")

    def test_not_what_was_released_or_what_another_boot_had(self):
        with Sim(keep=True, clean=True) as s:
            s.claim()
            s.release()
            s.restart()
            s.settle()
            self.assertEqual(s.dev()["driver"], "e1000e")
            s.claim()
            s.reboot()
            s.settle()
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_the_configurations_identity_holds_for_it_too(self):
        with Sim(keep=True) as s:
            s.claim()
            s.config["devices"] = [{"bdf": NIC, "device": "0x10d4"}]
            s.restart()
            s.wait_for("the refusal", lambda: "8086:10d3" in s.show()["cause"])
            self.assertEqual(s.state(), "present")

    def test_one_that_a_guest_has_from_before_is_claimed_when_that_ends(self):
        for config, force in (({}, False), ({"slots": [NIC]}, False), ({}, True)):
            with self.subTest(config=config, force=force), Sim(keep=True) as s:
                s.scenario["devices"] = [device("e1000e", **({"uses": ["root"]} if force else {}))]
                s.restart()
                s.claim(force=force)
                s.follow(5)
                s.attach(5, wait=5)
                s.settle()
                s.config.update(config)
                os.unlink(os.path.join(s.config["state_dir"], "journal"))  # else it is adopted
                s.restart()
                s.wait_for("it", lambda: NIC in str(s.call("list")))
                s.settle()
                self.assertEqual(s.state(), "present")
                self.assertEqual(s.call("why", dev=NIC)["reasons"][0]["code"], "owned-before")
                self.assertEqual(s.log("cycle_write", "job_claim.start"), [], "it is not touched")
                for verb in (lambda: s.detach(5, NIC), lambda: s.call("release", dev=NIC)):
                    with self.assertRaises(RpcError) as e:
                        verb()
                    self.assertIn("from before this daemon started", e.exception.data["reason"])
                self.assertEqual(s.dev()["owner"], 5)
                s.sim("domain-destroy", domid=5)
                soon(s)

    def test_the_verb_for_such_a_device_fails_for_good(self):
        with Sim(clean=True) as s:
            s.fault("device_test", "EBUSY")
            data = refused(self, s, "wrong-state")
            self.assertIn("a guest has it", data["reason"])
            untouched(self, s)
            s.sim("domain-destroy", domid=5)
            s.settle()
            untouched(self, s)

    def test_what_a_slot_lists_too_is_claimed_once(self):
        with Sim(config={"slots": [NIC]}, keep=True) as s:
            soon(s)
            s.restart()
            soon(s)
            self.assertEqual(s.state(), "claimed")
            self.assertNotIn("under way", s.stderr())

    def test_the_list_cannot_be_read(self):
        with Sim(config={"slots": [NIC]}, scenario={"job_delay_ms": 100}, keep=True) as s:
            soon(s)
            s.restart(job_delay_ms=300)
            s.fault("job_remembered", "EIO")
            soon(s)
            s.claim()
            self.assertEqual(s.state(), "claimed", "its slot is claimed all the same")


if __name__ == "__main__":
    unittest.main()
