# SPDX-License-Identifier: MIT
"""What happens to devices by other hands, resets by the verb, neighbours: hazards H1 and H12."""
import unittest

from simlib import *

NIC2 = "0000:00:05.1"
MASTER = 4


def bind(s, driver, bdf=NIC):
    s.sim("device-bind", device=bdf, driver=driver)


def codes(s, bdf=NIC):
    return [r["code"] for r in s.call("why", dev=bdf)["reasons"]]


def becomes(s, state, bdf=NIC):
    s.wait_for("%s to be %s" % (bdf, state), lambda: s.state(bdf) == state)
    s.settle()


def fails(case, code, call, *arguments, **more):
    with case.assertRaises(RpcError) as e:
        call(*arguments, **more)
    case.assertEqual(e.exception.data["code"], code, e.exception)
    case.assertTrue(e.exception.data["next"], e.exception)
    return e.exception.data["reason"]


# A thief binds a driver to a device that is not the host's: a violation, but not the daemon's.
THIEF = {"violations": True}


# How a device gets into each state; the scenario lists it, so that it is known when it is absent.
def absent(s):
    s.unplug()
    becomes(s, "absent")


def present(s):
    becomes(s, "present")


def claimed(s):
    s.claim()


def assigned(s):
    s.connect()


def failed(s):
    s.claim()
    s.sim("device-set", device=NIC, dead=True)
    try:
        s.call("reset", dev=NIC)
    except RpcError:
        pass
    becomes(s, "failed")
    s.sim("device-set", device=NIC, dead=False)


def gone(s):
    s.unplug()


def other(s):
    s.sim("set", deaf=True)
    s.unplug()
    s.plug(**{"as": device("rtl8139", NIC, driver="")})
    s.sim("set", deaf=False)
    s.sim("uevent", what="lost")


def echo(what):
    def event(s):
        s.sim("uevent", what=what, device=NIC, driver="e1000e")
    event.__name__ = what
    return event


def unbound(s):
    bind(s, "")


def taken(s):
    bind(s, "e1000e")


# state: what happens: what it is then. Echoes change nothing: nothing has happened.
TABLE = {
    absent: {echo("add"): "absent", echo("remove"): "absent", echo("bind"): "absent",
             echo("unbind"): "absent", echo("lost"): "absent"},
    present: {echo("add"): "present", gone: "absent", unbound: "present", taken: "present",
              echo("bind"): "present", echo("unbind"): "present", echo("lost"): "present",
              other: "present"},
    claimed: {echo("add"): "claimed", gone: "absent", unbound: "claimed", taken: "failed",
              echo("bind"): "claimed", echo("unbind"): "claimed", echo("lost"): "claimed",
              other: "present"},
    assigned: {echo("add"): "assigned", gone: "absent", unbound: "assigned", taken: "assigned",
               echo("bind"): "assigned", echo("unbind"): "assigned", echo("lost"): "assigned"},
    failed: {echo("add"): "failed", gone: "absent", unbound: "failed", taken: "failed",
             echo("bind"): "failed", echo("unbind"): "failed", echo("lost"): "failed",
             other: "present"},
}


