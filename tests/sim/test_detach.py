# SPDX-License-Identifier: MIT
"""Taking devices back: with the guest's help, without it, and giving them back to the host."""
import unittest

from simlib import *

MASTER, DECODE = 4, 3


class Detach(unittest.TestCase):
    def test_guest_that_does_not_answer_keeps_the_device(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.follow(5, on=False)
            with self.assertRaises(RpcError) as e:
                s.detach(5)
            self.assertEqual(e.exception.data["code"], "timeout")
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.dev()["vectors"], 1)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.follow(5)
            s.detach(5, force=True)

    def test_h7_order_of_forced_revocation(self):
        with Sim(clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.enable_msix(5, [0, 1])
            s.follow(5, on=False)
            s.clear_log()
            s.detach(5, force=True)
            log = s.log()
            revoke = {"call": "allow_memory", "allow": False}
            master_off = command_write(clear=MASTER)

            def msi_unmapped(entry):
                return entry["call"] == "unmap_pirq" and entry["pirq"] >= 48
            assert_before(log, revoke, "job_reset.start")
            assert_order(log, revoke, master_off, msi_unmapped, command_write(clear=DECODE),
                         "job_reset", "device_deassign")
            self.assertLess(max(i for i, e in enumerate(log) if msi_unmapped(e)),
                            find(log, command_write(clear=DECODE)),
                            "MSI-X is unmapped with decode on")
            self.assertEqual(s.dev()["command"] & (MASTER | DECODE), 0)
            self.assertEqual(s.dev()["owner"], DOMID_IO)

    def test_taken_by_force_is_tainted_until_that_guest_is_gone(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.connect()
            s.follow(5, on=False)
            s.detach(5, force=True)
            self.assertTrue(s.show()["tainted"])
            with self.assertRaises(RpcError) as e:
                s.attach(6)
            self.assertEqual(e.exception.data["code"], "refused")
            s.sim("domain-destroy", domid=5)
            s.settle()
            s.follow(6)
            s.attach(6, wait=5)
            self.assertFalse(s.show()["tainted"])
            s.detach(6)

    def test_policy_may_give_a_tainted_device_on(self):
        with Sim(domains=[domain(5), domain(6)], clean=True, config={"devices": [
                {"name": "nic0", "bdf": NIC, "reassign_while_alive": True}]}) as s:
            s.connect()
            s.follow(5, on=False)
            s.detach(5, force=True)
            self.assertTrue(s.show()["tainted"])
            s.follow(6)
            s.attach(6, wait=5)
            self.assertEqual(s.dev()["owner"], 6)
            s.detach(6)

    def test_detach_of_the_last_device_removes_both_directories(self):
        with Sim(clean=True) as s:
            s.connect()
            s.detach(5)
            s.settle()
            self.assertNotIn("device", [n for n in s.names("/local/domain/5/device")])
            self.assertEqual(s.names("/local/domain/0/backend"), [])
            self.assertEqual(s.names("/libxl/pci"), [])

    def test_registers_are_the_hosts_again(self):
        with Sim(clean=True) as s:
            s.claim()
            before = [s.sim("device-read", device=NIC, offset=o)["value"]
                      for o in range(0, 0x40, 4)]
            s.follow(5)
            s.attach(5, wait=5)
            s.config_write(5, 4, 2, 0x0007)
            s.config_write(5, 0x0C, 1, 0x10)
            s.sim("device-write", device=NIC, offset=0x10, value=0xFEB00000, raw=True)
            s.detach(5)
            after = [s.sim("device-read", device=NIC, offset=o)["value"]
                     for o in range(0, 0x40, 4)]
            for i, (a, b) in enumerate(zip(before, after)):
                if i != 1:
                    self.assertEqual(a, b, hex(4 * i))

    def test_no_view_survives_into_the_next_guest(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.connect(5)
            fresh = [s.config_read(5, o) for o in range(0, 0x100, 4)]
            s.config_write(5, 4, 2, 0x0147)
            s.config_write(5, 0x10, 4, 0xFFFFFFFF)
            s.config_write(5, 0x0D, 1, 0xFF)
            s.detach(5)
            s.follow(6)
            s.attach(6, wait=5)
            s.settle()
            self.assertEqual([s.config_read(6, o) for o in range(0, 0x100, 4)], fresh)
            s.detach(6)

    def test_device_in_d3_is_woken_before_its_vectors_go(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.sim("device-write", device=NIC, offset=0xCC, size=2, value=3, raw=False)
            s.detach(5)
            s.attach(5, wait=5)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)
            s.detach(5)

    def test_reset_that_hangs_makes_it_failed(self):
        with Sim() as s:
            s.connect()
            s.fault("job_reset", "ETIMEDOUT")
            try:
                s.detach(5)
            except RpcError as e:
                self.assertIn(e.data["code"], ("timeout", "host-error"))
            self.assertEqual(s.state(), "failed")
            with self.assertRaises(RpcError):
                s.attach(5)
            leaks = s.leaks()
            self.assertEqual((leaks["permissions"], leaks["pirqs"], leaks["nodes"]), ([], [], []))
            self.assertEqual(s.dev()["owner"], DOMID_IO)

    def test_two_verbs_on_one_device_do_not_mix(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.follow(5)
            s.follow(6)
            s.claim()
            s.sim("device-set", device=NIC, reset_ms=600)
            first = s.rpc.start("attach", guest="5", dev=NIC, wait=5)
            s.wait_for("its reset", lambda: s.dev()["resetting"])
            other = Rpc(s.control_path)  # a client's own requests wait for each other
            for method, params in (("attach", {"guest": "6"}), ("release", {})):
                with self.assertRaises(RpcError) as e:
                    other.call(method, dev=NIC, **params)
                self.assertEqual(e.exception.data["code"], "wrong-state")
            other.close()
            s.rpc.finish(first)
            self.assertEqual(s.dev()["owner"], 5)
            s.detach(5)

    def test_daemon_that_ends_leaves_the_guest_connected(self):
        with Sim() as s:
            s.connect()
            before = s.sim("store-dump", path=s.be(5))["nodes"]
            self.assertEqual(s.stop(), 0)
            self.assertTrue(before)
            self.assertNotIn("violation", s.stderr())


if __name__ == "__main__":
    unittest.main()
