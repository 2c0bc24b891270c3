# SPDX-License-Identifier: MIT
"""xl mode: guests whose nodes libxl makes, from create to destroy (sim_toolstack.c is libxl)."""
import contextlib
import unittest

from xllib import *


class Start(unittest.TestCase):
    def refused(self, **job):
        with Xl(start=False) as s:
            s.scenario["do"] = [{"do": "fault", "call": "job_kernel_stays_away", "count": 9, **job}]
            # Whoever is quick still finds its socket, and nobody behind it.
            with contextlib.suppress(RuntimeError, OSError, EOFError):
                s.start()
            self.assertEqual(s.process.wait(20), 1)
            text = s.stderr()
            s.process = None
        return text

    def test_refused_with_reason_and_cure_when_the_kernel_would_serve(self):
        text = self.refused(errno="EBUSY")
        self.assertIn("cannot start: xl mode is not possible", text)
        self.assertIn("drivers_autoprobe", text)

    def test_refused_when_the_kernel_cannot_be_asked(self):
        self.assertIn("cannot start", self.refused(errno="EIO"))

    def test_nothing_is_claimed_before_the_kernel_was_asked(self):
        with Xl(config={"slots": [NIC]}) as s:
            s.wait_for("the claim", lambda: s.state() == "claimed")
            assert_before(s.log(), "job_kernel_stays_away", "job_claim")

    def test_without_xl_mode_the_toolstacks_nodes_are_not_ours(self):
        with Sim() as s:
            s.sim("xl-assignable-add", device=NIC)
            s.sim("xl-attach", domid=5, device=NIC, starting=True)
            s.settle()
            self.assertEqual(s.read_node(Xl.xbe(5, "state")), "1")
            self.assertFalse(s.log("job_kernel_stays_away"))