class Events(unittest.TestCase):
    def test_each_state_and_each_event(self):
        for before, events in TABLE.items():
            for event, after in events.items():
                with self.subTest(state=before.__name__, event=event.__name__), \
                        Sim(config={"devices": [{"bdf": NIC}]},
                            violations=event is taken) as s:
                    becomes(s, "present")
                    before(s)
                    s.settle()
                    event(s)
                    s.settle()
                    becomes(s, after)
                    s.call("why", dev=NIC)
                    if after == "claimed":
                        self.assertEqual(s.dev()["driver"], "pci-stub")
                        self.assertEqual(s.dev()["owner"], DOMID_IO)

    def test_lost_finds_what_was_missed(self):
        with Sim(config={"slots": [NIC]}, clean=True) as s:
            s.wait_for("it", lambda: NIC in str(s.call("list")))
            becomes(s, "claimed")
            s.sim("set", deaf=True)
            s.unplug()
            s.settle()
            self.assertEqual(s.state(), "claimed")
            s.sim("set", deaf=False)
            s.sim("uevent", what="lost")
            becomes(s, "absent")
            s.sim("set", deaf=True)
            s.plug()
            s.sim("set", deaf=False)
            s.settle()
            self.assertEqual(s.state(), "absent")
            s.sim("uevent", what="lost")
            becomes(s, "claimed")

    def test_a_device_that_comes_back_is_claimed_from_the_beginning(self):
        with Sim(config={"slots": [NIC]}, clean=True) as s:
            s.wait_for("it", lambda: NIC in str(s.call("list")))
            becomes(s, "claimed")
            for _ in range(3):
                s.unplug()
                becomes(s, "absent")
                self.assertEqual(s.dev()["open"], 0)
                s.clear_log()
                s.plug()
                becomes(s, "claimed")
                self.assertEqual(len(s.log("msix_prepare")), 1)
            s.follow(5)
            s.attach(5, wait=5)
            s.detach(5)

    def test_events_of_our_own_doing_are_none(self):
        with Sim(clean=True) as s:
            for _ in range(3):
                s.claim()
                s.settle()
                s.connect()
                s.detach(5)
                s.settle()
                self.assertEqual(s.state(), "claimed")
                s.release()
                s.settle()
                self.assertEqual(s.state(), "present")
            self.assertNotIn("stolen", s.stderr())
            self.assertNotIn("unbound", s.stderr())

    def test_unbound_twice_is_failed(self):
        with Sim() as s:
            s.claim()
            s.settle()
            unbound(s)
            s.wait_for("the driver", lambda: s.dev()["driver"] == "pci-stub")
            s.settle()
            self.assertEqual(s.state(), "claimed")
            unbound(s)
            becomes(s, "failed")
            self.assertIn("again and again", s.show()["cause"])
            s.call("reset", dev=NIC)
            self.assertEqual((s.state(), s.dev()["driver"]), ("claimed", "pci-stub"))

    def test_stolen_says_by_whom_and_reset_takes_it_back(self):
        with Sim(clean=True, **THIEF) as s:
            s.claim()
            s.settle()
            taken(s)
            becomes(s, "failed")
            self.assertEqual(s.show()["cause"], "stolen: driver e1000e has it")
            self.assertEqual(codes(s)[0], "stolen")
            fails(self, "wrong-state", s.attach, 5)
            s.call("reset", dev=NIC)
            self.assertEqual((s.state(), s.dev()["driver"]), ("claimed", "pci-stub"))
            s.connect()
            s.detach(5)

    def test_a_driver_whose_probe_fails_is_no_thief(self):
        """Its name is there while its probe runs."""
        with Sim(clean=True, **THIEF) as s:
            s.claim()
            s.settle()
            taken(s)
            s.settle()
            unbound(s)
            s.wait_for("the driver", lambda: s.dev()["driver"] == "pci-stub")
            s.settle()
            self.assertEqual(s.state(), "claimed")
            self.assertNotIn("stolen", s.stderr())

    def test_what_is_unbound_and_does_not_come_back_was_not_stolen(self):
        with Sim() as s:
            s.claim()
            s.settle()
            s.fault("job_claim", "EIO")
            unbound(s)
            becomes(s, "failed")
            self.assertIn("does not get it back", s.show()["cause"])
            self.assertEqual(codes(s)[0], "claim-failed")

    def test_stolen_from_a_guest_is_taken_back_afterwards(self):
        with Sim(clean=True, **THIEF) as s:
            s.connect()
            taken(s)
            s.settle()
            self.assertEqual(s.state(), "assigned")
            self.assertIn("e1000e", s.show()["cause"])
            s.detach(5)
            self.assertEqual((s.state(), s.dev()["driver"]), ("claimed", "pci-stub"))

    def test_an_unknown_devices_events_are_nothing(self):
        with Sim(clean=True) as s:
            for what in ("add", "remove", "bind", "unbind"):
                s.sim("uevent", what=what, device="0000:77:00.0")
            s.settle()
            self.assertEqual(s.call("list")["devices"], [])


