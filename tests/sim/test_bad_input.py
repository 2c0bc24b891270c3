# SPDX-License-Identifier: MIT
"""What a hostile or broken guest writes: a defined error, a counter, nothing leaked."""
import random
import unittest

from simlib import *
from simlib import Rpc as Rpc_


class Operations(unittest.TestCase):
    def test_op_with_any_field_out_of_range(self):
        huge = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFF000)
        cases = []
        for cmd in (6, 7, 8, 9, 11, 12, 255) + huge:
            cases.append((dict(cmd=cmd), NOT_IMPLEMENTED))
        for cmd in (READ, WRITE):
            for key, values in {"domain": (1, 0xFFFF, 0x10000) + huge,
                                "bus": (1, 255, 256) + huge,
                                "devfn": (8, 255, 256, 0x100, 0x10000) + huge}.items():
                cases += [({"cmd": cmd, key: v}, NOT_FOUND) for v in values]
            cases += [(dict(cmd=cmd, size=size), INVALID_OFFSET)
                      for size in (0, 3, 5, 8, 16, 256) + huge]
            cases += [(dict(cmd=cmd, offset=offset), INVALID_OFFSET)
                      for offset in (1, 2, 3, 0x1000, 0x1FFC, 0x10000) + huge]
            cases += [(dict(cmd=cmd, offset=1, size=2), INVALID_OFFSET),
                      (dict(cmd=cmd, offset=0xFFF, size=2), INVALID_OFFSET),
                      (dict(cmd=cmd, offset=0xFFE, size=4), INVALID_OFFSET)]
        with Sim(clean=True) as s:
            s.connect()
            s.clear_log()
            for fields, wanted in cases:
                fields = {"size": 4, "offset": 0, "devfn": 0, **fields}
                cmd = fields.pop("cmd")
                answer = s.op(5, cmd, **fields)
                self.assertTrue(answer["done"], (cmd, fields))
                self.assertEqual(answer["err"], wanted, (cmd, fields))
            self.assertEqual(s.log("cycle_write", "map_msi"), [])
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertGreater(counters(s)["bad_ops"], 0)
            s.detach(5)

    def test_offset_beyond_a_small_configuration_space(self):
        with Sim(devices=[device("e1000")]) as s:
            s.connect()
            self.assertEqual(s.op(5, READ, offset=0x100, size=4)["err"], INVALID_OFFSET)
            self.assertEqual(s.op(5, READ, offset=0xFC, size=4)["err"], 0)

    def test_random_operations(self):
        rng = random.Random(5)
        interesting = (0, 1, 2, 3, 4, 8, 16, 128, 129, 255, 256, 4095, 4096, 0x7FFFFFFF,
                       0x80000000, 0xFFFFFFFF)
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(1500):
                page = struct.pack("<9I", *(rng.choice(interesting) if rng.random() < 0.5 else
                                            rng.randrange(16) for _ in range(9)))
                page += bytes(rng.randrange(256) for _ in range(64)) + bytes(448)
                s.sim("post", domid=5, offset=4, hex=page.hex(), flags=1 | rng.randrange(8))
                s.wait_for("answer", lambda: s.flags(5) & 1 == 0)
            # whatever was switched on or off meanwhile, it still answers and can be taken back
            self.assertTrue(s.op(5, READ, offset=0, size=4)["done"])
            s.detach(5)

    def test_page_that_changes_under_the_operation(self):
        with Sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=30)
            for _ in range(5):
                s.sim("post", domid=5, offset=4, hex=pack_op(WRITE, offset=0x0C, size=1, value=8),
                      flags=1)
                s.sim("post", domid=5, offset=4, hex=pack_op(0xFF, devfn=0xFFFF, size=-1,
                                                             offset=-1, value=0xFFFF))
                s.wait_for("answer", lambda: s.flags(5) & 1 == 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            s.detach(5)


def counters(s):
    result = s.call("stats")
    return result.get("counters", result)


class Publication(unittest.TestCase):
    """wrong_magic_port_grant"""

    CASES = [
        dict(magic="8"), dict(magic=""), dict(magic="7 "), dict(magic="77"), dict(magic="07"),
        dict(magic=None), dict(magic="7" * 2000),
        dict(ref=None), dict(ref=""), dict(ref="abc"), dict(ref="-1"), dict(ref="8 "),
        dict(ref="99999"), dict(ref="4294967296"), dict(ref="99999999999999999999999"),
        dict(ref="0x8"), dict(ref="9" * 1500),
        dict(port=None), dict(port=""), dict(port="x"), dict(port="-16"), dict(port="99999"),
        dict(port="4294967295"), dict(port="18446744073709551616"), dict(port="16\n"),
    ]

    def test_wrong_magic_port_grant(self):
        for wrong in self.CASES:
            with self.subTest(**{k: str(v)[:20] for k, v in wrong.items()}), Sim() as s:
                s.claim()
                s.attach(5)
                s.settle()
                s.sim("publish", domid=5, **wrong)
                s.wait_for("refusal", lambda: s.be_state(5) in (5, 6))
                s.settle()
                leaks = s.leaks()
                self.assertEqual((leaks["ports"], leaks["pages"]), ([], []))
                self.assertEqual(counters(s)["bad_frontend"], 1)
                s.detach(5)
                s.assert_clean()

    def test_refused_frontend_may_close_and_begin_anew(self):
        with Sim(clean=True) as s:
            s.claim()
            s.attach(5)
            s.settle()
            s.sim("publish", domid=5, magic="8")
            s.wait_for("refusal", lambda: s.be_state(5) == 5)
            s.begin_anew(5)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5, force=True)

    def test_port_of_another_guest(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=[domain(5), domain(6)]) as s:
            s.connect(6, DISK)
            s.claim(NIC)
            s.attach(5, NIC)
            s.settle()
            s.sim("publish", domid=5, port="17")
            s.wait_for("refusal", lambda: s.be_state(5) == 5)
            self.assertEqual(s.config_read(6, 0), 0x00101B36)

    def test_junk_in_the_frontends_directory(self):
        with Sim(clean=True) as s:
            s.connect()
            for i in range(50):
                s.write_node(s.fe(5, "junk-%d" % i), "x" * 1000, domid=5)
            for value in ("", "4x", " 4", "-1", "9", "99999999999", "4\n", "4"):
                s.write_node(s.fe(5, "state"), value, domid=5)
                s.settle()
                self.assertEqual(s.be_state(5), 4, "%r means nothing" % value[:20])
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_state_that_is_too_long_means_nothing(self):
        with Sim(clean=True) as s:
            s.connect()
            s.write_node(s.fe(5, "state"), "x" * 2000, domid=5)
            s.settle()
            s.write_node(s.fe(5, "state"), "4", domid=5)
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_frontend_points_elsewhere(self):
        with Sim(clean=True) as s:
            s.connect()
            s.write_node(s.fe(5, "backend"), "/local/domain/0/backend/vif/5/0", domid=5)
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5, force=True)


