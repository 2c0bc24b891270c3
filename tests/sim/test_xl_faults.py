# SPDX-License-Identifier: MIT
"""xl mode: directories that hold odd things, and a store and a host that fail."""
import unittest

from xllib import *


class Odd(unittest.TestCase):
    """The directory is dom0's, but it may hold anything; a bad entry blocks nobody."""

    def test_bad_entries_do_not_block_the_others(self):
        for text in ("", "rubbish", "0000:04:01.8", "0000:04:01.0 ", "0000:04:01.0x",
                     "9" * 500, "0000:09:00.0"):
            with Xl(devices=eight()) as s:
                s.assignable()
                s.create(5, *s.bdfs[:3], follow=False)
                s.settle()
                s.write_node(s.xbe(5, "dev-3"), text)
                s.write_node(s.xbe(5, "key-3"), text)
                s.write_node(s.xbe(5, "state-3"), 1)
                s.write_node(s.xbe(5, "num_devs"), 4)
                s.follow(5)
                s.wait_for("state of %r" % text, lambda: s.node("state-3") == "6")
                s.connected()
                self.assertEqual(list(s.addresses()), s.bdfs[:3])
                self.assertTrue(s.error("dev-3") or s.error("0000-09-00-0"), text)
                s.xl("destroy")
                s.gone()

    def test_h1_pluggable_devices_need_the_operators_word(self):
        devices = eight()
        devices[0]["port"] = devices[1]["port"] = "0000:00:1c.0"
        with Xl(devices=devices, config={"devices": [{"bdf": devices[1]["bdf"],
                                                      "assign": "allow"}]}) as s:
            s.running(*s.bdfs[:3])
            self.assertEqual(list(s.addresses()), s.bdfs[1:3])
            self.assertIn("pulled out of port 0000:00:1c.0", s.error("0000-04-00-0"))

    def test_h12_a_physical_function_with_virtual_ones_is_refused(self):
        devices = eight()
        devices[0]["virtual_functions"] = 4
        with Xl(devices=devices) as s:
            s.running(*s.bdfs[:2])
            self.assertEqual(list(s.addresses()), s.bdfs[1:2])
            self.assertIn("sriov_numvfs", s.error("0000-04-00-0"))

    def test_h12_neighbours_are_told_of(self):
        """libxl looks at no groups: which devices go together is the administrator's decision."""
        devices = eight()
        devices[0]["neighbours"] = [{"bdf": devices[7]["bdf"], "shares": ["requester"]}]
        with Xl(devices=devices) as s:
            s.running(*s.bdfs[:2])
            self.assertIn("0000:04:00.0: shares its requester id with 0000:04:07.0", s.stderr())

    def test_one_device_twice(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            s.create(5, *s.bdfs[:2], follow=False)
            s.write_node(s.xbe(5, "dev-2"), s.bdfs[0])
            s.write_node(s.xbe(5, "key-2"), s.bdfs[0])
            s.write_node(s.xbe(5, "state-2"), 1)
            s.write_node(s.xbe(5, "num_devs"), 3)
            s.follow(5)
            s.connected()
            s.wait_for("the second", lambda: s.node("state-2") == "6")
            self.assertEqual(s.node("state-0"), "3")

    def test_not_bound_to_pciback(self):
        with Xl(devices=eight()) as s:
            s.assignable(s.bdfs[0])
            s.add(5, s.bdfs[1], starting=True, unchecked=True)
            s.add(5, s.bdfs[0], starting=True)
            s.follow(5)
            s.connected()
            self.assertEqual(s.node("state-0"), "6")
            self.assertIn("pciback", s.error("0000-04-01-0"))
            self.assertEqual(list(s.addresses()), [s.bdfs[0]])
            self.assertEqual(s.dev(s.bdfs[1])["open"], 0)

    def test_odd_numbers_change_nothing(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            for value in ("", "-1", "x", "2x", "0x2", " 2", "99999999999"):
                s.write_node(s.xbe(5, "num_devs"), value)
                s.settle()
                self.assertEqual(s.state(s.bdfs[0]), "assigned", value)
            s.write_node(s.xbe(5, "num_devs"), 2)
            for value in ("", "9", "x", "-4"):
                s.write_node(s.xbe(5, "state"), value)
                s.settle()
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
                self.assertEqual(s.read_node(s.xbe(5, "state")), value, "not ours to correct")
            s.write_node(s.xbe(5, "state"), 4)
            self.assertFalse(s.remove(5, s.bdfs[0])["gave_up"])

    def test_more_devices_than_allowed(self):
        with Xl(devices=eight(), config={"limits": {"devices_per_guest": 3}}) as s:
            s.assignable()
            s.create(5, *s.bdfs)
            s.connected()
            self.assertEqual(list(s.addresses()), s.bdfs[:3])
            s.xl("destroy", poll_ms=1)
            s.gone()

    def test_options_and_wanted_addresses_that_are_none(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            for n, (opts, vdevfn) in enumerate([("permissive=10", "zz"), (",,=", "fffffffff"),
                                                ("xpermissive=1", "-8"), ("", "100")]):
                s.sim("store-hold", on=True)
                s.add(5, s.bdfs[n], starting=True)
                s.write_node(s.xbe(5, "opts-%d" % n), opts)
                s.write_node(s.xbe(5, "vdevfn-%d" % n), vdevfn)
                s.sim("store-hold", on=False)
            s.follow(5)
            s.connected()
            self.assertEqual(len(s.addresses()), 4)
            for bdf in s.bdfs[:4]:
                self.assertFalse(s.show(bdf)["permissive"])

    def test_another_domains_frontend(self):
        with Xl() as s:
            s.assignable(NIC)
            s.sim("store-hold", on=True)
            s.create(5, NIC, follow=False)
            s.write_node(s.xbe(5, "frontend"), s.fe(6))
            s.sim("store-hold", on=False)
            s.settle()
            self.assertEqual((s.node("state"), s.dev()["open"]), ("1", 0))
            self.assertIn("is not the domain's", s.stderr())

    def test_directories_that_are_no_domains(self):
        with Xl() as s:
            for name in ("0", "x", "05", "32753", "99999", "-1", "@"):
                s.write_node("/local/domain/0/backend/pci/%s/0/state" % name, 1)
            s.settle()
            s.running(NIC)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_the_kernel_took_the_node(self):
        with Xl(domains=[domain(5), domain(6)], devices=eight()) as s:
            s.assignable()
            s.fault("job_kernel_stays_away", errno="EBUSY")
            s.create(5, s.bdfs[0])
            s.settle()
            s.write_node(s.xbe(5, "online"), 1)
            s.settle()
            self.assertEqual(s.node("state"), "1")
            self.assertEqual(s.stderr().count("domain 5: what xl gives it is not served"), 1)
            self.assertEqual(s.dev(s.bdfs[0])["open"], 0)
            s.create(6, s.bdfs[1])
            s.connected(6)
            s.sim("domain-destroy", domid=5)
            s.settle()
            self.assertEqual(s.node("state"), "1", "the kernel's, also afterwards")
            s.remove_node("/local/domain/0/backend/pci/5")

    def test_the_state_changes_before_we_write_ours(self):
        """Somebody else serves it, then."""
        with Xl() as s:
            s.assignable(NIC)
            s.fault("domain_get", action={"do": "store-write", "path": s.xbe(5, "state"),
                                          "value": "4"})
            s.create(5, NIC)
            s.settle()
            s.wait_for("a word", lambda: "is not served" in s.stderr())
            self.assertEqual(s.node("state"), "4")
            self.assertEqual(s.dev()["open"], 0)

    def test_from_before_the_start(self):
        """Not yet connected: served. Connected: its ring was another process's."""
        for state, served in ((1, True), (2, True), (3, True), (4, False), (6, False)):
            be, fe = Xl.xbe(5), Sim.fe(5)
            nodes = {be + "/frontend": fe, be + "/frontend-id": 5, be + "/state": state,
                     be + "/num_devs": 1, be + "/dev-0": NIC, be + "/key-0": NIC,
                     be + "/state-0": 1, fe + "/backend": be, fe + "/state": 1}
            with Xl(scenario={"do": [{"do": "xl-assignable-add", "device": NIC}] + [
                    {"do": "store-write", "path": p, "value": str(v)}
                    for p, v in nodes.items()]}) as s:
                s.settle()
                if served:
                    s.wait_for("state 3 from %d" % state, lambda: s.xstate() == 3)
                else:
                    s.wait_for("a word", lambda: "from before this daemon started" in s.stderr())
                    self.assertEqual(s.xstate(), state)
                s.sim("domain-destroy", domid=5)
                s.gone()

    def test_leftovers_of_dead_domains_are_removed_at_the_start(self):
        be = Xl.xbe(77)
        nodes = {be + "/frontend": Sim.fe(77), be + "/state": 4, be + "/num_devs": 0}
        with Xl(scenario={"do": [{"do": "store-write", "path": p, "value": str(v)}
                                 for p, v in nodes.items()]}) as s:
            s.wait_for("removal", lambda: s.names("/local/domain/0/backend") == [])


class Faults(unittest.TestCase):
    def story(self, s):
        """Create with two, attach one, detach one, crash, destroy. True: all went well."""
        s.create(5, *s.bdfs[:2])
        s.wait_for("the connection", lambda: s.xstate() in (4, 7, 8), timeout=8)
        s.settle()
        s.add(5, s.bdfs[2], poll_ms=20)
        s.wait_for("the third", lambda: len(s.addresses()) == 3, timeout=8)
        s.connected()
        self.assertFalse(s.remove(5, s.bdfs[0], poll_ms=30)["gave_up"])
        s.sim("domain-shutdown", domid=5, reason="crash")
        self.assertFalse(s.xl("destroy", poll_ms=30)["gave_up"])

    def calls(self, pattern):
        with Xl(devices=eight()[:3]) as s:
            s.assignable()
            s.clear_log()
            self.story(s)
            s.gone()
            return len([e for e in s.log() if e["call"] == pattern])

    def each(self, call, step, errno="EIO"):
        """Every STEP-th CALL of the story fails; the story is the same each time, or nearly."""
        count = self.calls(call)
        self.assertGreater(count, 3, call)
        for nth in range(1, count + 1, step):
            with self.subTest(call=call, nth=nth), Xl(devices=eight()[:3]) as s:
                s.assignable()
                s.fault(call, errno=errno, nth=nth)
                self.story(s)
                s.gone()
                s.back(*s.bdfs)

    def test_lists(self):
        self.each("store_list", 5)

    def test_writes(self):
        self.each("store_write", 2)

    def test_expectations(self):
        self.each("store_expect", 8)

    def test_reads(self):
        self.each("store_read", 47)

    def test_expectations_that_meet_a_change(self):
        self.each("store_expect", 9, errno="ECANCELED")

    def test_xenstored_dies_and_returns(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            s.sim("store-kill")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.sim("store-return", keep=True)
            s.settle()
            self.assertFalse(s.remove(5, s.bdfs[0])["gave_up"])

    def test_xenstored_loses_its_tree(self):
        with Xl() as s:
            s.running(NIC)
            s.follow(5, on=False)
            s.sim("store-kill")
            s.sim("store-return", keep=False)
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.wait_for("a word", lambda: "lost" in s.stderr())
            s.sim("domain-destroy", domid=5)
            s.gone()
            s.back(NIC)

    def test_open_fails(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            s.fault("job_open", errno="EIO")
            s.create(5, *s.bdfs[:2])
            s.connected()
            self.assertEqual(len(s.addresses()), 1)

    def test_the_daemon_ends_in_the_middle(self):
        for delay in (0, 5, 50):
            with Xl(devices=eight(), scenario={"job_delay_ms": delay}) as s:
                s.assignable()
                s.create(5, *s.bdfs)
                time.sleep(delay / 1000)


if __name__ == "__main__":
    unittest.main()