class Life(unittest.TestCase):
    def test_create_serve_destroy(self):
        with Xl() as s:
            s.running(NIC)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.node("vdev-0"), "0000:00:00.00")
            self.assertEqual(s.node("state-0"), "3")
            self.assertEqual((s.node("root_num"), s.node("root-0")), ("1", "0000:00"))
            self.assertEqual(s.state(), "assigned")
            guest = s.call("guests")["guests"][0]
            self.assertEqual((guest["kind"], guest["domid"]), ("pci", 5))
            self.assertTrue(s.show()["adopted"])
            answer = s.xl("destroy")
            self.assertFalse(answer["gave_up"], answer)
            s.gone()
            s.back(NIC)

    def test_a_domain_that_cannot_be_asked_after_is_still_the_same(self):
        with Xl(scenario={"job_delay_ms": 200}) as s:
            s.running(NIC)
            s.sim("domain-shutdown", domid=5, reason="poweroff")
            s.wait_for("the end", lambda: "has shut down" in s.stderr())
            s.fault("domain_get", "EIO", count=100)
            s.wait_for("the device", lambda: s.state() == "present")
            s.settle()
            self.assertEqual(len(s.call("guests")["guests"]), 1)
            self.assertNotIn("is not served", s.stderr())

    def test_adopted_is_not_prepared_not_quarantined_and_not_bound_by_us(self):
        """xen-pciback's half has done all that (H16)."""
        with Xl() as s:
            s.running(NIC)
            s.xl("destroy")
            s.gone()
            self.assertFalse(s.log("msix_prepare", "msix_release", "device_assign",
                                   "device_deassign", "job_claim", "job_release", "map_gsi"))

    def test_state_is_2_before_anything_else_is_done(self):
        """Linux makes a device of a directory in state 1 only."""
        with Xl() as s:
            s.assignable(NIC)
            s.clear_log()
            s.create(5, NIC)
            s.connected()
            assert_before(s.log(), "job_kernel_stays_away",
                          {"call": "store_write", "path": s.xbe(5, "state"), "value": "2"})
            assert_order(s.log(),
                         {"call": "store_write", "path": s.xbe(5, "state"), "value": "2"},
                         "job_open", {"call": "store_write", "path": s.xbe(5, "state-0")},
                         {"call": "store_write", "path": s.xbe(5, "state"), "value": "3"},
                         {"call": "store_write", "path": s.xbe(5, "state"), "value": "4"})

    def test_eight_devices(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs)
            self.assertEqual(len(set(s.addresses().values())), 8)
            for bdf, devfn in s.addresses().items():
                self.assertEqual(s.config_read(5, 0, devfn=devfn), 0x10D38086, bdf)
            self.assertEqual(s.xl("list")["devices"], s.bdfs)
            self.assertFalse(s.xl("destroy")["gave_up"])
            s.gone()
            s.back(*s.bdfs)

    def test_devices_that_come_while_the_frontend_connects_already(self):
        """At create libxl adds devices 2 to n without waiting, and without state 7."""
        for delay in (0, 1, 5, 20):
            with Xl(devices=eight(), scenario={"job_delay_ms": delay}) as s:
                s.assignable()
                s.follow(5)
                for bdf in s.bdfs:
                    s.add(5, bdf, starting=True)
                    if delay == 1:
                        s.settle()
                s.wait_for("all devices", lambda: len(s.addresses()) == 8)
                s.connected()
                for bdf, devfn in s.addresses().items():
                    self.assertEqual(s.config_read(5, 0, devfn=devfn), 0x10D38086, bdf)
                    self.assertEqual(s.state_of(bdf), 3)

    def test_two_guests(self):
        with Xl(devices=eight(), domains=[domain(5), domain(6)]) as s:
            s.assignable()
            s.create(5, *s.bdfs[:4])
            s.create(6, *s.bdfs[4:])
            for d in (5, 6):
                s.connected(d)
                self.assertEqual(len(s.addresses(d)), 4)
                self.assertEqual(s.config_read(d, 0), 0x10D38086)
            s.xl("destroy", 5)
            s.gone(5)
            self.assertEqual(s.config_read(6, 0), 0x10D38086)
            s.back(*s.bdfs[:4])
            s.xl("destroy", 6)
            s.gone(6)

    def test_reboot(self):
        """A new domain, a new directory, the same devices."""
        with Xl(devices=eight(), scenario={"job_delay_ms": 5}) as s:
            s.assignable()
            for domid in range(6, 10):
                s.sim("domain-create", domid=domid, name="rebooting")
                s.create(domid, *s.bdfs)
                s.connected(domid)
                self.assertEqual(len(s.addresses(domid)), 8)
                s.enable_msix(domid, [0, 1], devfn=s.addresses(domid)[s.bdfs[0]])
                s.sim("domain-shutdown", domid=domid, reason="reboot")
                self.assertFalse(s.xl("destroy", domid)["gave_up"])
            s.gone(9)
            s.back(*s.bdfs)

    def test_the_same_number_again(self):
        with Xl() as s:
            s.assignable(NIC)
            for _ in range(4):
                s.create(5, NIC)
                s.connected()
                s.xl("destroy")
                s.sim("domain-create", domid=5)
            s.wait_for("the device", lambda: s.state() == "present")

    def test_hvm_is_prepared_and_never_connected(self):
        with Xl(domains=[domain(5, hvm=True)]) as s:
            s.assignable(NIC)
            s.clear_log()
            s.create(5, NIC)
            s.wait_for("state 3", lambda: s.xstate() == 3 and s.state_of(NIC) == 3)
            s.settle()
            self.assertFalse(s.log("cycle_write", "page_map", "port_bind"), "QEMU has the device")
            for state in (3, 4, 7, 5, 6, 1):
                s.sim("state", domid=5, state=state)
                s.settle()
            self.assertFalse(s.log("page_map", "port_bind", "cycle_write"))
            resets = s.dev()["resets"]
            s.xl("destroy")
            s.gone()
            s.back(NIC)
            self.assertGreater(s.dev()["resets"], resets + 1, "reset by xl and by us")

    def test_hvm_hotplug(self):
        with Xl(devices=eight(), domains=[domain(5, hvm=True)]) as s:
            s.assignable()
            s.create(5, *s.bdfs[:2], follow=False)
            s.wait_for("both", lambda: len(s.addresses()) == 2)
            s.add(5, s.bdfs[2])
            s.wait_for("three", lambda: len(s.addresses()) == 3 and s.xstate() == 3)
            s.remove(5, s.bdfs[0])
            s.wait_for("its return", lambda: s.state(s.bdfs[0]) == "present")
            s.back(s.bdfs[0])
            self.assertEqual(list(s.addresses()), s.bdfs[1:3])
            self.assertFalse(s.log("page_map", "port_bind"))
            s.xl("destroy")
            s.gone()
            s.back(*s.bdfs[:3])

    def test_frontend_that_closes_and_comes_back(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:3])
            where = s.addresses()
            s.follow(5, on=False)
            s.sim("state", domid=5, state=5)
            s.wait_for("Closing", lambda: s.xstate() == 5)
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.xstate() == 6)
            s.settle()
            s.sim("unpublish", domid=5)
            s.sim("state", domid=5, state=1)
            s.wait_for("open again", lambda: s.xstate() in (2, 3))
            s.follow(5)
            s.sim("publish", domid=5)
            s.connected()
            self.assertEqual(s.addresses(), where)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)