class Rpc(unittest.TestCase):
    def test_bad_addresses_and_guests(self):
        with Sim() as s:
            for text in ("", "x", "0000:00:05", "0000:00:05.8", "0000:00:20.0", "10000:00:05.0",
                         "0000:00:05.0 ", "a" * 300, "../../etc"):
                for verb in (s.claim, s.release, s.show):
                    with self.assertRaises(RpcError):
                        verb(text)
            s.claim()
            for guest in ("", "-1", "0", "99999999", "5x", "x" * 300, "32752", "32753"):
                with self.assertRaises(RpcError):
                    s.attach(guest)
            s.assert_clean()


class Verbs(unittest.TestCase):
    """Every verb where it cannot be done: one line that says what, which, why and what next; and
    nothing is different afterwards."""

    CODES = ("not-found", "wrong-state", "refused", "host-error", "xen-error", "limit")

    def world(self, s):
        s.settle()
        devices = {k: {x: d.get(x) for x in ("owner", "driver", "command", "prepared", "vectors")}
                   for k, d in s.leaks()["devices"].items()}
        return devices, s.sim("store-dump", path="")["nodes"], s.leaks()["permissions"]

    def refused(self, s, *calls, codes=CODES, which=None):
        for method, params in calls:
            with self.subTest(method=method, **params):
                before = self.world(s)
                with self.assertRaises(RpcError) as e:
                    s.call(method, **params)
                data = e.exception.data
                self.assertIn(data["code"], codes, data)
                for key in ("device", "reason", "next"):
                    self.assertTrue(data[key], (key, data))
                    self.assertNotIn("\n", data[key])
                    self.assertLess(len(data[key]), 300)
                self.assertIn(which or params["dev"], data["device"])
                self.assertEqual(self.world(s), before)

    @staticmethod
    def verbs(bdf, *names, guest="5"):
        every = {"claim": {"dev": bdf}, "release": {"dev": bdf}, "reset": {"dev": bdf},
                 "attach": {"guest": guest, "dev": bdf}, "detach": {"guest": guest, "dev": bdf}}
        return [(n, every[n]) for n in names or every]

    def test_absent_device(self):
        away = "0000:00:1f.0"
        with Sim(config={"devices": [{"name": "gone", "bdf": "0000:00:1e.0"}]}) as s:
            self.refused(s, *self.verbs(away), codes=("not-found", "wrong-state"))
            self.refused(s, *self.verbs("gone", "claim", "reset", "attach", "detach"),
                         codes=("not-found", "wrong-state"))
            s.release("gone")  # it is not ours already
            self.refused(s, ("attach", {"guest": "5", "dev": away, "claim": True}),
                         codes=("not-found",))

    def test_device_that_is_not_ours(self):
        with Sim() as s:
            self.refused(s, *self.verbs(NIC, "release", "reset", "attach", "detach"))
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_claimed_device(self):
        with Sim() as s:
            s.claim()
            self.refused(s, *self.verbs(NIC, "detach"), codes=("wrong-state",))
            self.assertEqual(s.state(), "claimed")

    def test_assigned_device(self):
        with Sim(domains=[domain(5), domain(6)]) as s:
            s.connect()
            self.refused(s, *self.verbs(NIC, "release", "reset", "attach"),
                         ("detach", {"guest": "6", "dev": NIC}),
                         ("attach", {"guest": "6", "dev": NIC}),
                         ("attach", {"guest": "6", "dev": NIC, "force": True}),
                         ("detach", {"guest": "nobody", "dev": NIC, "force": True}))
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_failed_device(self):
        with Sim() as s:
            s.connect()
            s.fault("job_reset", "ETIMEDOUT")
            try:
                s.detach(5)
            except RpcError:
                pass
            self.assertEqual(s.state(), "failed")
            self.refused(s, *self.verbs(NIC, "attach", "detach"),
                         ("attach", {"guest": "5", "dev": NIC, "force": True}),
                         codes=("wrong-state",))
            self.assertEqual(s.state(), "failed")

    def test_busy_device(self):
        with Sim(domains=[domain(5), domain(6)]) as s:
            s.claim()
            s.sim("set", job_delay_ms=400)
            s.clear_log()
            first = s.rpc.start("attach", guest="5", dev=NIC)
            s.wait_for("its reset", lambda: s.log("job_reset.start"))
            other = Rpc_(s.control_path)
            for method, params in self.verbs(NIC) + self.verbs(NIC, "attach", guest="6"):
                with self.subTest(method=method), self.assertRaises(RpcError) as e:
                    other.call(method, **params)
                self.assertEqual(e.exception.data["code"], "wrong-state")
                self.assertTrue(e.exception.data["next"])
            other.close()
            s.rpc.finish(first)
            self.assertEqual(s.dev()["owner"], 5)
            s.detach(5)
            s.assert_clean()

    def test_device_that_xl_has(self):
        """The toolstack's mark, and what Xen itself says."""
        with Sim(domains=[domain(5), domain(6)], violations=True) as s:
            s.claim()
            s.write_node(s.reservation(), "6")
            self.refused(s, *self.verbs(NIC, "attach"), codes=("wrong-state",))
            self.assertEqual(s.read_node(s.reservation()), "6")
            s.remove_node(s.reservation().rsplit("/", 1)[0])
            for errno in ("EBUSY", "ENODEV"):
                s.fault("device_test", errno)
                self.refused(s, *self.verbs(NIC, "attach"), codes=("wrong-state", "refused"))
            self.assertEqual(s.state(), "claimed")

    def test_guest_whose_nodes_are_anothers(self):
        with Sim() as s:
            s.claim()
            s.write_node(s.fe(5, "backend"), "/local/domain/0/backend/pci/5/0")
            resets = s.dev()["resets"]
            self.refused(s, *self.verbs(NIC, "attach"), codes=("refused",))
            self.assertEqual(s.dev()["resets"], resets, "it is refused before it is touched")

    def test_bridge(self):
        bridge = device("e1000e", patch=[[0x0A, 2, 0x0604], [0x0E, 1, 1]])
        with Sim(devices=[bridge]) as s:
            self.refused(s, *self.verbs(NIC, "claim", "reset", "attach", "detach"),
                         ("claim", {"dev": NIC, "force": True}),
                         ("attach", {"guest": "5", "dev": NIC, "claim": True, "force": True}))
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_guest_that_is_none(self):
        with Sim(domains=[domain(5), domain(7, "hvm", hvm=True), domain(8, "ended"),
                          domain(9, "same"), domain(10, "same")]) as s:
            s.claim()
            s.sim("domain-shutdown", domid=8)
            for guest, codes in (("77", ("not-found",)), ("nobody", ("not-found",)),
                                 ("0", ("refused", "not-found")), ("Domain-0", ("not-found",)),
                                 ("7", ("refused",)), ("hvm", ("refused",)),
                                 ("8", ("wrong-state",)), ("ended", ("wrong-state",)),
                                 ("same", ("refused",)), ("99999", ("not-found",)),
                                 ("5 ", ("not-found",))):
                self.refused(s, *self.verbs(NIC, "attach", guest=guest), codes=codes)
                self.refused(s, *self.verbs(NIC, "detach", guest=guest), codes=("wrong-state",))
            self.assertEqual(s.state(), "claimed")
            s.assert_clean()


if __name__ == "__main__":
    unittest.main()
