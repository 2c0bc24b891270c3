# SPDX-License-Identifier: MIT
"""Several vectors of MSI at once (op 10 of pciif.h); hazard H18."""
import unittest

from simlib import *
from test_death import faultable

MSI = 0xD0  # of e1000e
INTX_DISABLE = 0x400


def many(vectors_log2=5, bdf=None):
    """An e1000e whose MSI can do 1 << VECTORS_LOG2 vectors."""
    return device("e1000e", bdf, patch=[[MSI + 2, 2, 0x80 | vectors_log2 << 1]])


def control(s):
    return s.sim("device-read", device=NIC, offset=MSI + 2, size=2)["value"]


def enable(s, count):
    return s.op(5, ENABLE_MULTI_MSI, value=count)


def msi_pirqs(s):
    return sorted(p["pirq"] for p in s.leaks()["pirqs"] if p["device"])


class H18(unittest.TestCase):
    def test_H18_a_row_of_pirqs_from_the_one_that_is_answered(self):
        for count, mapped in ((1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (17, 32), (32, 32)):
            with self.subTest(count=count), Sim(devices=[many()], clean=True) as s:
                s.connect()
                answer = enable(s, count)
                self.assertEqual(answer["err"], 0)
                first = answer["value"]
                self.assertEqual(msi_pirqs(s), list(range(first, first + mapped)))
                self.assertEqual(control(s) & 0x71, (mapped.bit_length() - 1) << 4 | 1)
                self.assertTrue(s.dev()["command"] & INTX_DISABLE)
                self.assertEqual((s.show()["interrupt"], s.show()["vectors"]), ("msi", mapped))
                s.clear_log()
                self.assertEqual(s.op(5, DISABLE_MSI)["err"], 0)
                self.assertEqual([e["pirq"] for e in s.log("unmap_pirq")], [first],
                                 "only the first may be unmapped")
                self.assertEqual(msi_pirqs(s), [])
                s.detach(5)

    def test_H18_enable_is_off_before_the_map(self):
        """Also when MSI was on already: then the first mapping goes before."""
        with Sim(devices=[many()], clean=True) as s:
            s.connect()
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], 0)
            s.clear_log()
            self.assertEqual(enable(s, 4)["err"], 0)
            assert_before(s.log(), "unmap_pirq", "map_multi_msi")
            self.assertEqual(s.dev()["vectors"], 4)
            self.assertEqual(enable(s, 8)["err"], 0)
            self.assertEqual(s.dev()["vectors"], 8)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], 0)
            self.assertEqual(s.dev()["vectors"], 1)
            s.detach(5)

    def test_H18_without_interrupt_remapping(self):
        with Sim(devices=[many()], clean=True) as s:
            s.sim("set", remapping=False)
            s.connect()
            self.assertEqual(enable(s, 2)["err"], OP_FAILED)
            self.assertEqual(s.dev()["vectors"], 0)
            self.assertEqual(control(s) & 1, 0)
            self.assertFalse(s.dev()["command"] & INTX_DISABLE, "the line works again")
            self.assertIn("interrupt remapping", s.stderr())
            self.assertEqual(enable(s, 1)["err"], 0, "one vector needs none")
            s.detach(5)

    def test_H18_more_than_the_device_has(self):
        with Sim(devices=[many(2)], clean=True) as s:
            s.connect()
            s.clear_log()
            for count in (0, 5, 8, 33, 64, 0x80000000, 0xFFFFFFFF):
                self.assertEqual(enable(s, count)["err"], OP_FAILED, count)
            self.assertEqual(s.log("map_msi", "map_multi_msi", "cycle_write"), [])
            self.assertEqual(enable(s, 4)["err"], 0)
            s.detach(5)

    def test_H18_no_row_that_is_long_enough(self):
        with Sim(devices=[many()], scenario={"msi_pirqs": 15}, clean=True) as s:
            s.connect()
            self.assertEqual(enable(s, 16)["err"], OP_FAILED)
            self.assertEqual(msi_pirqs(s), [])
            self.assertEqual(enable(s, 8)["err"], 0)
            s.detach(5)

    def test_H18_a_kept_row_is_unmapped_by_its_first_alone(self):
        """Xen does not take it back at first: it stays on record, as a whole."""
        with Sim(devices=[many()]) as s:
            s.connect()
            first = enable(s, 4)["value"]
            s.fault("unmap_pirq", "EBUSY")
            self.assertEqual(s.op(5, DISABLE_MSI)["err"], 0)
            self.assertEqual(s.show()["vectors"], 4)
            s.clear_log()
            s.detach(5)
            self.assertEqual([e["pirq"] for e in s.log("unmap_pirq") if e["pirq"] >= 48],
                             [first])
            self.assertEqual(msi_pirqs(s), [])
            s.assert_clean()

    def test_counts_toward_the_limit_of_a_guest(self):
        with Sim(devices=[many()], config={"limits": {"pirqs_per_guest": 7}}, clean=True) as s:
            s.connect()
            self.assertEqual(enable(s, 5)["err"], OP_FAILED, "Xen would make 8 of them")
            self.assertEqual(enable(s, 4)["err"], 0)
            s.detach(5)

    def test_excludes_msix(self):
        with Sim(devices=[many()], clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            self.assertNotEqual(enable(s, 4)["err"], 0)
            s.disable_msix(5)
            self.assertEqual(enable(s, 4)["err"], 0)
            self.assertNotEqual(s.enable_msix(5, [0])["err"], 0)
            self.assertEqual(s.dev()["vectors"], 4)
            s.detach(5)

    def test_device_without_msi(self):
        with Sim(devices=[device("rtl8139", NIC)], clean=True) as s:
            s.connect()
            self.assertEqual(enable(s, 2)["err"], OP_FAILED)
            s.detach(5)

    def test_H9_undone_when_the_guest_gave_up(self):
        with Sim(devices=[many()], clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=60)
            answer = s.op(5, ENABLE_MULTI_MSI, value=4, wait_ms=30, give_up=True)
            self.assertFalse(answer["done"])
            s.sim("device-set", device=NIC, slow_ms=0)
            s.settle()
            s.wait_for("the end", lambda: s.dev()["vectors"] == 0 and control(s) & 1 == 0)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_every_call_of_it_fails_in_turn(self):
        with Sim(devices=[many()], clean=True) as s:
            s.connect()
            s.clear_log()
            self.assertEqual(enable(s, 4)["err"], 0)
            calls = [e["call"] for e in faultable(s.log()) if not e["call"].startswith("port_")]
            self.assertIn("map_multi_msi", calls)
            s.op(5, DISABLE_MSI)
            for nth in range(1, len(calls) + 1):
                with self.subTest(nth=nth, call=calls[nth - 1]):
                    for pattern in ("cycle_*", "map_multi_msi"):
                        s.fault(pattern, "EIO", nth=nth)
                    answer = enable(s, 4)
                    s.sim("fault-clear")
                    self.assertEqual(s.dev()["vectors"], 4 if answer["err"] == 0 else 0)
                    s.op(5, DISABLE_MSI)
                    self.assertEqual(s.dev()["vectors"], 0)
            s.detach(5)

    def test_death_with_a_row_mapped(self):
        with Sim(devices=[many()], clean=True) as s:
            s.connect()
            enable(s, 8)
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")


if __name__ == "__main__":
    unittest.main()
