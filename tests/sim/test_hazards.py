# SPDX-License-Identifier: MIT
"""What brings a host down: rules H3, H4, H16, H21 (H2, H20: test_death; H17: test_interrupts)."""
import unittest

from simlib import *

MASTER, MEMORY = 4, 2


class H3(unittest.TestCase):
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
