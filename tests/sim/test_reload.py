# SPDX-License-Identifier: MIT
"""A new generation of policy and quirks under live guests: no access is lost, nobody loses a device."""
import signal
import unittest

from simlib import *
from test_quirks import REG, caps, field, guard, plugin_stats, trait
from test_reset import DEVCTL, FLR, with_flr

OTHER = "0000:00:08.0"


def virtual(value="0x11", mask="0xffffffff"):
    return [{"id": "open", "fields": [field(virtual=mask, value=value)]}]


def nothing():
    return [{"id": "other", "match": {"vendor": "0x1234"}, "device": {"rom": "hide"}}]


BAD = [{"id": "misplaced", "capabilities": {"add": [{"at": "0xd4", "id": "vendor",
                                                     "bytes": "0000"}]}}]


def set_device(s, **policy):
    s.config["devices"] = [{"bdf": NIC, **policy}]
    s.write_config()


class Generations(unittest.TestCase):
    def test_new_rule_is_seen_by_the_attached_guest(self):
        with Sim(clean=True) as s:
            s.connect()
            self.assertEqual(s.config_read(5, REG), 0)
            s.write_quirks(virtual())
            report = s.reload()
            self.assertEqual(report["generation"], 2)
            self.assertEqual([c["device"] for c in report["changes"]], [NIC])
            self.assertEqual(s.config_read(5, REG), 0x11)
            s.config_write(5, REG, 4, 0x2222)
            self.assertEqual(s.config_read(5, REG), 0x2222)
            s.write_quirks(None)
            s.reload()
            self.assertEqual(s.config_read(5, REG), 0)
            s.detach(5)

    def test_shadows_that_stay_virtual_keep_the_guests_value(self):
        with Sim(quirks=virtual("0x11"), clean=True) as s:
            s.connect()
            s.config_write(5, REG, 4, 0xAABBCCDD)
            s.config_write(5, 4, 2, 0x401)
            s.config_write(5, 0x10, 4, 0xFFFFFFFF)  # sizing is under way
            before = (s.config_read(5, 4, 2), s.config_read(5, 0x10))
            s.write_quirks(virtual("0x77", mask="0x0000ffff"))
            s.reload()
            self.assertEqual(s.config_read(5, REG), 0x0000CCDD)
            self.assertEqual((s.config_read(5, 4, 2), s.config_read(5, 0x10)), before)
            s.write_quirks(virtual("0x77000000"))
            s.reload()
            self.assertEqual(s.config_read(5, REG), 0x7700CCDD, "what is new begins as the map says")
            s.detach(5)

    def test_one_that_does_not_fit_keeps_the_old_for_all(self):
        with Sim(devices=[device("nvme"), device("e1000e")], domains=[domain(5), domain(6)],
                 quirks=virtual(), clean=True) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            s.write_quirks(virtual("0x33") + BAD)
            for _ in range(3):
                with self.assertRaises(RpcError) as e:
                    s.reload()
                self.assertIn("misplaced", str(e.exception))
                self.assertIn("50-test.json", str(e.exception))
            self.assertEqual(s.call("stats")["generation"], 1)
            self.assertEqual(s.config_read(5, REG), 0x11)
            s.write_quirks(virtual("0x33"))
            self.assertEqual(s.reload()["generation"], 2)
            self.assertEqual(s.config_read(5, REG), 0x11, "the shadow is the guest's")
            s.detach(5, NIC)
            s.attach(5, NIC, wait=5)
            s.settle()
            self.assertEqual(s.config_read(5, REG), 0x33)
            s.detach(5, NIC)
            s.detach(6, DISK)

    def test_dry_run_changes_nothing(self):
        with Sim(clean=True) as s:
            s.connect()
            s.write_quirks(virtual())
            report = s.reload(dry_run=True)
            self.assertEqual(report["generation"], 1)
            self.assertEqual(len(report["changes"]), 1)
            self.assertEqual(s.config_read(5, REG), 0)
            s.detach(5)

    def test_32_devices_of_one_guest(self):
        slots = ["0000:00:%02x.0" % d for d in range(32)]
        devices = [moved(device("e1000e", irq=0), bdf, by=0x80000 * i)
                   for i, bdf in enumerate(slots)]
        for i, dev in enumerate(devices):
            dev["resources"][2] = [0x1000 + 0x40 * i, 0x103F + 0x40 * i, IO]
        with Sim(devices=devices, clean=True) as s:
            s.follow(5)
            for bdf in slots:
                s.claim(bdf)
                s.attach(5, bdf, wait=5)
            s.settle()
            s.write_quirks(virtual())
            self.assertEqual(len(s.reload()["changes"]), 32)
            for slot in range(32):
                self.assertEqual(s.config_read(5, REG, devfn=slot << 3), 0x11)
            s.write_quirks(BAD)
            with self.assertRaises(RpcError):
                s.reload()
            s.write_quirks(None)
            self.assertEqual(len(s.reload()["changes"]), 32)
            for slot in range(32):
                self.assertEqual(s.config_read(5, REG, devfn=slot << 3), 0)
            for bdf in slots:
                s.detach(5, bdf)

    def test_100_devices_are_compiled_16_a_turn(self):
        slots = ["0000:%02x:%02x.0" % (1 + i // 32, i % 32) for i in range(100)]
        devices = [moved(device("e1000e", irq=0), bdf, by=-0x80000 * i)
                   for i, bdf in enumerate(slots)]
        for i, dev in enumerate(devices):
            dev["resources"][2] = [0x1000 + 0x40 * i, 0x103F + 0x40 * i, IO]
        with Sim(devices=devices, config={"slots": slots}, clean=True) as s:
            s.settle()
            self.assertEqual({s.state(bdf) for bdf in slots}, {"claimed"})
            s.follow(5)
            s.attach(5, slots[-1], wait=5)
            s.settle()
            s.write_quirks(virtual())
            self.assertEqual(len(s.reload()["changes"]), 100)
            self.assertEqual(s.call("stats")["last_reload"]["turns"], 7)
            self.assertEqual(s.config_read(5, REG), 0x11)
            s.write_quirks(BAD)
            with self.assertRaises(RpcError):
                s.reload()
            self.assertEqual(s.call("stats")["generation"], 2)
            self.assertEqual(s.config_read(5, REG), 0x11)
            s.detach(5, slots[-1])

    def test_many_reloads_between_accesses(self):
        """Good and bad ones, by verb and by signal, while the guest asks on and on."""
        with Sim(clean=True) as s:
            s.connect()
            for i in range(40):
                quirks = (virtual(), nothing(), BAD)[i % 3]
                s.write_quirks(quirks)
                serial = s.rpc.start("reload")
                if i % 5 == 0:
                    s.process.send_signal(signal.SIGHUP)
                for at in (0, 4, 0x10, REG, 0x100):
                    s.config_read(5, at)
                try:
                    s.rpc.finish(serial)
                except RpcError as e:
                    self.assertEqual(i % 3, 2, e)
                self.assertEqual(s.config_read(5, REG), 0x11 if i % 3 == 0 else 0)
            s.detach(5)


class UnderWay(unittest.TestCase):
    def test_an_access_ends_under_the_rules_that_it_began_with(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=1200)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=REG, size=4), flags=1)
            s.wait_for("the access", lambda: s.log("cycle_read") or True)
            s.write_quirks(virtual())
            report = s.reload()
            self.assertEqual(s.flags(5) & 1, 1, "it is still with the hardware")
            self.assertEqual(report["generation"], 2)
            s.wait_for("the answer", lambda: s.flags(5) & 1 == 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            self.assertIn("00000000", s.sim("peek", domid=5, offset=32, length=4)["hex"])
            self.assertEqual(s.config_read(5, REG), 0x11)
            s.detach(5)

    def test_two_reloads_during_one_access(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=1200)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=REG, size=4), flags=1)
            s.write_quirks(virtual("0x22"))
            s.reload()
            s.write_quirks(virtual("0x33", mask="0x0000ffff"))
            report = s.reload()
            self.assertEqual(s.flags(5) & 1, 1)
            self.assertEqual(len(report["changes"]), 1, "against what was to come")
            s.wait_for("the answer", lambda: s.flags(5) & 1 == 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            self.assertEqual(s.config_read(5, REG), 0x33)
            s.detach(5)

    def test_the_guest_ends_during_the_access(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=1000)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=REG, size=4), flags=1)
            s.write_quirks(virtual())
            s.reload()
            s.sim("domain-destroy", domid=5)
            s.sim("device-set", device=NIC, slow_ms=0)
            s.wait_for("the device", lambda: s.state() == "claimed")

    def test_the_daemon_ends_during_the_access(self):
        with Sim() as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=2000)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=REG, size=4), flags=1)
            s.write_quirks(virtual() + guard())
            s.reload()

    def test_interrupt_operation_ends_as_it_began(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=40)
            s.sim("post", domid=5, offset=4, hex=pack_op(ENABLE_MSI), flags=1)
            s.write_quirks(trait(msi="deny"))
            s.reload()
            s.wait_for("the answer", lambda: s.flags(5) & 1 == 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            self.assertEqual(s.show()["vectors"], 1)
            self.assertEqual(s.op(5, DISABLE_MSI)["err"], 0)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], OP_FAILED)
            s.detach(5)

    def test_reload_during_a_guests_reset(self):
        with Sim(devices=[with_flr()], scenario={"job_delay_ms": 200}, clean=True) as s:
            s.connect()
            s.config_write(5, DEVCTL, 2, FLR)
            s.sim("post", domid=5, offset=4,
                  hex=pack_op(WRITE, offset=REG, size=4, value=0x99), flags=1)
            s.write_quirks(virtual())
            s.reload()
            s.wait_for("the answer", lambda: s.flags(5) & 1 == 0)
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.config_read(5, REG), 0x99)
            s.detach(5)

    def test_reload_during_verbs(self):
        for verb in ("claim", "attach", "detach", "release"):
            with self.subTest(verb=verb), Sim(quirks=guard(), clean=True) as s:
                s.follow(5)
                if verb != "claim":
                    s.claim()
                if verb == "detach":
                    s.attach(5, wait=5)
                s.sim("set", job_delay_ms=150)
                params = {"dev": NIC}
                if verb in ("attach", "detach"):
                    params["guest"] = "5"
                if verb == "attach":
                    params["wait"] = 5
                serial = s.rpc.start(verb, **params)
                other = Rpc(s.control_path)
                s.write_quirks(virtual())
                other.call("reload")
                other.close()
                s.rpc.finish(serial)
                s.sim("set", job_delay_ms=0)
                s.settle()
                if verb == "attach":
                    self.assertEqual(s.config_read(5, REG), 0x11)
                    s.detach(5)
                elif verb == "claim":
                    s.attach(5, wait=5)
                    s.settle()
                    self.assertEqual(s.config_read(5, REG), 0x11)
                    s.detach(5)