class H1(unittest.TestCase):
    def test_h1_removed_without_interrupts_it_is_taken_from_its_guest(self):
        with Sim(clean=True) as s:
            s.connect()
            s.unplug()
            becomes(s, "absent")
            self.assertEqual(s.call("guests")["guests"], [])

    def test_h1_removed_with_interrupts_they_are_never_unmapped(self):
        """The simulator calls unmapping them a violation: it would crash the host."""
        with Sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            mapped = {e["pirq"] for e in s.log("map_msi")}
            self.assertEqual(len(mapped), 2)
            s.unplug()
            becomes(s, "failed")
            self.assertIn("the host crashes", s.show()["cause"])
            self.assertIn("domain 5", s.show()["cause"])
            self.assertEqual(codes(s)[0], "removed-in-use")
            s.clear_log()
            self.assertNotEqual(s.disable_msix(5)["err"], 0)
            self.assertIn("the host crashes", fails(self, "refused", s.detach, 5))
            self.assertEqual(s.config_read(5, 0), 0xFFFFFFFF)
            s.sim("domain-destroy", domid=5)
            becomes(s, "absent")
            self.assertFalse(mapped & {e["pirq"] for e in s.log("unmap_pirq")})

    def test_h1_removed_while_a_verb_has_it(self):
        for verb in ("attach", "detach", "release", "reset", "claim"):
            with self.subTest(verb=verb), Sim(scenario={"job_delay_ms": 80}) as s:
                s.follow(5)
                if verb != "claim":
                    s.claim()
                if verb == "detach":
                    s.attach(5, wait=5)
                    s.settle()
                s.clear_log()
                params = {"guest": "5"} if verb in ("attach", "detach") else {}
                serial = s.rpc.start(verb, dev=NIC, **params)
                s.wait_for("a job", lambda: any(e["call"].endswith(".start") for e in s.log()))
                s.unplug()
                try:
                    s.rpc.finish(serial)
                except RpcError:
                    pass
                s.settle()
                states = {d["address"]: d["state"] for d in s.call("list")["devices"]}
                self.assertEqual(states.get(NIC, "absent"), "absent")
                self.assertEqual(s.dev()["open"], 0)
                s.plug()
                s.settle()
                s.claim()
                self.assertEqual(s.state(), "claimed")


class Replug(unittest.TestCase):
    def test_while_it_is_claimed(self):
        """At whichever moment: in the end it is claimed, by a descriptor of the one that is there."""
        for after_ms in range(0, 260, 20):
            with self.subTest(after_ms=after_ms), Sim(scenario={"job_delay_ms": 80}) as s:
                serial = s.rpc.start("slot.add", address=NIC)
                time.sleep(after_ms / 1000)
                s.unplug()
                s.plug()
                try:
                    s.rpc.finish(serial)
                except RpcError:
                    s.settle()
                    s.call("slot.add", address=NIC)
                s.settle()
                becomes(s, "claimed")
                s.follow(5)
                s.attach(5, wait=5)
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
                s.detach(5)
                s.assert_clean()

    def test_removed_while_it_is_claimed(self):
        for after_ms in range(0, 260, 20):
            with self.subTest(after_ms=after_ms), \
                    Sim(scenario={"job_delay_ms": 80}, config={"devices": [{"bdf": NIC}]}) as s:
                serial = s.rpc.start("claim", dev=NIC)
                time.sleep(after_ms / 1000)
                s.unplug()
                try:
                    s.rpc.finish(serial)
                except RpcError:
                    pass
                becomes(s, "absent")
                s.assert_clean()


