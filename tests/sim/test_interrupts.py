# SPDX-License-Identifier: MIT
"""MSI, MSI-X and the line."""
import unittest

from simlib import *

MSI, MSIX = 0xD0, 0xA0  # capabilities of e1000e
INTX_DISABLE = 0x400


def control(s, cap, bdf=NIC):
    return s.sim("device-read", device=bdf, offset=cap + 2, size=2)["value"]


class Interrupts(unittest.TestCase):
    def test_msix_order_and_bits(self):
        with Sim(clean=True) as s:
            s.connect()
            s.clear_log()
            answer = s.enable_msix(5, [2, 0])
            self.assertEqual((answer["err"], answer["value"]), (0, 0))
            mapped = [(e["entry"], e["pirq"]) for e in s.log("map_msi")]
            self.assertEqual(dict(zip((2, 0), answer["vectors"])), dict(mapped))
            self.assertEqual(control(s, MSIX) & 0xC000, 0x8000)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            self.assertEqual(s.disable_msix(5)["err"], 0)
            self.assertEqual(control(s, MSIX) & 0xC000, 0)
            s.detach(5)

    def test_second_enable_msix_replaces_the_first(self):
        with Sim(clean=True) as s:
            s.connect()
            first = s.enable_msix(5, [0, 1, 2])["vectors"]
            s.clear_log()
            answer = s.enable_msix(5, [0, 3])
            self.assertEqual(answer["err"], 0)
            self.assertEqual(answer["value"], 0)
            log = s.log()
            assert_before(log, "unmap_pirq", "map_msi")
            self.assertEqual(sorted(e["pirq"] for e in log if e["call"] == "unmap_pirq"),
                             sorted(first))
            self.assertEqual(s.dev()["vectors"], 2)
            self.assertEqual(control(s, MSIX) & 0xC000, 0x8000)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            s.detach(5)

    def test_h17_intx_disable_again_after_msi_unmap(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.clear_log()
            s.enable_msix(5, [0])
            # unmapping turned the line on again: it is off while MSI-X is in use
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            s.clear_log()
            s.detach(5)
            log = s.log()
            unmapped = max(i for i, e in enumerate(log) if e["call"] == "unmap_pirq")
            reset = find(log, "job_reset.start")
            self.assertGreaterEqual(
                find(log[:reset], command_write(set_=INTX_DISABLE), unmapped), 0,
                "the line stays on between unmap and reset")

    def test_msi(self):
        with Sim(devices=[device("intel-hda", NIC)], clean=True) as s:
            s.connect()
            answer = s.op(5, ENABLE_MSI)
            self.assertEqual(answer["err"], 0)
            self.assertIn(answer["value"], [p["pirq"] for p in s.leaks()["pirqs"] if p["device"]])
            self.assertEqual(control(s, 0x60) & 1, 1)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            answer = s.op(5, DISABLE_MSI)
            self.assertEqual((answer["err"], answer["value"]), (0, 19))
            self.assertEqual(control(s, 0x60) & 1, 0)
            self.assertEqual(s.dev()["vectors"], 0)
            s.detach(5)

    def test_disable_of_what_is_not_enabled_succeeds(self):
        with Sim(clean=True) as s:
            s.connect()
            for cmd in (DISABLE_MSI, DISABLE_MSIX, DISABLE_MSIX):
                self.assertEqual(s.op(5, cmd)["err"], 0)
            s.detach(5)

    def test_msi_and_msix_exclude_each_other(self):
        with Sim(clean=True) as s:
            s.connect()
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)
            self.assertNotEqual(s.op(5, ENABLE_MSI)["err"], 0)
            self.assertEqual(s.dev()["vectors"], 1)
            s.disable_msix(5)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], 0)
            self.assertNotEqual(s.enable_msix(5, [0])["err"], 0)
            self.assertEqual(s.dev()["vectors"], 1)
            s.detach(5)

    def test_bad_vector_lists_map_nothing(self):
        with Sim(clean=True) as s:
            s.connect()
            for value, entries in ((0, []), (129, [0]), (6, [0, 1, 2, 3, 4, 5]), (2, [1, 1]),
                                   (1, [5]), (1, [0xFFFF]), (0xFFFFFFFF, [0]), (5, [0, 1, 2, 3, 9])):
                answer = s.op(5, ENABLE_MSIX, value=value, entries=entries)
                self.assertTrue(answer["done"])
                self.assertNotEqual(answer["err"], 0, (value, entries))
                self.assertEqual(s.dev()["vectors"], 0, (value, entries))
                self.assertEqual(control(s, MSIX) & 0x8000, 0, (value, entries))
            self.assertEqual(s.enable_msix(5, [4])["err"], 0)
            s.detach(5)

    def test_out_of_pirqs(self):
        with Sim(devices=[device("nvme", NIC)], clean=True) as s:
            s.connect()
            answer = s.enable_msix(5, range(33))
            self.assertNotEqual(answer["err"], 0)
            self.assertEqual(s.dev()["vectors"], 0)
            answer = s.enable_msix(5, range(32))
            self.assertEqual(answer["err"], 0)
            self.assertEqual(len(set(answer["vectors"])), 32)
            s.detach(5)

    def test_what_has_run_out_is_said(self):
        """Xen answers ENOSPC when the guest has no pirq, EINVAL when no processor has a vector."""
        with Sim(clean=True) as s:
            s.connect()
            for error, words in (("ENOSPC", "boot Xen with extra_guest_irqs"),
                                 ("EINVAL", "the host's processors have no vectors left")):
                self.assertNotIn(words, s.stderr())
                s.fault("map_msi", error)
                self.assertNotEqual(s.enable_msix(5, [0])["err"], 0)
                self.assertIn(words, s.stderr())
            s.detach(5)

    def test_each_vector_fails_in_turn(self):
        with Sim(clean=True) as s:
            s.connect()
            for nth in range(1, 6):
                s.fault("map_msi", "ENOSPC", nth=nth)
                answer = s.enable_msix(5, range(5))
                self.assertNotEqual(answer["err"], 0)
                self.assertEqual(s.dev()["vectors"], 0)
                self.assertEqual(control(s, MSIX) & 0x8000, 0)
            self.assertEqual(s.enable_msix(5, range(5))["err"], 0)
            s.detach(5)

    def test_each_cycle_of_enable_fails_in_turn(self):
        with Sim(clean=True) as s:
            s.connect()
            s.clear_log()
            s.enable_msix(5, [0, 1])
            cycles = len(s.log("cycle_read", "cycle_write"))
            s.disable_msix(5)
            for nth in range(1, cycles + 1):
                s.fault("cycle_*", "EIO", nth=nth)
                answer = s.enable_msix(5, [0, 1])
                s.sim("fault-clear")
                self.assertTrue(answer["done"])
                self.assertEqual(s.dev()["vectors"], 2 if answer["err"] == 0 else 0, nth)
                s.disable_msix(5)
                self.assertEqual(s.dev()["vectors"], 0)
            s.detach(5)

    def test_asleep_device_maps_nothing_and_lets_go_awake(self):
        """Xen reaches into the table of MSI-X; in D3hot nothing answers there."""
        pm = 0xC8
        with Sim(clean=True) as s:
            s.connect()
            before = s.enable_msix(5, [0, 1])["vectors"]
            s.config_write(5, pm + 4, 2, 3)
            s.clear_log()
            self.assertEqual(s.enable_msix(5, [0])["err"], OP_FAILED)
            self.assertEqual(s.log("map_msi", "unmap_pirq"), [])
            self.assertEqual([p["pirq"] for p in s.leaks()["pirqs"] if p["device"]],
                             sorted(before))
            self.assertEqual(s.disable_msix(5)["err"], 0)
            log = s.log()
            awake = find(log, lambda e: e["call"] == "cycle_write" and e["offset"] == pm + 4 and
                         e["value"] & 3 == 0)
            self.assertGreater(find(log, "unmap_pirq"), awake)
            self.assertGreaterEqual(awake, 0)
            self.assertEqual(s.dev()["vectors"], 0)
            s.config_write(5, pm + 4, 2, 3)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], OP_FAILED)
            self.assertEqual(s.op(5, ENABLE_MULTI_MSI, value=1)["err"], OP_FAILED)
            s.config_write(5, pm + 4, 2, 0)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)
            s.detach(5)

    def test_line_is_mapped_and_revoked(self):
        with Sim(devices=[device("e1000")], clean=True) as s:
            s.connect()
            leaks = s.leaks()
            self.assertEqual([p["pirq"] for p in leaks["pirqs"]], [22])
            self.assertIn({"domid": 5, "kind": "irq", "first": 22, "count": 1},
                          leaks["permissions"])
            s.detach(5)

    def test_shared_line_is_revoked_with_its_last_user(self):
        devices = [device("e1000"), moved(device("e1000"), DISK)]
        with Sim(devices=devices, clean=True) as s:
            s.connect()
            s.claim(DISK)
            s.attach(5, DISK, wait=5)
            s.detach(5, NIC)
            self.assertEqual([p["pirq"] for p in s.leaks()["pirqs"]], [22])
            s.detach(5, DISK)

    def test_no_permission_beyond_the_device(self):
        with Sim() as s:
            s.connect()
            granted = {(p["kind"], p["first"], p["count"]) for p in s.leaks()["permissions"]}
            self.assertEqual(granted, {("memory", 0xFEA20, 0x20), ("memory", 0xFEA40, 0x20),
                                       ("ports", 0xC040, 0x20), ("memory", 0xFEA60, 4),
                                       ("irq", 21, 1)})


if __name__ == "__main__":
    unittest.main()