class Policy(unittest.TestCase):
    def test_names_permissive_and_control(self):
        with Sim(clean=True) as s:
            s.connect()
            self.assertEqual(s.config_write(5, REG, 4, 0xFFFFFFFF), 0)
            s.clear_log()
            set_device(s, name="nic0", permissive=True)
            s.reload()
            self.assertTrue(s.show("nic0")["permissive"])
            s.config_write(5, REG, 4, 0xFFFFFFFF)
            self.assertEqual([e["offset"] for e in s.log("cycle_write")], [REG])
            s.clear_log()
            set_device(s, name="other")
            s.reload()
            self.assertFalse(s.show("other")["permissive"])
            s.config_write(5, REG, 4, 0xFFFFFFFF)
            self.assertEqual(s.log("cycle_write"), [])
            s.detach(5)

    def test_permissive_that_the_attach_asked_for_stays(self):
        with Sim(clean=True) as s:
            s.follow(5)
            s.claim()
            s.attach(5, wait=5, permissive=True)
            s.settle()
            set_device(s, name="nic0", permissive=False)
            s.reload()
            self.assertTrue(s.show()["permissive"])
            s.detach(5)

    def test_new_slots_are_claimed_and_removed_ones_kept(self):
        with Sim(devices=[device("e1000e"), device("nvme")], config={"slots": [NIC]},
                 clean=True) as s:
            s.wait_for("the slot", lambda: s.state() == "claimed")
            s.clear_log()
            s.config["slots"] = [DISK]
            s.write_config()
            s.reload()
            s.wait_for("the slot", lambda: s.state(DISK) == "claimed")
            self.assertEqual(s.state(NIC), "claimed")
            self.assertEqual(len(s.log("job_claim")), 1)
            s.config["slots"] = [NIC, DISK]
            s.write_config()
            s.reload()
            s.settle()
            self.assertEqual(len(s.log("job_claim")), 1)

    def test_listed_devices_are_looked_at(self):
        with Sim(devices=[device("e1000e"), device("nvme")]) as s:
            set_device(s, name="nic0")
            s.reload()
            s.wait_for("the device", lambda: s.state("nic0") == "present")
            s.config["devices"] = []
            s.write_config()
            s.reload()
            with self.assertRaises(RpcError):
                s.show("nic0")
            self.assertEqual(s.state(), "present")

    def test_assign_that_is_denied_now_takes_nothing_away(self):
        with Sim(clean=True) as s:
            s.connect()
            set_device(s, assign="deny")
            s.reload()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)
            with self.assertRaises(RpcError):
                s.attach(5, force=True)

    def test_the_stub_driver_stays_until_the_device_is_released(self):
        """xl unbinds it under the guest: what takes it back is the stub that it was claimed for."""
        with Sim(clean=True) as s:
            s.connect()
            set_device(s, driver="vfio-pci")
            s.reload()
            s.clear_log()
            s.detach(5)
            self.assertEqual({e["driver"] for e in s.log("job_probe")}, {"pci-stub"})
            s.release()
            s.claim()
            self.assertEqual(s.dev()["driver"], "vfio-pci")

    def test_limits(self):
        with Sim(clean=True) as s:
            s.connect()
            s.config["limits"]["pirqs_per_guest"] = 2
            s.write_config()
            s.reload()
            self.assertEqual(s.enable_msix(5, [0, 1, 2])["err"], OP_FAILED)
            self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
            s.detach(5)


