# SPDX-License-Identifier: MIT
"""What brings a host down: rules H1, H3, H4, H6, H16, H21 (H2, H7, H17: test_revocation; H2, H20:
test_death; H12 and what becomes of a device that is pulled, H1: test_life; H8: test_reset)."""
import unittest

from simlib import *

MASTER, MEMORY = 4, 2


class H1(unittest.TestCase):
    """Removing a device whose interrupts are mapped crashes Xen 4.17: at the removal it is too late."""

    def test_H1_what_can_be_pulled_is_refused(self):
        for more, word in (({"port": "0000:00:1c.0"}, "0000:00:1c.0"),
                           ({"virtual_function": True}, "virtual function")):
            with self.subTest(**more), Sim(devices=[device("e1000e", **more)]) as s:
                before = s.dev()
                for act in (lambda: s.claim(), lambda: s.attach(5, claim=True)):
                    with self.assertRaises(RpcError) as e:
                        act()
                    self.assertEqual(e.exception.data["code"], "refused")
                    self.assertIn(word, e.exception.data["reason"])
                    self.assertIn("--force", e.exception.data["next"])
                self.assertEqual(s.dev(), before, "nothing of it was changed")
                self.assertEqual(s.log("cycle_write", "msix_prepare", "device_assign"), [])
                s.claim(force=True)
                self.assertEqual(s.state(), "claimed")

    def test_H1_a_slot_does_not_force(self):
        with Sim(devices=[device("e1000e", port="0000:00:1c.0")], config={"slots": [NIC]}) as s:
            s.settle()
            self.assertEqual(s.state(), "present")
            self.assertEqual(s.dev()["driver"], "e1000e")
            self.assertIn("0000:00:1c.0", s.stderr())

    def test_H1_detached_first_it_can_be_pulled(self):
        for end in (lambda s: s.detach(5), lambda s: s.detach(5, force=True),
                    lambda s: s.release(force=True), lambda s: s.sim("domain-destroy", domid=5)):
            with Sim() as s:
                s.connect()
                s.enable_msix(5, [0, 1])
                end(s)
                s.wait_for("the device", lambda: s.state() in ("claimed", "present"))
                s.unplug()
                s.wait_for("its absence", lambda: s.state() == "absent")
                s.settle()
                self.assertEqual(s.log("world.host_crash"), [])
                self.assertEqual(s.dev()["open"], 0)

    def test_H1_pulled_from_a_guest_that_ends_later(self):
        """Nothing can be saved then; but we never unmap, and the cause says what it means."""
        with Sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.unplug()
            s.wait_for("failed", lambda: s.state() == "failed")
            self.assertTrue(s.show()["cause"])
            s.clear_log()
            for act in (lambda: s.detach(5), lambda: s.detach(5, force=True),
                        lambda: s.release(force=True), lambda: s.call("reset", dev=NIC)):
                try:
                    act()
                except RpcError as e:
                    self.assertTrue(e.data["reason"], e)
            s.settle()
            self.assertEqual([e for e in s.log("unmap_pirq") if e["pirq"] >= 48], [])
            self.assertTrue(s.alive())


class H6(unittest.TestCase):
    """While the kernel resets a device, only that device waits."""
    TURN = 4

    def test_H6_no_other_guest_waits_longer_than_a_turn(self):
        """Guest 5's device is in a reset of 300 ms, guest 6 floods; an operation of guest 7, posted
        when the reset begins, waits for one turn of guest 6 at most."""
        devices = [device("e1000e"), device("nvme"), device("rtl8139")]
        read = {"do": "post", "offset": 4, "flags": 1, "hex": pack_op(READ, offset=6, size=2)}
        with Sim(devices=devices, domains=[domain(5), domain(6), domain(7)],
                 config={"limits": {"ops_per_turn": self.TURN, "reset_timeout_ms": 9000}}) as s:
            for domid, bdf in ((5, NIC), (6, DISK), (7, OLD)):
                s.connect(domid, bdf)
            s.sim("device-set", device=NIC, reset_ms=1500)
            s.clear_log()
            s.fault("port_notify", count=5000, action={**read, "domid": 6})
            s.sim("post", **{k: v for k, v in read.items() if k != "do"}, domid=6)
            s.fault("job_reset", action={**read, "domid": 7})
            pending = s.rpc.start("detach", guest="5", dev=NIC)
            s.wait_for("the reset", lambda: s.dev()["resetting"])
            s.wait_for("the answer", lambda: not s.flags(7) & 1)
            for _ in range(20):
                self.assertEqual(s.config_read(7, 0, 2), 0x10EC)
                self.assertTrue(s.op(7, READ, offset=6, size=2, wait_ms=100)["done"])
            self.assertTrue(s.dev()["resetting"], "all of that was during the reset")
            s.sim("fault-clear")
            s.rpc.finish(pending)
            log = s.log()
            start = find(log, "job_reset.start")
            mine = find(log, {"call": "cycle_read", "device": OLD, "offset": 6}, start)
            others = [e for e in log[start:mine]
                      if e["call"] == "cycle_read" and e["device"] == DISK]
            self.assertGreater(mine, start)
            self.assertLessEqual(len(others), self.TURN)
            flood = [e for e in log[start:find(log, "job_reset")]
                     if e["call"] == "cycle_read" and e["device"] == DISK]
            self.assertGreater(len(flood), 2 * self.TURN, "guest 6 did flood")

    def test_H6_nothing_touches_it_until_its_end(self):
        """Every verb on it is refused meanwhile; the world takes each cycle and job for a violation."""
        with Sim(config={"limits": {"reset_timeout_ms": 9000}}) as s:
            s.connect()
            s.sim("device-set", device=NIC, reset_ms=1500)
            pending = s.rpc.start("detach", guest="5", dev=NIC)
            s.wait_for("the reset", lambda: s.dev()["resetting"])
            other = Rpc(s.control_path)  # a client's own requests wait for each other
            for method, params in (("attach", {"guest": "5"}), ("release", {}), ("reset", {}),
                                   ("detach", {"guest": "5"}), ("release", {"force": True})):
                with self.assertRaises(RpcError, msg=method) as e:
                    other.call(method, dev=NIC, **params)
                self.assertEqual(e.exception.data["code"], "wrong-state")
            s.sim("uevent", what="lost")
            self.assertTrue(s.dev()["resetting"])
            other.close()
            s.rpc.finish(pending)
            self.assertEqual(s.state(), "claimed")

    def test_H6_a_reset_that_never_ends_stops_nobody_else(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=[domain(5), domain(6)]) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            s.sim("device-set", device=NIC, reset_ms=600000)
            s.detach(5, NIC, force=True)
            self.assertEqual(s.state(NIC), "failed")
            self.assertIn("reset", s.show(NIC)["cause"])
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            s.detach(6, DISK)
            s.attach(6, DISK, wait=5)
            self.assertEqual(s.dev(NIC)["owner"], DOMID_IO)
            leaks = s.leaks()
            self.assertEqual([p for p in leaks["permissions"] if p["domid"] == 5], [])
            s.detach(6, DISK)


