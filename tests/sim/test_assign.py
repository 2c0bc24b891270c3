# SPDX-License-Identifier: MIT
"""Devices that a guest gets by its name, whenever it appears."""
import unittest

from simlib import *

NIC2 = "0000:00:05.1"


def assigned(*pairs, **more):
    """A configuration in which each guest has these devices."""
    return {"assignments": [{"guest": g, "devices": list(d)} for g, d in pairs], **more}


def both():
    return [device("e1000e"), device("nvme")]


def state(s, bdf=NIC):
    """Also of a device that nobody has spoken of yet."""
    try:
        return s.state(bdf)
    except RpcError:
        return "unlisted"


class Assign(unittest.TestCase):
    def has(self, s, domid, bdf=NIC, timeout=5):
        s.wait_for("%s at %d" % (bdf, domid), lambda: state(s, bdf) == "assigned" and
                   s.dev(bdf)["owner"] == domid, timeout)

    def text(self, s, domid=5):
        return [g for g in s.call("guests")["guests"] if g["domid"] == domid][0]["assignment"]

    def told(self, s, text):
        s.wait_for(text, lambda: text in s.stderr())

    def test_guest_that_is_there_already(self):
        with Sim(devices=both(), config=assigned(("netvm", [NIC, DISK]))) as s:
            self.has(s, 5, NIC)
            self.has(s, 5, DISK)
            # in the order of the configuration
            self.assertEqual(s.read_node(s.be(5, "dev-0")), NIC)
            self.assertEqual(s.read_node(s.be(5, "vdev-1")), "0000:00:01.00")
            self.assertEqual(self.text(s), "done")
            s.follow(5)
            s.wait_for("connection", lambda: s.be_state(5) == 4)

    def test_slot_of_the_same_device_is_nothing_to_warn_of(self):
        with Sim(config=assigned(("netvm", ["nic0"]), slots=[NIC], devices=[
                {"name": "nic0", "bdf": NIC, "vendor": "0x8086", "device": "0x10d3"}])) as s:
            self.has(s, 5)
            self.assertNotIn("assignment to", s.stderr())

    def test_guest_that_appears_and_is_rebooted(self):
        with Sim(domains=[domain(3)], config=assigned(("netvm", ["nic0"]), devices=[
                {"name": "nic0", "bdf": NIC}])) as s:
            s.sim("domain-create", domid=5, name="other")
            s.settle()
            self.assertNotEqual(state(s), "assigned")
            for domid in (6, 7, 9):
                s.sim("domain-create", domid=domid, name="netvm")
                s.follow(domid)
                self.has(s, domid)
                s.settle()
                s.sim("domain-destroy", domid=domid)
            s.wait_for("the device", lambda: state(s) == "claimed")
            s.assert_clean()

    def test_what_the_operator_detaches_stays_detached(self):
        with Sim(config=assigned(("netvm", [NIC]))) as s:
            self.has(s, 5)
            s.detach(5)
            s.sim("domain-create", domid=8, name="another")
            s.settle()
            time.sleep(0.1)
            self.assertEqual(state(s), "claimed")
            s.sim("domain-destroy", domid=5)
            s.sim("domain-create", domid=6, name="netvm")
            self.has(s, 6)

    def card(self):
        """Two functions of one card that the IOMMU cannot tell apart."""
        first = device("e1000e", neighbours=[{"bdf": NIC2, "shares": ["requester"]}])
        second = moved(device("e1000e"), NIC2)
        second["neighbours"] = [{"bdf": NIC, "shares": ["requester"]}]
        return [first, second]

    def test_h12_both_functions_of_a_card(self):
        """They are claimed before the first is attached."""
        with Sim(devices=self.card(), config=assigned(("netvm", [NIC, NIC2]))) as s:
            self.has(s, 5, NIC)
            self.has(s, 5, NIC2)
            self.assertEqual(s.read_node(s.be(5, "dev-0")), NIC)
            self.assertFalse("refused" in s.stderr(), s.stderr())

    def test_h12_a_neighbour_that_is_late_is_waited_for(self):
        with Sim(devices=self.card(), config=assigned(("netvm", [NIC, NIC2])), start=False) as s:
            s.scenario["do"] = [{"do": "fault", "call": "job_claim", "nth": 2, "count": 2,
                              "errno": "EIO"}]
            s.start()
            self.told(s, "tried again when the other one is there")
            self.has(s, 5, NIC)
            self.has(s, 5, NIC2)

    def test_h12_a_neighbour_that_is_refused_is_not_waited_for(self):
        devices = self.card()
        devices[1]["uses"] = ["root"]
        with Sim(devices=devices, config=assigned(("netvm", [NIC, NIC2]))) as s:
            self.told(s, NIC2 + " refused")
            self.told(s, NIC + " refused")
            self.assertEqual(state(s), "claimed")

    def test_what_may_pass_is_tried_again(self):
        with Sim(scenario={}, config=assigned(("netvm", [NIC])), domains=[domain(3)]) as s:
            s.wait_for("the start", lambda: s.alive())
            s.fault("device_assign", "EIO", nth=2)  # the first is its quarantine
            s.sim("domain-create", domid=5, name="netvm")
            self.has(s, 5)
            self.told(s, "tried again")
            self.assertEqual(self.text(s), "done")

    def test_pauses_grow(self):
        with Sim(config=assigned(("netvm", ["0000:00:1f.0"]))) as s:
            self.told(s, "waits")
            started = time.monotonic()
            tries = set()
            while time.monotonic() - started < 3.6:
                tries.add(len([e for e in s.log() if e["call"].startswith("job_") and
                               e.get("device") == "0000:00:1f.0" and
                               e["call"].endswith(".start")]))
                time.sleep(0.05)
            self.assertEqual(s.stderr().count("waits"), 1, "told once")
            self.assertLessEqual(len(tries), 4)

    def test_refusal_ends_it_until_the_guest_starts_anew(self):
        with Sim(domains=[domain(5, "netvm", passthrough=False)],
                 config=assigned(("netvm", [NIC]))) as s:
            self.told(s, "without an IOMMU context")
            assigns = len(s.log("device_assign"))
            time.sleep(1.3)
            s.sim("domain-create", domid=8, name="another")
            s.settle()
            self.assertEqual(len(s.log("device_assign")), assigns, "it is not tried again")
            self.assertEqual(s.stderr().count("not tried again"), 1)
            s.sim("domain-destroy", domid=5)
            s.sim("domain-create", domid=6, name="netvm")
            self.has(s, 6)

    def test_device_that_is_plugged_in_later(self):
        for how in ({"devices": [{"name": "nic0", "bdf": NIC}]}, {"slots": [NIC]}, {}):
            with self.subTest(how), Sim(config=assigned(
                    ("netvm", ["nic0" if "devices" in how else NIC]), **how), start=False) as s:
                s.scenario["devices"] = [device("e1000e", present=False)]
                s.start()
                self.told(s, "waits")
                time.sleep(1.2)  # the pauses have grown: it is the event that counts
                s.plug(NIC)
                self.has(s, 5, timeout=1.4)

    def test_device_that_another_guest_has(self):
        with Sim(domains=[domain(3, "first")], config=assigned(("netvm", [NIC]))) as s:
            s.claim()
            s.attach(3)
            s.sim("domain-create", domid=5, name="netvm")
            self.told(s, "domain 3 (first) has it")
            s.detach(3)
            self.has(s, 5)

    def test_two_domains_of_one_name(self):
        with Sim(domains=[domain(5, "netvm"), domain(6, "netvm")],
                 config=assigned(("netvm", [NIC]))) as s:
            self.told(s, "domains 5 and 6 both have this name")
            with self.assertRaises(RpcError) as e:
                s.attach("netvm", NIC, claim=True)
            self.assertEqual(e.exception.data["code"], "refused")
            for domid in ("5", "6"):
                self.assertIn(domid, e.exception.data["reason"])
            self.assertNotEqual(state(s), "assigned")
            s.sim("domain-destroy", domid=5)
            self.has(s, 6)

    def test_domain_that_vanishes_in_the_middle(self):
        calls = ("job_claim", "job_reset", "device_test", "device_assign", "allow_memory")
        for call in calls:
            with self.subTest(call), Sim(domains=[domain(3)],
                                         config=assigned(("netvm", [NIC]))) as s:
                s.fault(call, action={"do": "domain-destroy", "domid": 5})
                s.sim("domain-create", domid=5, name="netvm")
                s.wait_for("its end", lambda: s.log("world.domain_gone"))
                s.wait_for("the device", lambda: state(s) == "claimed")
                s.assert_clean()
                s.sim("domain-create", domid=6, name="netvm")
                self.has(s, 6)

    def test_reload_adds_and_removes_and_never_detaches(self):
        with Sim(devices=both(), domains=[domain(5, "netvm"), domain(6, "diskvm")],
                 config=assigned(("netvm", [NIC]))) as s:
            self.has(s, 5)
            s.config["assignments"] = [{"guest": "diskvm", "devices": [DISK]}]
            s.write_config()
            s.reload()
            self.has(s, 6, DISK)
            self.assertEqual(s.state(NIC), "assigned", "a removed entry takes nothing")
            self.assertEqual(self.text(s), "")
            s.detach(6, DISK)
            s.reload()
            s.settle()
            self.assertEqual(s.state(DISK), "claimed", "what is done stays done")
            # the removed one does not come back with the guest
            s.sim("domain-destroy", domid=5)
            s.sim("domain-create", domid=7, name="netvm")
            s.settle()
            time.sleep(0.1)
            self.assertEqual(s.state(NIC), "claimed")
            # and an entry that is removed while it waits is not tried any more
            s.config["assignments"] = [{"guest": "netvm", "devices": ["0000:00:1e.0"]}]
            s.write_config()
            s.reload()
            self.told(s, "0000:00:1e.0 waits")
            s.config["assignments"] = []
            s.write_config()
            s.reload()
            s.settle()

    def test_entry_removed_while_its_attach_is_under_way(self):
        with Sim(scenario={"job_delay_ms": 150}, domains=[domain(3)],
                 config=assigned(("netvm", [NIC]))) as s:
            s.sim("domain-create", domid=5, name="netvm")
            s.wait_for("its attach", lambda: s.log("job_reset.start"))
            s.config["assignments"] = []
            s.write_config()
            s.reload()
            self.has(s, 5)
            self.assertEqual(self.text(s), "")

    def test_entry_removed_while_its_claim_is_under_way(self):
        with Sim(scenario={"job_delay_ms": 150}, domains=[domain(3)],
                 config=assigned(("netvm", [NIC])), clean=True) as s:
            s.sim("domain-create", domid=5, name="netvm")
            s.wait_for("its claim", lambda: s.log("job_claim.start"))
            s.config["assignments"] = []
            s.write_config()
            s.reload()
            s.wait_for("the claim", lambda: state(s) == "claimed")
            s.settle()
            self.assertEqual(s.log("job_reset.start"), [])

    def test_one_device_that_fails_does_not_stop_the_others(self):
        with Sim(devices=both(), config=assigned(("netvm", ["0000:00:1f.0", DISK, NIC]))) as s:
            self.has(s, 5, NIC)
            self.has(s, 5, DISK)
            self.assertIn("0000:00:1f.0 waits", self.text(s))

    def test_hvm_guest_is_refused_once(self):
        with Sim(domains=[domain(5, "netvm", hvm=True)], config=assigned(("netvm", [NIC]))) as s:
            self.told(s, "HVM")
            self.assertEqual(s.log("job_claim"), [], "nothing is claimed for it")
            s.settle()
            self.assertEqual(s.stderr().count("HVM"), 1)

    def test_daemon_that_ends_meanwhile(self):
        with Sim(scenario={"job_delay_ms": 300}, config=assigned(("netvm", [NIC]))) as s:
            s.wait_for("its claim", lambda: s.log("job_claim.start"))

    def test_xenstored_that_was_away(self):
        with Sim(domains=[domain(3)], config=assigned(("netvm", [NIC]))) as s:
            s.sim("store-kill")
            time.sleep(0.1)
            s.sim("store-return", keep=True)
            s.sim("domain-create", domid=5, name="netvm")
            self.has(s, 5, timeout=10)


if __name__ == "__main__":
    unittest.main()
