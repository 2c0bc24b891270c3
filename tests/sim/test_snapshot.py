# SPDX-License-Identifier: MIT
"""What is answered from the claim's image, and what always comes from hardware: config cycles are
counted."""
import unittest

from simlib import *

PM, MSI, MSIX, EXP = 0xC8, 0xD0, 0xA0, 0xE0  # of e1000e
SERIAL = 0x144
FLR = 0x8000
ONES = 0xFFFFFFFF


def cycles(s, at, size=4, bdf=NIC):
    """(the answer, how often hardware was asked for it)."""
    s.clear_log()
    answer = s.op(5, READ, offset=at, size=size)
    assert answer["done"] and answer["err"] == 0, answer
    log = [e for e in s.log("cycle_read", "cycle_write") if e["device"] == bdf]
    return answer["value"] & (1 << 8 * size) - 1, len(log)


def misses(s):
    return [g for g in s.call("guests")["guests"] if g["domid"] == 5][0]["counters"][
        "snapshot_misses"]


class Snapshot(unittest.TestCase):
    def remembered(self, s, at=SERIAL):
        """From the second read on at the latest, hardware is not asked."""
        value = cycles(s, at)[0]
        self.assertEqual(cycles(s, at), (value, 0))
        return value

    def asked_again(self, s, at=SERIAL):
        value = s.sim("device-read", device=NIC, offset=at)["value"]
        self.assertEqual(cycles(s, at), (value, 1))
        self.assertEqual(cycles(s, at), (value, 0))

    def test_what_cannot_change_costs_no_cycle(self):
        with Sim(clean=True) as s:
            s.connect()
            for at in (0x00, 0x08, 0x10, 0x2C, 0x100, MSIX + 4, MSIX + 8, EXP + 4):
                self.assertEqual(cycles(s, at)[1], 0, hex(at))
            for at in (SERIAL, SERIAL + 4):
                self.asked_again(s, at)
            self.assertEqual([cycles(s, 0x3C)[1] for _ in range(3)], [1, 0, 0])
            self.assertEqual(misses(s), 0)
            s.detach(5)

    def test_h21_live_registers_are_read_from_hardware_each_time(self):
        live = ((4, 0x0004), (6, 0x0008), (PM + 4, 0x8000), (MSI + 2, 0x0001),
                (MSIX + 2, 0x8000), (MSIX + 2, 0x0001), (EXP + 10, 0x0020), (EXP + 18, 0x0001))
        with Sim() as s:
            s.connect()
            for at, bit in live:
                value = cycles(s, at, 2)[0]
                for _ in range(4):
                    now = s.sim("device-read", device=NIC, offset=at, size=2)["value"] ^ bit
                    s.sim("device-write", device=NIC, offset=at, size=2, value=now, raw=True)
                    value ^= bit
                    self.assertEqual(cycles(s, at, 2), (value, 1), hex(at))

    def test_h21_pending_bits_of_msi_are_read_from_hardware_each_time(self):
        # a maskable MSI of 64 bits: its pending bits are 0x14 behind
        with Sim(devices=[device("e1000e", patch=[[MSI, 4, 0x01800005],
                                                  [PM + 1, 1, EXP], [EXP + 1, 1, MSIX],
                                                  [MSIX + 1, 1, 0x40], [0x40, 4, 0x01800005],
                                                  [MSI, 2, 0]])]) as s:
            s.connect()
            for value in (0, 1, 0, 1):
                s.sim("device-write", device=NIC, offset=0x54, value=value, raw=True)
                self.assertEqual(cycles(s, 0x54), (value, 1))

    def test_after_a_reset_hardware_is_asked_again(self):
        with Sim(devices=[device("e1000e", patch=[[EXP + 4, 4, 0x10008000]])]) as s:
            s.connect()
            self.remembered(s)
            self.assertEqual(s.config_write(5, EXP + 8, 2, FLR), 0)
            s.wait_for("the reset", lambda: s.log("job_reset") and s.state() == "assigned")
            s.settle()
            self.asked_again(s)

    def test_after_a_change_of_power_hardware_is_asked_again(self):
        with Sim() as s:
            s.connect()
            for state in (3, 0, 0):
                self.remembered(s)
                self.assertEqual(s.config_write(5, PM + 4, 2, state), 0)
                self.asked_again(s)

    def test_after_an_event_of_the_device_hardware_is_asked_again(self):
        with Sim(devices=[device("e1000e"), device("nvme")]) as s:
            s.connect()
            self.remembered(s)
            for what in ("add", "bind", "unbind"):
                s.sim("uevent", what=what, device=DISK, driver="nvme")
                s.settle()
                self.assertEqual(cycles(s, SERIAL)[1], 0, "it was another device's")
                s.sim("uevent", what=what, device=NIC, driver="pci-stub")
                s.settle()
                self.asked_again(s)
            s.sim("uevent", what="lost")
            s.settle()
            self.asked_again(s)

    def test_after_a_reload_that_changes_it_hardware_is_asked_again(self):
        with Sim() as s:
            s.connect()
            self.remembered(s)
            s.write_quirks([{"id": "other-rules", "reason": "test", "source": "test",
                             "match": {"vendor": "0x8086", "device": ["0x10d3"]},
                             "fields": [{"at": "0x44", "size": 4, "write": "0xff",
                                         "why": "test"}]}])
            s.reload()
            s.settle()
            self.asked_again(s)

    def test_another_guest_and_another_process_begin_with_hardware(self):
        with Sim(supervise=True) as s:
            s.connect()
            self.remembered(s)
            s.restart_gracefully()
            s.settle()
            self.asked_again(s)
            s.detach(5)
            s.attach(5, NIC, wait=5)
            s.settle()
            self.asked_again(s)

    def test_h21_a_device_that_vanishes_reads_all_ones(self):
        with Sim() as s:
            s.connect()
            serial = self.remembered(s)
            s.sim("device-set", device=NIC, gone=True)
            self.assertEqual(cycles(s, 6, 2), (0xFFFF, 1))
            for _ in range(2):
                self.assertEqual(cycles(s, SERIAL), (ONES, 1))
                self.assertEqual(cycles(s, SERIAL + 4), (ONES, 1))
            self.assertEqual(misses(s), 4)
            s.sim("device-set", device=NIC, gone=False)
            self.assertEqual(cycles(s, SERIAL), (serial, 1))
            self.assertEqual(cycles(s, SERIAL), (serial, 0))

    def test_xsa_337_what_a_guest_changed_is_told_as_hardware_says_it(self):
        with Sim() as s:
            s.connect()
            serial = s.sim("device-read", device=NIC, offset=SERIAL)["value"]
            s.sim("device-write", device=NIC, offset=SERIAL, value=serial ^ 1, raw=True)
            for n in range(3):
                self.assertEqual(misses(s), n)
                self.assertEqual(cycles(s, SERIAL), (serial ^ 1, 1))


if __name__ == "__main__":
    unittest.main()