class H3(unittest.TestCase):
    def test_H3_release_after_a_crash_of_the_daemon(self):
        with Sim(keep=True) as s:
            s.claim()
            s.restart(kill=True)
            s.wait_for("the device", lambda: s.state() == "claimed")
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            s.clear_log()
            s.release()
            assert_order(s.log(), "msix_release", {"call": "device_deassign", "domid": DOMID_IO},
                         "job_release")
            self.assertEqual((s.dev()["driver"], s.dev()["override"]), ("e1000e", ""))
            s.assert_clean()

    def test_h3_release_order_and_quarantine(self):
        with Sim(config={"devices": [{"name": "nic0", "bdf": NIC}]}) as s:
            s.clear_log()
            s.claim()
            assigned = [e for e in s.log("device_assign") if e["rc"] == 0]
            self.assertEqual(assigned[-1]["domid"], DOMID_IO, "the claim ends in quarantine")
            self.assertEqual(find(s.log("device_assign", "msix_prepare", "job_claim"),
                                  {"call": "device_assign"}), 2)
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            self.assertTrue(s.show()["quarantined"])
            s.follow(5)
            s.attach(5, wait=5)
            s.enable_msix(5, [0])
            s.detach(5)
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            s.clear_log()
            s.release()
            assert_order(s.log(), "job_reset", "msix_release",
                         {"call": "device_deassign", "domid": DOMID_IO}, "job_release")
            self.assertEqual(s.dev()["owner"], 0)
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_h3_quarantine_is_asserted_again_before_each_attach(self):
        """`xl pci-assignable-remove` undoes it behind our back."""
        with Sim(clean=True) as s:
            s.connect()
            s.detach(5)
            s.clear_log()
            s.attach(5, wait=5)
            assert_order(s.log("device_assign"), {"domid": DOMID_IO}, {"domid": 5})
            s.detach(5)

    def test_h3_without_quarantine_in_xen(self):
        with Sim(scenario={"quarantine": False}, clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.detach(5)
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            self.assertFalse(s.dev()["command"] & MASTER)

    def test_h3_release_of_an_assigned_device_needs_force(self):
        with Sim() as s:
            s.connect()
            with self.assertRaises(RpcError):
                s.release()
            self.assertEqual(s.dev()["owner"], 5)


class H4(unittest.TestCase):
    def test_h4_libxl_node_is_rewritten(self):
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(3):
                s.remove_node(s.reservation())
                s.wait_for("the node", lambda: s.read_node(s.reservation()) == "5")
            s.remove_node("/libxl/pci")
            s.wait_for("the node", lambda: s.read_node(s.reservation()) == "5")
            s.write_node(s.reservation(), "6")
            s.wait_for("the node", lambda: s.read_node(s.reservation()) == "5")
            s.detach(5)
            s.settle()
            self.assertIsNone(s.read_node(s.reservation()))

    def test_h4_attach_order(self):
        """test -> reset -> assign -> permissions last, and nothing published before them."""
        with Sim(clean=True) as s:
            s.follow(5)
            s.claim()
            s.clear_log()
            s.attach(5, wait=5)
            log = s.log()
            reserved = {"call": "store_write", "path": s.reservation()}
            grants = [i for i, e in enumerate(log)
                      if e["call"] in ("allow_memory", "allow_ports", "allow_irq", "map_gsi")]
            assert_order(log, reserved, "device_test", "job_reset",
                         {"call": "device_assign", "domid": 5})
            self.assertGreater(grants[0], find(log, {"call": "device_assign", "domid": 5}))
            published = find(log, {"call": "store_write", "path": s.be(5, "vdev-0")})
            self.assertGreater(published, grants[-1])
            s.detach(5)

    def test_H4_permissions_are_the_last_of_every_attach(self):
        """Whatever fails before them: the guest never had any."""
        for call in ("device_test", "device_assign", "store_expect"):
            with self.subTest(call=call), Sim(clean=True) as s:
                s.follow(5)
                s.claim()
                s.clear_log()
                s.fault(call, "EBUSY" if call != "store_expect" else "EIO")
                with self.assertRaises(RpcError):
                    s.attach(5, wait=2)
                self.assertEqual(s.log("allow_memory", "allow_ports", "allow_irq", "map_gsi"), [])
                self.assertFalse(s.show()["tainted"])

    def test_h4_device_that_another_guest_has_is_not_touched(self):
        with Sim(clean=True) as s:
            s.claim()
            s.clear_log()
            s.fault("device_test", "EBUSY")
            with self.assertRaises(RpcError):
                s.attach(5)
            self.assertEqual(s.log("job_reset", "job_reset.start", "allow_memory", "allow_ports",
                                   "allow_irq", "map_gsi"), [])


class H16(unittest.TestCase):
    def test_h16_prepare_only_with_msix(self):
        for model, has in (("e1000", False), ("rtl8139", False), ("intel-hda", False),
                           ("e1000e", True), ("nvme", True), ("virtio-net", True)):
            with self.subTest(model=model), Sim(devices=[device(model, NIC)]) as s:
                s.claim()
                self.assertEqual(len(s.log("msix_prepare")), 1 if has else 0)
                self.assertEqual(s.dev()["prepared"], has)
                s.release()
                self.assertEqual(len(s.log("msix_release")), 1 if has else 0)
                s.assert_clean()

    def test_h16_decode_is_on_and_nobody_has_memory_yet(self):
        with Sim() as s:
            s.claim()
            log = s.log("msix_prepare", "allow_memory", "device_assign")
            self.assertEqual(log[0]["call"], "msix_prepare")
            self.assertEqual(log[0]["rc"], 0)

    def test_h16_prepared_before_is_fine(self):
        with Sim() as s:
            s.fault("msix_prepare", "EALREADY")
            s.claim()
            self.assertEqual(s.state(), "claimed")

    def test_h16_failure_refuses_the_claim(self):
        for errno in ("ENXIO", "EIO", "ENODEV"):
            with self.subTest(errno=errno), Sim() as s:
                s.fault("msix_prepare", errno)
                with self.assertRaises(RpcError) as e:
                    s.claim()
                self.assertEqual(e.exception.data["code"], "xen-error")
                s.assert_clean()
                self.assertEqual(s.dev()["driver"], "e1000e")
                s.claim()
                s.release()
                s.assert_clean()


class H21(unittest.TestCase):
    def test_h21_resources_checked_against_bars(self):
        for offset, value in ((0x10, 0xFEB00000), (0x18, 0xD001), (0x00, 0xFFFFFFFF),
                              (0x00, 0x12348086)):
            with self.subTest(offset=offset, value=hex(value)), Sim() as s:
                s.follow(5)
                s.claim()
                old = s.sim("device-read", device=NIC, offset=offset)["value"]
                s.sim("device-write", device=NIC, offset=offset, value=value)
                s.clear_log()
                with self.assertRaises(RpcError) as e:
                    s.attach(5, wait=2)
                self.assertEqual(e.exception.data["code"], "host-error")
                self.assertEqual([x for x in s.log("allow_memory", "allow_ports", "allow_irq")
                                  if x["allow"]], [])
                s.sim("device-write", device=NIC, offset=offset, value=old)
                s.assert_clean()

    def test_h21_device_that_vanished_while_claimed(self):
        with Sim() as s:
            s.follow(5)
            s.claim()
            s.sim("device-set", device=NIC, gone=True)
            with self.assertRaises(RpcError):
                s.attach(5, wait=2)
            self.assertTrue(s.alive())
            leaks = s.leaks()
            for kind in ("permissions", "pirqs", "pages", "ports", "nodes"):
                self.assertEqual(leaks[kind], [])

    def test_h21_device_that_vanishes_under_its_guest(self):
        with Sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.sim("device-set", device=NIC, gone=True)
            self.assertTrue(s.op(5, READ, offset=0, size=4)["done"])
            try:
                s.detach(5)
            except RpcError:
                pass
            leaks = s.leaks()
            for kind in ("permissions", "pirqs", "pages", "ports", "nodes"):
                self.assertEqual(leaks[kind], [])
            self.assertEqual(s.state(), "failed")


if __name__ == "__main__":
    unittest.main()
