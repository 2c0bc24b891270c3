# SPDX-License-Identifier: MIT
"""A device's way into a guest and back."""
import unittest

from simlib import *


class Life(unittest.TestCase):
    def test_attach_use_detach(self):
        with Sim(config={"devices": [{"name": "nic0", "bdf": NIC}]}) as s:
            s.follow(5)
            self.assertEqual(s.state("nic0"), "present")
            s.claim()
            self.assertEqual(s.state(), "claimed")
            s.attach(5, wait=5)
            self.assertEqual(s.state(), "assigned")
            s.settle()
            self.assertEqual((s.be_state(5), s.fe_state(5)), (4, 4))
            self.assertEqual(s.sim("front", domid=5)["roots"], ["0000:00"])
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            answer = s.enable_msix(5, [0, 1, 2, 3, 4])
            self.assertEqual((answer["err"], answer["value"]), (0, 0))
            self.assertEqual(len(set(answer["vectors"])), 5)
            self.assertEqual(s.dev()["vectors"], 5)
            self.assertEqual(s.disable_msix(5)["err"], 0)
            self.assertEqual(s.dev()["vectors"], 0)
            s.detach(5)
            self.assertEqual(s.state(), "claimed")
            s.assert_clean()
            s.release()
            self.assertEqual(s.state(), "present")
            self.assertEqual(s.dev()["driver"], "e1000e")
            s.assert_clean()

    def test_guest_by_name_and_claim_on_the_way(self):
        with Sim(clean=True) as s:
            s.follow(5)
            s.attach("netvm", claim=True, wait=5)
            self.assertEqual(s.dev()["owner"], 5)
            s.detach("netvm")

    def test_a_refusal_leaves_the_device_as_it_was(self):
        """Before the claim where it can be known, else by a release."""
        domains = [domain(5), domain(6, hvm=True), domain(7, passthrough=False)]
        for guest, claims in ((99, 0), (0, 0), ("nobody", 0), (6, 0), (7, 1)):
            with self.subTest(guest=guest), Sim(domains=domains, clean=True) as s:
                before = s.dev()
                with self.assertRaises(RpcError) as e:
                    s.attach(guest, claim=True)
                self.assertFalse("stays claimed" in e.exception.data["next"])
                s.settle()
                after = s.dev()
                self.assertEqual((after["driver"], after["owner"], after["claimed"]),
                                 (before["driver"], before["owner"], False))
                self.assertEqual(len(s.log("job_claim")), claims)

    def test_what_cannot_be_released_again_is_said(self):
        with Sim(domains=[domain(7, passthrough=False)]) as s:
            s.fault("device_deassign", "EIO", count=9)
            with self.assertRaises(RpcError) as e:
                s.attach(7, claim=True)
            self.assertIn("IOMMU context", e.exception.data["reason"])
            self.assertIn("stays claimed", e.exception.data["next"])

    def test_what_was_claimed_before_stays_claimed(self):
        with Sim(domains=[domain(7, passthrough=False)], clean=True) as s:
            s.claim()
            with self.assertRaises(RpcError):
                s.attach(7, claim=True)
            self.assertEqual(s.state(), "claimed")

    def test_attach_before_the_frontend_lives(self):
        with Sim(clean=True) as s:
            s.claim()
            s.attach(5)
            s.settle()
            self.assertEqual(s.be_state(5), 3)
            s.follow(5)
            s.wait_for("connection", lambda: s.be_state(5) == 4)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_no_frontend_in_time(self):
        with Sim(clean=True) as s:
            s.claim()
            with self.assertRaises(RpcError) as e:
                s.attach(5, wait=1)
            self.assertEqual(e.exception.data["code"], "timeout")
            self.assertEqual(s.state(), "claimed")

    def test_detach_and_attach_again(self):
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(3):
                s.enable_msix(5, [0, 1])
                s.detach(5)
                s.attach(5, wait=5)
                s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_nodes_are_those_that_libxl_and_pcifront_know(self):
        with Sim() as s:
            s.connect()
            nodes = s.sim("store-dump", path=s.be(5))["nodes"]
            value = {k[len(s.be(5)) + 1:]: v["value"] for k, v in nodes.items()}
            for key, wanted in {"frontend": s.fe(5), "frontend-id": "5", "online": "1",
                                "state": "4", "num_devs": "1", "key-0": NIC, "dev-0": NIC,
                                "state-0": "3", "vdev-0": "0000:00:00.00", "root_num": "1",
                                "root-0": "0000:00"}.items():
                self.assertEqual(value.get(key), wanted, key)
            self.assertIn("opts-0", value)
            self.assertTrue(all(n["perms"] == "0,r5" for n in nodes.values()), nodes)
            nodes = s.sim("store-dump", path=s.fe(5))["nodes"]
            self.assertEqual(nodes[s.fe(5, "backend")]["value"], s.be(5))
            self.assertEqual(nodes[s.fe(5, "backend-id")]["value"], "0")
            self.assertTrue(all(n["perms"].startswith("5") for n in nodes.values()), nodes)
            self.assertEqual(s.read_node(s.reservation()), "5")

    def test_second_device_arrives_and_leaves_by_reconfiguring(self):
        with Sim(devices=[device("e1000e"), device("nvme")], clean=True) as s:
            s.connect()
            s.claim(DISK)
            before = s.sim("front", domid=5)["connects"]
            s.attach(5, DISK, wait=5)
            s.settle()
            self.assertEqual(s.sim("front", domid=5)["connects"], before + 1)
            slots = [s.read_node(s.be(5, "vdev-%d" % i)) for i in range(2)]
            self.assertEqual(slots, ["0000:00:00.00", "0000:00:01.00"])
            self.assertEqual(s.config_read(5, 0, devfn=8), 0x00101B36)
            s.detach(5, NIC)
            s.settle()
            self.assertEqual(s.be_state(5), 4)
            self.assertEqual(s.read_node(s.be(5, "num_devs")), "1")
            self.assertEqual(s.read_node(s.be(5, "dev-0")), DISK)
            self.assertEqual(s.op(5, READ, 0, offset=0, size=4)["err"], NOT_FOUND)
            self.assertEqual(s.config_read(5, 0, devfn=8), 0x00101B36)
            s.detach(5, DISK)

    def test_two_guests(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=[domain(5), domain(6)],
                 clean=True) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)
            self.assertEqual(s.enable_msix(6, [0, 1])["err"], 0)
            s.detach(5, NIC)
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            self.assertEqual(s.dev(DISK)["vectors"], 2)
            s.detach(6, DISK)

    def test_every_model_of_device(self):
        for model in MODELS:
            with self.subTest(model=model), Sim(devices=[device(model, NIC)], clean=True) as s:
                s.connect()
                s.config_read(5, 0)
                s.detach(5)
                s.release()


