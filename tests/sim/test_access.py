# SPDX-License-Identifier: MIT
"""What a guest's accesses reach."""
import unittest

from simlib import *


class Access(unittest.TestCase):
    def test_bar_sizing_never_reaches_hardware(self):
        with Sim() as s:
            s.connect()
            before = [s.sim("device-read", device=NIC, offset=o)["value"]
                      for o in range(0x10, 0x28, 4)]
            sizes = (0xFFFE0000, 0xFFFE0000, 0xFFFFFFE1, 0xFFFFC000)
            s.clear_log()
            for i, size in enumerate(sizes):
                at = 0x10 + 4 * i
                value = s.config_read(5, at)
                self.assertEqual(value, before[i])
                self.assertEqual(s.config_write(5, at, 4, 0xFFFFFFFF), 0)
                self.assertEqual(s.config_read(5, at), size)
                self.assertEqual(s.config_write(5, at, 4, value), 0)
                self.assertEqual(s.config_read(5, at), value)
            after = [s.sim("device-read", device=NIC, offset=o)["value"]
                     for o in range(0x10, 0x28, 4)]
            self.assertEqual(before, after)
            self.assertFalse([e for e in s.log("cycle_write")
                              if 0x10 <= e["offset"] < 0x28 and
                              e["value"] != before[(e["offset"] - 0x10) // 4]])

    def test_decode_is_the_hosts(self):
        with Sim() as s:
            s.connect()
            command = s.config_read(5, 4, 2)
            self.assertEqual(s.config_write(5, 4, 2, 0), 0)
            self.assertEqual(s.config_read(5, 4, 2) & 3, 0)
            self.assertEqual(s.dev()["command"] & 3, 3)
            self.assertEqual(s.config_write(5, 4, 2, command | 0x146), 0)
            self.assertEqual(s.config_read(5, 4, 2) & 6, 6)
            hardware = s.dev()["command"]
            self.assertEqual(hardware & 7, 7)
            self.assertEqual(hardware & 0x140, 0, "SERR and PARITY are never the guest's")

    def test_unlisted_registers_are_dropped_with_success(self):
        with Sim() as s:
            s.connect()
            s.clear_log()
            for at in (0x08, 0x2C, 0x40, 0x50, 0xA4, 0x104, 0x10C):
                self.assertEqual(s.config_write(5, at, 4, 0xFFFFFFFF), 0, hex(at))
            self.assertEqual(s.log("cycle_write"), [])

    def test_absent_functions_are_not_found(self):
        with Sim() as s:
            s.connect()
            for devfn in range(1, 256):
                if devfn % 7 == 0 or devfn < 16:
                    self.assertEqual(s.op(5, READ, devfn, offset=0, size=4)["err"], NOT_FOUND)

    def test_bus_scan_of_a_linux_guest(self):
        with Sim(devices=[device("e1000e"), device("rtl8139")]) as s:
            s.connect()
            s.claim(OLD)
            s.attach(5, OLD, wait=5)
            s.settle()
            found = {}
            for slot in range(32):
                answer = s.op(5, READ, slot << 3, offset=0, size=4)
                if answer["err"] == 0:
                    found[slot] = answer["value"]
            self.assertEqual(found, {0: 0x10D38086, 1: 0x813910EC})
            self.assertEqual(s.config_read(5, 0x0E, 1), 0)
            cap, caps = s.config_read(5, 0x34, 1), []
            while cap and len(caps) < 48:
                caps.append(s.config_read(5, cap, 1))
                cap = s.config_read(5, cap + 1, 1)
            self.assertEqual(caps, [0x01, 0x05, 0x10, 0x11])

    def test_interrupt_line_is_the_guests_pirq(self):
        with Sim(devices=[device("e1000")]) as s:
            s.connect()
            self.assertEqual(s.config_read(5, 0x3C, 1), 22)
            self.assertEqual(s.config_write(5, 0x3C, 1, 5), 0)
            self.assertEqual(s.config_read(5, 0x3C, 1), 22)
            self.assertEqual(s.config_read(5, 0x3D, 1), 1)
            self.assertEqual([(p["pirq"], p["domid"]) for p in s.leaks()["pirqs"]], [(22, 5)])

    def test_h21_failed_devices_read_all_ones(self):
        with Sim() as s:
            s.connect()
            s.sim("device-set", device=NIC, gone=True)
            for at, size in ((0x10, 4), (4, 2), (0x3C, 1), (0xA2, 2)):
                answer = s.op(5, READ, offset=at, size=size)
                self.assertTrue(answer["done"])
            answer = s.op(5, READ, offset=6, size=2)
            self.assertEqual(answer["value"] & 0xFFFF, 0xFFFF)
            self.assertTrue(s.alive())

    def test_error_of_the_host_is_op_failed(self):
        with Sim(clean=True) as s:
            s.connect()
            s.fault("cycle_read", "EIO")
            answer = s.op(5, READ, offset=6, size=2)
            self.assertTrue(answer["done"])
            self.assertEqual(answer["err"], OP_FAILED)
            self.assertEqual(s.op(5, READ, offset=6, size=2)["err"], 0)
            s.detach(5)

    def test_slow_device_does_not_stop_the_others(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=[domain(5), domain(6)],
                 clean=True) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            s.sim("device-set", device=NIC, slow_ms=1200)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=6, size=2), flags=1)
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            self.assertEqual(s.flags(5) & 1, 1, "the slow one is still under way")
            s.wait_for("answer", lambda: s.flags(5) & 1 == 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            s.detach(5, NIC)
            s.detach(6, DISK)

    def test_answer_after_the_guest_gave_up_is_dropped(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=300)
            answer = s.op(5, READ, offset=6, size=2, wait_ms=50)
            self.assertFalse(answer["done"])
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, err=77, offset=6, size=2, value=88),
                  notify=False)
            s.settle()
            page = s.sim("peek", domid=5, length=40)["hex"]
            self.assertEqual(page[8:80], pack_op(READ, err=77, offset=6, size=2, value=88),
                             "nothing is written into an operation that was taken back")
            s.sim("device-set", device=NIC, slow_ms=0)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_only_err_value_and_vectors_are_written_back(self):
        with Sim() as s:
            s.connect()
            sent = pack_op(READ, err=5, offset=0, size=4, value=0x11, info=0x77777777) + "ab" * 512
            s.sim("post", domid=5, offset=4, hex=sent + "cd" * 20)
            s.sim("post", domid=5, offset=4, hex=sent + "cd" * 20, flags=1)
            s.wait_for("answer", lambda: s.flags(5) & 1 == 0)
            got = s.sim("peek", domid=5, length=572)["hex"][8:]
            wanted = (pack_op(READ, err=0, offset=0, size=4, value=0x10D38086, info=0x77777777) +
                      "ab" * 512 + "cd" * 20)
            self.assertEqual(got, wanted)

    def test_many_operations_in_a_row(self):
        with Sim() as s:
            s.connect()
            for i in range(500):
                self.assertEqual(s.config_read(5, 0), 0x10D38086, i)

    def test_event_without_a_request_and_stray_ports(self):
        with Sim() as s:
            s.connect()
            for _ in range(50):
                s.sim("notify", domid=5)
                s.sim("stray", port=4000)
                s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_first_request_is_seen_though_its_event_came_before_the_bind(self):
        with Sim() as s:
            s.claim()
            s.attach(5)
            s.settle()
            s.sim("publish", domid=5, state=None)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ), flags=1, notify=False)
            s.sim("state", domid=5, state=3)
            s.wait_for("answer", lambda: s.flags(5) & 1 == 0)


if __name__ == "__main__":
    unittest.main()