class Ends(unittest.TestCase):
    """xl waits up to 10 s for state 4, twice a device: never here."""

    def ended(self, reason, *states, count=3):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:count])
            s.config_write(5, 4, 2, 6)
            s.enable_msix(5, [0, 1, 2])
            s.clear_log()
            for state in states:
                s.follow(5, on=False)
                s.sim("state", domid=5, state=state)
                s.settle()
            s.sim("domain-shutdown", domid=5, reason=reason)
            answer = s.xl("destroy", poll_ms=20)
            self.assertFalse(answer["gave_up"], answer)
            self.assertEqual(len(answer["waits"]), 2 * count)
            self.assertLess(max(answer["waits"][1:]), 300, answer)
            s.gone()
            s.back(*s.bdfs[:count])
            return s.log()

    def test_crash(self):
        log = self.ended("crash")
        # H2: bus mastering off, interrupts unmapped, reset, and only then the page
        assert_order(log, command_write(clear=4, bdf="0000:04:00.0"), "unmap_pirq",
                     {"call": "job_reset", "device": "0000:04:00.0"}, "page_unmap")
        assert_before(log, "unmap_pirq", "page_unmap")

    def test_power_off_with_the_frontend_still_connected(self):
        self.ended("poweroff")

    def test_reboot_after_the_frontend_closed(self):
        self.ended("reboot", 5, 6)

    def test_power_off_after_the_frontend_began_to_close(self):
        self.ended("poweroff", 5)

    def test_state_rests_at_4_while_the_domain_is_still_there(self):
        with Xl() as s:
            s.running(NIC)
            s.follow(5, on=False)
            s.sim("state", domid=5, state=5)
            s.settle()
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.xstate() == 6)
            s.sim("domain-shutdown", domid=5)
            s.wait_for("4", lambda: s.xstate() == 4)
            self.assertEqual(s.state_of(NIC), CLOSED)
            self.assertEqual(s.state(), "present")
            self.assertFalse(s.leaks()["pages"])

    def test_unplug_from_a_domain_that_has_shut_down(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:3])
            s.sim("domain-shutdown", domid=5)
            for bdf in (s.bdfs[1], s.bdfs[0], s.bdfs[2]):
                answer = s.remove(5, bdf)
                self.assertFalse(answer["gave_up"], answer)
            s.gone()

    def test_directory_of_a_domain_that_nobody_cleaned_up(self):
        """libxl ignores that its removal failed, and writes nothing that reminds it."""
        for toolstack in (True, False):
            with Xl(devices=eight()) as s:
                s.running(*s.bdfs[:3])
                s.enable_msix(5, [0, 1])
                s.sim("domain-destroy", domid=5, toolstack=toolstack)
                s.gone()
                self.assertEqual(s.names("/local/domain/0/backend"), [])
                s.back(*s.bdfs[:3])

    def test_suspend_is_no_end(self):
        with Xl() as s:
            s.running(NIC)
            s.sim("domain-shutdown", domid=5, reason="suspend")
            s.settle()
            self.assertEqual((s.state(), s.xstate()), ("assigned", 4))
            s.sim("domain-resume", domid=5, follow=True)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_destroyed_before_it_ran(self):
        with Xl() as s:
            s.assignable(NIC)
            s.create(5, NIC, follow=False)
            s.wait_for("Initialised", lambda: s.xstate() == 3)
            s.xl("destroy", poll_ms=1)
            s.gone()
            s.back(NIC)

    def test_destroyed_while_it_is_prepared(self):
        for delay in (0, 3, 10):
            with Xl(devices=eight(), scenario={"job_delay_ms": delay}) as s:
                s.assignable()
                s.create(5, *s.bdfs)
                s.sim("domain-destroy", domid=5)
                s.gone()
                for bdf in s.bdfs:
                    s.wait_for(bdf, lambda b=bdf: s.dev(b)["open"] == 0)