class Refusals(unittest.TestCase):
    def refused(self, s, code, verb, *args, **more):
        with self.assertRaises(RpcError) as e:
            verb(*args, **more)
        self.assertEqual(e.exception.data.get("code"), code, e.exception)
        self.assertTrue(e.exception.data.get("reason"), e.exception)
        s.assert_clean()

    def test_unknown_guest(self):
        with Sim() as s:
            s.claim()
            self.refused(s, "not-found", s.attach, 77)
            self.refused(s, "not-found", s.attach, "nobody")
            self.assertEqual(s.state(), "claimed")

    def test_absent_device(self):
        with Sim() as s:
            self.refused(s, "not-found", s.attach, 5, "0000:00:1f.0")
            self.refused(s, "not-found", s.detach, 5, "0000:00:1f.0")
            with self.assertRaises(RpcError):
                s.claim("0000:00:1f.0")
            with self.assertRaises(RpcError):
                s.claim("nonsense")
            s.assert_clean()

    def test_device_in_use_by_another_guest(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.connect()
            for guest in (5, 6):
                with self.assertRaises(RpcError) as e:
                    s.attach(guest)
                self.assertEqual(e.exception.data["code"], "wrong-state")
            self.assertEqual(s.dev()["owner"], 5)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            with self.assertRaises(RpcError):
                s.detach(6)
            with self.assertRaises(RpcError):
                s.release()
            s.detach(5)

    def test_device_that_is_not_claimed(self):
        with Sim(config={"devices": [{"name": "nic0", "bdf": NIC}]}) as s:
            self.refused(s, "wrong-state", s.attach, 5)
            self.refused(s, "wrong-state", s.detach, 5)

    def test_guest_without_iommu_context(self):
        with Sim(domains=[domain(5, passthrough=False)]) as s:
            s.claim()
            self.refused(s, "refused", s.attach, 5)
            self.assertEqual(s.state(), "claimed")

    def test_hvm_guest(self):
        with Sim(domains=[domain(5, hvm=True)]) as s:
            s.claim()
            self.refused(s, "refused", s.attach, 5)

    def test_guest_that_another_backend_serves(self):
        with Sim() as s:
            s.claim()
            s.write_node(s.fe(5, "backend"), "/local/domain/0/backend/pci/5/0")
            with self.assertRaises(RpcError) as e:
                s.attach(5)
            self.assertEqual(e.exception.data["code"], "refused")
            s.remove_node("/local/domain/5/device/pci")
            s.assert_clean()

    def test_device_that_a_foreign_guest_owns_in_xen(self):
        with Sim(domains=[domain(5), domain(6)], violations=True) as s:
            s.claim()
            # somebody assigns it behind our back
            s.fault("device_test", "EBUSY")
            self.refused(s, "wrong-state", s.attach, 5)


if __name__ == "__main__":
    unittest.main()