class Reset(unittest.TestCase):
    def test_of_a_claimed_device(self):
        with Sim(clean=True) as s:
            s.claim()
            s.sim("device-set", device=NIC, forgets=True)
            s.clear_log()
            s.call("reset", dev=NIC)
            assert_order(s.log(), command_write(clear=MASTER), "job_reset",
                         {"call": "cycle_write", "offset": 0x10},
                         {"call": "device_assign", "domid": DOMID_IO})
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            self.assertEqual(s.dev()["command"] & 7, 0, "decode and bus mastering stay off")

    def test_bad_states(self):
        with Sim(config={"devices": [{"bdf": NIC}, {"bdf": DISK}]}) as s:
            becomes(s, "present")
            fails(self, "wrong-state", s.call, "reset", dev=NIC)
            fails(self, "wrong-state", s.call, "reset", dev=DISK)
            fails(self, "not-found", s.call, "reset", dev="0000:77:00.0")
            s.connect()
            self.assertIn("domain 5", fails(self, "wrong-state", s.call, "reset", dev=NIC))
            self.assertEqual(s.state(), "assigned")
            s.detach(5)

    def test_without_a_method_nothing_is_touched(self):
        for more, config in (({"reset": ""}, {}),
                             ({}, {"devices": [{"bdf": NIC, "reset": "none"}]})):
            with self.subTest(more=more), Sim(devices=[device("e1000e", **more)], config=config,
                                              clean=True) as s:
                s.claim()
                s.clear_log()
                fails(self, "refused", s.call, "reset", dev=NIC)
                self.assertEqual(s.log("job_reset.start", "cycle_write"), [])
                self.assertEqual(s.state(), "claimed")

    def test_what_differs_afterwards_is_failed_and_stays_in_quarantine(self):
        for patch, text in (([0x00, 4, 0x10D48086], "8086:10d4 instead of 8086:10d3"),
                            ([0x34, 1, 0xD0], "capability"), ([0xC8, 2, 0x0001], "capability")):
            with self.subTest(patch=patch), Sim() as s:
                s.claim()
                s.sim("device-set", device=NIC, after_reset=[patch])
                with self.assertRaises(RpcError) as e:
                    s.call("reset", dev=NIC)
                self.assertIn(text, e.exception.data["reason"])
                self.assertEqual(s.state(), "failed")
                self.assertIn(text, s.show()["cause"])
                self.assertEqual(codes(s)[0], "reset-changed-it")
                self.assertEqual(s.dev()["owner"], DOMID_IO)
                fails(self, "wrong-state", s.attach, 5)

    def test_also_between_two_guests(self):
        with Sim() as s:
            s.connect()
            s.sim("device-set", device=NIC, after_reset=[[0x00, 4, 0x10D48086]])
            s.detach(5)
            self.assertEqual(s.state(), "failed")
            self.assertIn("instead of 8086:10d3", s.show()["cause"])

    def test_also_one_that_the_guest_asked_for(self):
        with_flr = device("e1000e", patch=[[0xE4, 4, 0x10008000], [0xD2, 2, 0x8A]])
        with Sim(devices=[with_flr]) as s:
            s.connect()
            s.sim("device-set", device=NIC, after_reset=[[0xC8, 2, 0x0001]])
            s.config_write(5, 0xE8, 2, s.config_read(5, 0xE8, 2) | 0x8000)
            becomes(s, "failed")
            self.assertIn("capability", s.show()["cause"])
            s.detach(5)

    def test_a_dead_device_fails_and_comes_back_by_a_reset_that_verifies(self):
        with Sim(clean=True) as s:
            s.claim()
            s.sim("device-set", device=NIC, dies_in_reset=True)
            fails(self, "host-error", s.call, "reset", dev=NIC)
            self.assertEqual(s.state(), "failed")
            self.assertIn("does not answer", s.show()["cause"])
            self.assertTrue(s.show()["quarantined"])
            fails(self, "host-error", s.call, "reset", dev=NIC)
            self.assertEqual(s.state(), "failed")
            s.sim("device-set", device=NIC, dies_in_reset=False, dead=False)
            s.call("reset", dev=NIC)
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.show()["cause"], "")
            s.connect()
            s.detach(5)

    def test_the_kernels_refusal_is_told(self):
        with Sim(clean=True) as s:
            s.claim()
            s.fault("job_reset", "EIO")
            fails(self, "host-error", s.call, "reset", dev=NIC)
            self.assertEqual(s.state(), "claimed", "it is what it was, and had not failed")

    def test_H6_one_that_hangs_and_returns(self):
        with Sim(config={"limits": {"reset_timeout_ms": 1000}}) as s:
            s.claim()
            s.fault("job_reset", "ETIMEDOUT")
            fails(self, "host-error", s.call, "reset", dev=NIC)
            self.assertEqual(s.state(), "failed")
            s.sim("device-set", device=NIC, resetting=False)
            s.call("reset", dev=NIC)
            self.assertEqual(s.state(), "claimed")


def neighbours(*shares, driver="ahci"):
    first = device("e1000e", neighbours=[{"bdf": NIC2, "shares": list(shares), "driver": driver}])
    second = moved(device("e1000e", driver=driver), NIC2)
    second["neighbours"] = [{"bdf": NIC, "shares": list(shares), "driver": "e1000e"}]
    return [first, second]