class Hotplug(unittest.TestCase):
    def test_attach_and_detach(self):
        with Xl(devices=eight()) as s:
            s.running(s.bdfs[0])
            s.assignable()
            for bdf in s.bdfs[1:]:
                self.assertFalse(s.add(5, bdf)["gave_up"])
            s.wait_for("all", lambda: len(s.addresses()) == 8)
            s.connected()
            where = s.addresses()
            for bdf in (s.bdfs[3], s.bdfs[0], s.bdfs[7]):
                self.assertEqual(s.config_read(5, 0, devfn=where[bdf]), 0x10D38086)
                self.assertFalse(s.remove(5, bdf)["gave_up"])
                del where[bdf]
                s.settle()
                # the others keep their address under another number
                self.assertEqual(s.addresses(), where)
                for devfn in where.values():
                    self.assertEqual(s.config_read(5, 0, devfn=devfn), 0x10D38086)
                s.back(bdf)
            self.assertEqual(len(s.xl("list")["devices"]), 5)
            s.add(5, s.bdfs[3])
            s.wait_for("again", lambda: s.bdfs[3] in s.addresses())
            s.connected()

    def test_the_guest_cannot_reach_what_it_has_let_go_of(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            devfn = s.addresses()[s.bdfs[0]]
            s.remove(5, s.bdfs[0])
            self.assertEqual(s.op(5, READ, devfn, offset=0, size=4)["err"], NOT_FOUND)

    def test_last_device_and_first_again(self):
        with Xl() as s:
            s.running(NIC)
            for _ in range(4):
                answer = s.remove()
                self.assertFalse(answer["gave_up"], answer)
                s.gone()
                s.back(NIC)
                s.add()
                s.connected()
                self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_a_directory_that_goes_while_it_is_read(self):
        with Xl() as s:
            s.running(NIC)
            path = s.xbe(5, "num_devs")
            for nth in range(1, 12):
                s.clear_log()
                s.fault("store_read", nth=nth, action={"do": "store-remove", "path": path})
                s.write_node(s.xbe(5, "online"), 1)
                s.settle()
                s.write_node(path, 1)
                s.settle()
                s.sim("fault-clear")
            self.assertNotIn("num_devs", s.stderr())
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_last_device_and_first_again_at_once(self):
        with Xl(scenario={"job_delay_ms": 20}) as s:
            s.running(NIC)
            for _ in range(4):
                s.remove()
                s.add()
                s.connected()
                self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_xl_waits_until_the_device_is_back(self):
        """Whoever gets it next, or takes it from pciback, finds it reset and without interrupts."""
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            s.config_write(5, 4, 2, 6, devfn=s.addresses()[s.bdfs[0]])
            s.enable_msix(5, [0, 1], devfn=s.addresses()[s.bdfs[0]])
            s.clear_log()
            s.remove(5, s.bdfs[0])
            assert_order(s.log(), "xl.deassign", "xl.unplug",
                         command_write(clear=4, bdf=s.bdfs[0]), "unmap_pirq",
                         {"call": "job_reset", "device": s.bdfs[0]},
                         {"call": "store_write", "path": s.xbe(5, "state"), "value": "8"},
                         {"call": "store_write", "path": s.xbe(5, "state"), "value": "4"},
                         "xl.removed")
            assert_before(s.log(), {"call": "job_reset", "device": s.bdfs[0]}, "xl.removed")

    def test_guest_that_answers_late(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            s.follow(5, on=False)
            self.assertTrue(s.remove(5, s.bdfs[0], poll_ms=1)["gave_up"])
            self.assertEqual((s.xstate(), s.state(s.bdfs[0])), (7, "assigned"))
            s.follow(5)
            s.connected()
            s.wait_for("the device", lambda: s.state(s.bdfs[0]) == "present")
            s.back(s.bdfs[0])
            self.assertFalse(s.show(s.bdfs[0])["tainted"], "it took part")
            # xl has kept the entry: it may be removed now, and the other one works
            self.assertFalse(s.remove(5, s.bdfs[0])["gave_up"])
            self.assertEqual(list(s.addresses()), [s.bdfs[1]])

    def test_what_xl_took_and_the_guest_let_go_of_while_no_daemon_ran(self):
        """Told that all is reconfigured, the guest looks at its bus again: a device that it still found there, without
        the memory that xl has revoked, would crash its driver."""
        with Xl(devices=eight(), supervise=True) as s:
            s.running(*s.bdfs[:2])
            s.follow(5, on=False)
            s.meanwhile({"do": "store-write", "path": s.xbe(5, "state-0"), "value": "5"},
                        {"do": "store-write", "path": s.xbe(5, "state"), "value": "7"},
                        {"do": "state", "domid": 5, "state": 7})
            s.kill9()
            s.wait_restarted()
            s.wait_for("Reconfigured", lambda: s.xstate() == 8)
            self.assertEqual(s.state(s.bdfs[0]), "present", "taken before the guest looks again")
            s.back(s.bdfs[0])
            self.assertFalse(s.show(s.bdfs[0])["tainted"], "it took part")
            s.follow(5)
            s.connected()
            self.assertFalse(s.remove(5, s.bdfs[0])["gave_up"])
            self.assertEqual(list(s.addresses()), [s.bdfs[1]])

    def test_guest_that_never_answers_keeps_nobody_else_from_a_device(self):
        """xl gives the device on, but the first guest may still reach it: tainted."""
        with Xl(devices=eight(), domains=[domain(5), domain(6)]) as s:
            s.running(*s.bdfs[:2])
            s.follow(5, on=False)
            s.remove(5, s.bdfs[0], poll_ms=1)
            s.assignable(s.bdfs[2])
            s.create(6, s.bdfs[2], s.bdfs[0])
            s.connected(6)
            s.wait_for("the refusal", lambda: s.state_of(s.bdfs[0], 6) == CLOSED)
            self.assertIn("domain 5", s.error("0000-04-00-0", 6))
            self.assertTrue(s.show(s.bdfs[0])["tainted"])
            self.assertEqual(list(s.addresses(6)), [s.bdfs[2]])
            # when that guest is gone, it may be had
            s.xl("destroy", 5, poll_ms=1)
            s.gone(5)
            s.remove(6, s.bdfs[0])
            s.add(6, s.bdfs[0])
            s.wait_for("the device", lambda: s.bdfs[0] in s.addresses(6))

    def test_reassign_while_alive(self):
        devices = eight()
        with Xl(devices=devices, domains=[domain(5), domain(6)],
                config={"devices": [{"bdf": devices[0]["bdf"],
                                     "reassign_while_alive": True}]}) as s:
            s.running(*s.bdfs[:2])
            s.follow(5, on=False)
            s.remove(5, s.bdfs[0], poll_ms=1)
            s.create(6, s.bdfs[0])
            s.connected(6)
            self.assertIn("given on although it was taken from domain 5", s.stderr())

    def test_several_at_once_in_one_transaction(self):
        """Not libxl's way, but the protocol's."""
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            s.assignable()
            s.follow(5, on=False)
            for n in (2, 3, 4):
                for name in ("key", "dev"):
                    s.write_node(s.xbe(5, "%s-%d" % (name, n)), s.bdfs[n])
                s.write_node(s.xbe(5, "state-%d" % n), 1)
            s.write_node(s.xbe(5, "num_devs"), 5)
            s.write_node(s.xbe(5, "state-0"), 5)
            s.write_node(s.xbe(5, "state"), 7)
            s.follow(5)
            s.wait_for("all", lambda: set(s.addresses()) >= set(s.bdfs[1:5]))
            s.connected()
            self.assertEqual([s.state(b) for b in s.bdfs[:5]],
                             ["present"] + 4 * ["assigned"])

    def test_numbers_shift_while_an_access_runs(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:3])
            devfn = s.addresses()[s.bdfs[2]]
            s.sim("device-set", device=s.bdfs[2], slow_ms=150)
            s.world.send({"do": "op", "domid": 5, "cmd": READ, "devfn": devfn, "offset": 0,
                          "size": 4})
            other = Lines(s.sim_path)
            other.send({"do": "xl-detach", "domid": 5, "device": s.bdfs[0]})
            self.assertFalse(other.receive()["gave_up"])
            other.close()
            answer = s.world.receive()
            self.assertEqual((answer["err"], answer["value"]), (0, 0x10D38086))
            self.assertEqual(s.node("dev-1"), s.bdfs[2])

    def test_an_access_to_the_device_that_xl_takes(self):
        with Xl(devices=eight()) as s:
            s.running(*s.bdfs[:2])
            devfn = s.addresses()[s.bdfs[0]]
            s.sim("device-set", device=s.bdfs[0], slow_ms=100)
            s.world.send({"do": "op", "domid": 5, "cmd": READ, "devfn": devfn, "offset": 0,
                          "size": 4})
            other = Lines(s.sim_path)
            other.send({"do": "xl-detach", "domid": 5, "device": s.bdfs[0], "poll_ms": 50})
            s.world.receive()
            s.sim("device-set", device=s.bdfs[0], slow_ms=0)
            self.assertFalse(other.receive()["gave_up"])
            other.close()
            s.back(s.bdfs[0])

    def test_permissive(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            s.add(5, s.bdfs[0], starting=True, permissive=True)
            s.add(5, s.bdfs[1], starting=True)
            s.follow(5)
            s.connected()
            self.assertTrue(s.show(s.bdfs[0])["permissive"])
            self.assertFalse(s.show(s.bdfs[1])["permissive"])
            s.xl("destroy")
            s.gone()
            s.sim("domain-create", domid=6)
            s.create(6, s.bdfs[0])
            s.connected(6)
            self.assertFalse(s.show(s.bdfs[0])["permissive"], "it was for that guest only")

    def test_vdevfn(self):
        with Xl(devices=eight()) as s:
            s.assignable()
            s.add(5, s.bdfs[0], starting=True, vdevfn=0x58)
            s.add(5, s.bdfs[1], starting=True)
            s.add(5, s.bdfs[2], starting=True, vdevfn=0x58)
            s.follow(5)
            s.connected()
            where = s.addresses()
            self.assertEqual(where[s.bdfs[0]], 0x58)
            self.assertNotEqual(where[s.bdfs[2]], 0x58, "it is taken")
            self.assertEqual(s.config_read(5, 0, devfn=0x58), 0x10D38086)

    def test_a_guest_cannot_make_us_read_for_ever(self):
        with Xl(devices=eight()) as s:
            s.running(s.bdfs[0])
            s.follow(5, on=False)
            s.clear_log()
            begun = time.monotonic()
            for _ in range(200):
                for state, answer in ((5, (5,)), (6, (6,)), (1, (2, 3))):
                    s.sim("state", domid=5, state=state)
                    while s.xstate() not in answer:
                        pass
            reads = [e for e in s.log("store_read") if e["path"] == s.xbe(5, "num_devs")]
            self.assertLessEqual(len(reads), 50 * (time.monotonic() - begun + 2))

    def test_topology_by_name(self):
        with Xl(devices=eight(), domains=[domain(5, "netvm")],
                config={"guests": [{"name": "netvm", "topology": "passthrough"}]}) as s:
            s.running(*s.bdfs[:2])
            self.assertEqual(s.node("vdev-1"), "0000:04:01.00")
            self.assertEqual(s.node("root-0"), "0000:04")


class Verbs(unittest.TestCase):
    def fails(self, call, *words):
        with self.assertRaises(RpcError) as caught:
            call()
        text = caught.exception.message + json.dumps(caught.exception.data)
        for word in words:
            self.assertIn(word, text)

    def test_our_verbs_on_xls_devices(self):
        with Xl(devices=eight()) as s:
            s.running(s.bdfs[0])
            s.claim(s.bdfs[1])
            s.claim(s.bdfs[0])
            self.assertTrue(s.show(s.bdfs[0])["adopted"], "claim changed nothing")
            self.fails(lambda: s.attach(5, s.bdfs[1]), "xl pci-attach", "refused")
            for force in (False, True):
                self.fails(lambda f=force: s.detach(5, s.bdfs[0], force=f), "xl pci-detach")
                self.fails(lambda f=force: s.release(s.bdfs[0], force=f), "domain 5",
                           "xl pci-detach")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.xl("destroy")
            s.gone()
            s.release(s.bdfs[1])

    def test_claimed_with_pciback_goes_back_to_claimed(self):
        with Xl(config={"devices": [{"bdf": NIC, "driver": "pciback"}]}) as s:
            s.claim()
            s.create(5, NIC)
            s.connected()
            self.assertFalse(s.show()["adopted"])
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertFalse(s.xl("destroy")["gave_up"])
            s.gone()
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            s.sim("domain-create", domid=7)
            s.attach(7)
            s.detach(7, force=True)
            s.release()

    def test_claimed_with_another_driver_is_refused(self):
        with Xl() as s:
            s.claim()
            s.add(5, NIC, unchecked=True)
            s.wait_for("the refusal", lambda: s.state_of(NIC) == CLOSED)
            self.assertIn("pci-stub", s.error("0000-00-05-0"))
            self.assertEqual(s.state(), "claimed")

    def test_denied_by_the_configuration(self):
        with Xl(config={"devices": [{"bdf": NIC, "assign": "deny"}]}) as s:
            s.assignable(NIC)
            s.create(5, NIC)
            s.wait_for("the refusal", lambda: s.state_of(NIC) == CLOSED)
            self.assertIn("denies", s.error("0000-00-05-0"))
            s.xl("destroy", poll_ms=1)
            s.gone()
            s.back(NIC)

    def test_one_guest_has_one_backend(self):
        """xl attaches to a guest of ours: its frontend goes on as if nothing had happened."""
        with Xl(devices=eight()) as s:
            s.connect(5, s.bdfs[0])
            s.follow(5, on=False)  # Linux does not notice either: its device is still there
            s.assignable(s.bdfs[1])
            resets = s.dev(s.bdfs[0])["resets"]
            s.add(5, s.bdfs[1])
            s.wait_for("the refusal", lambda: s.node("state") == "6")
            s.wait_for("the repair", lambda: s.read_node(s.fe(5, "backend")) == s.be(5))
            s.settle()
            self.assertEqual((s.be_state(5), s.fe_state(5)), (4, 4))
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.dev(s.bdfs[0])["resets"], resets)
            self.assertIn("pcibackctl attach", s.error())
            s.xl("destroy", poll_ms=1)
            s.gone()

    def test_reload(self):
        with Xl() as s:
            s.running(NIC)
            s.config["devices"] = [{"bdf": NIC, "permissive": True}]
            s.write_config()
            s.reload()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertFalse(s.xl("destroy")["gave_up"])
            s.gone()
            s.back(NIC)

    def test_reset_of_a_device_that_xl_has_given(self):
        with Xl() as s:
            s.running(NIC)
            self.fails(lambda: s.call("reset", dev=NIC), "domain 5")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_an_assignment_to_a_guest_of_xls(self):
        """One guest has one backend: the assignment is refused once, and xl's devices work."""
        with Xl(devices=eight()) as s:
            s.running(s.bdfs[0])
            s.config["assignments"] = [{"guest": "netvm", "devices": [s.bdfs[1]]}]
            s.write_config()
            s.reload()
            s.wait_for("the refusal", lambda: "xl gives domain 5" in s.stderr())
            s.settle()
            self.assertEqual(s.stderr().count("xl gives domain 5"), 1)
            self.assertEqual(list(s.addresses()), [s.bdfs[0]])
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_failed_reset_is_kept_in_mind_until_release(self):
        with Xl() as s:
            s.running(NIC)
            s.fault("job_reset", errno="ETIMEDOUT")
            s.remove(poll_ms=50)
            s.wait_for("failed", lambda: s.state() == "failed")
            s.sim("device-set", device=NIC, resetting=False)
            self.assertIn("reset", json.dumps(s.call("why", dev=NIC)))
            self.fails(lambda: s.call("reset", dev=NIC))
            self.fails(s.claim, "release")
            self.assertEqual(s.state(), "failed")
            s.add(unchecked=True)
            s.wait_for("the refusal", lambda: s.state_of(NIC) == CLOSED)
            s.remove(poll_ms=1)
            s.xl("destroy", poll_ms=1)
            s.gone()
            s.release()
            self.assertEqual(s.state(), "present")
            s.sim("domain-create", domid=6)
            s.create(6, NIC)
            s.connected(6)


if __name__ == "__main__":
    unittest.main()