class Plugins(unittest.TestCase):
    def test_the_same_plugin_keeps_its_state(self):
        with Sim(quirks=guard(write="deny"), clean=True) as s:
            s.connect()
            s.config_write(5, REG, 4, 1)
            self.assertEqual(plugin_stats(s)["writes"], 1)
            s.write_quirks(guard(write="deny") + [{"id": "more", "fields": [
                {**field(virtual="0xff"), "at": "0x70"}]}])
            s.reload()
            self.assertEqual(plugin_stats(s),
                             {"reads": 0, "writes": 1, "attaches": 1, "detaches": 0})
            s.detach(5)

    def test_other_parameters_begin_anew(self):
        with Sim(quirks=guard(write="deny"), clean=True) as s:
            s.connect()
            s.config_write(5, REG, 4, 1)
            s.write_quirks(guard(read="invert"))
            s.reload()
            self.assertEqual(s.config_read(5, REG), 0xFFFFFFFF)
            self.assertEqual(plugin_stats(s),
                             {"reads": 1, "writes": 0, "attaches": 2, "detaches": 1})
            s.detach(5)

    def test_added_and_removed_under_the_guest(self):
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(3):
                s.write_quirks(guard(read="invert"))
                s.reload()
                self.assertEqual(s.config_read(5, REG), 0xFFFFFFFF)
                s.write_quirks(None)
                s.reload()
                self.assertEqual(s.config_read(5, REG), 0)
            s.detach(5)

    def test_one_whose_attach_fails_now_leaves_the_guest_its_device(self):
        for before in ([], guard(read="invert")):
            with self.subTest(before=bool(before)), Sim(quirks=before, clean=True) as s:
                s.connect()
                s.write_quirks(guard(attach="fail", read="invert"))
                s.reload()
                self.assertEqual(s.config_read(5, REG), 0)
                self.assertIn("guard", s.stderr())
                self.assertEqual(s.state(), "assigned")
                s.detach(5)


if __name__ == "__main__":
    unittest.main()