class H12(unittest.TestCase):
    def two(self, *shares, config=None, **more):
        return Sim(devices=neighbours(*shares), domains=[domain(5, "netvm"), domain(6, "diskvm")],
                   config=config or {}, **more)

    def test_h12_requester_shared_with_the_hosts_driver(self):
        with self.two("requester", clean=True) as s:
            s.follow(5)
            s.claim()
            reason = fails(self, "refused", s.attach, 5, wait=5)
            self.assertIn(NIC2, reason)
            self.assertIn("driver ahci has it", reason)
            self.assertEqual(s.state(), "claimed")
            s.claim(NIC2)
            s.attach(5, wait=5)
            s.detach(5)

    def test_h12_requester_shared_with_another_guest(self):
        with self.two("requester", clean=True) as s:
            s.follow(5)
            s.follow(6)
            s.claim()
            s.claim(NIC2)
            s.attach(5, wait=5)
            self.assertIn("domain 5 (netvm) has it",
                          fails(self, "refused", s.attach, 6, NIC2, wait=5))
            s.attach(5, NIC2, wait=5)
            s.settle()
            self.assertEqual(s.state(NIC2), "assigned", "one guest has both")
            s.detach(5)
            self.assertIn("netvm", fails(self, "refused", s.release),
                          "nor does the host get it while a guest has the other")
            s.detach(5, NIC2)
            s.release()

    def test_h12_force_and_the_operators_allow(self):
        for config, more in (({}, {"force": True}),
                             ({"devices": [{"bdf": NIC, "assign": "allow"}]}, {})):
            with self.subTest(config=config), self.two("requester", config=config,
                                                       clean=True) as s:
                s.follow(5)
                s.claim()
                s.attach(5, wait=5, **more)
                self.assertIn("shares its requester id with " + NIC2, s.stderr())
                s.detach(5)

    def test_h12_bus_reset_spares_the_neighbour(self):
        """The simulator calls a bus reset that hits another's device a violation."""
        with self.two("reset", clean=True) as s:
            s.claim()
            s.clear_log()
            s.call("reset", dev=NIC)
            self.assertEqual([e["method"] for e in s.log("job_reset")], ["flr"])
            s.claim(NIC2)
            s.clear_log()
            s.call("reset", dev=NIC)
            self.assertEqual([e["method"] for e in s.log("job_reset")], [""])

    def test_h12_no_other_method_is_left(self):
        devices = neighbours("reset")
        devices[0]["reset"] = "bus"
        for policy, state in (({}, None), ({"reset": "required"}, "failed")):
            with self.subTest(policy=policy), \
                    Sim(devices=devices, config={"devices": [{"bdf": NIC, **policy}]}) as s:
                s.follow(5)
                s.claim()
                self.assertIn(NIC2, fails(self, "refused", s.call, "reset", dev=NIC))
                self.assertIn("no-reset", codes(s))
                if state:
                    fails(self, "host-error", s.attach, 5, wait=5)
                    self.assertEqual(s.state(), state)
                else:
                    s.attach(5, wait=5)
                self.assertEqual(s.log("job_reset.start"), [])

    def test_h12_a_physical_function_with_virtual_ones_enabled(self):
        with Sim(devices=[device("e1000e", virtual_functions=3)], clean=True) as s:
            fails(self, "refused", s.claim)


class XSA_461(unittest.TestCase):
    def test_xsa_461_shared_line_is_warned_of(self):
        with Sim(devices=neighbours("line"), clean=True) as s:
            s.follow(5)
            s.claim()
            line = "shares an interrupt line with %s: driver ahci has it" % NIC2
            self.assertIn(line, s.stderr(), "at claim")
            s.attach(5, wait=5)
            self.assertEqual(s.stderr().count(line), 2, "and at attach")
            self.assertIn("shares-line", codes(s))
            s.detach(5)

    def test_xsa_461_shared_page_is_refused(self):
        with Sim(devices=neighbours("page"), clean=True) as s:
            s.follow(5)
            s.claim()
            self.assertIn("page of memory", fails(self, "refused", s.attach, 5, wait=5))
            s.attach(5, wait=5, force=True)
            s.detach(5)


if __name__ == "__main__":
    unittest.main()
