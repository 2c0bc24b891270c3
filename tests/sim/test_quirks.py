# SPDX-License-Identifier: MIT
"""What quirks make of a device: claims that they refuse, traits, plugins, denied writes."""
import unittest

from simlib import *

INTX_DISABLE = 0x400
MSI, MSIX = 0xD0, 0xA0
REG = 0x68  # of no capability of e1000e


def field(**more):
    return {"at": hex(REG), "size": 4, "why": "a test", **more}


def trait(**traits):
    return [{"device": traits}]


def guard(mask="0xffffffff", **params):
    return [{"plugin": {"name": "guard", "params": params,
                        "registers": [{"at": hex(REG), "size": 4, "mask": mask}]}}]


def caps(s):
    at, found = s.config_read(5, 0x34, 1), []
    while at and len(found) < 48:
        found.append(s.config_read(5, at, 1))
        at = s.config_read(5, at + 1, 1)
    return found


def denied(s, bdf=NIC):
    return s.call("denied", dev=bdf)


def plugin_stats(s, bdf=NIC):
    """The plugin's own numbers: attaches and detaches of all devices, accesses since its attach."""
    dev = [d for d in s.call("stats")["devices"] if d["address"] == bdf][0]
    return {k.split(".")[1]: v for k, v in dev["plugin_stats"].items()}


class Claim(unittest.TestCase):
    def test_quirk_that_does_not_fit_refuses_the_claim_and_is_named(self):
        bad = [{"id": "misplaced", "capabilities": {"add": [
            {"at": "0xd4", "id": "vendor", "bytes": "0000"}]}}]
        with Sim(quirks=bad) as s:
            with self.assertRaises(RpcError) as e:
                s.claim()
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn("misplaced", e.exception.data["reason"])
            self.assertIn("50-test.json", e.exception.data["reason"])
            self.assertEqual(s.state(), "present")
            self.assertEqual(s.dev()["driver"], "e1000e")
            s.assert_clean()
            s.write_quirks(None)
            s.reload()
            s.claim()

    def test_a_device_is_shown_as_the_host_sees_it(self):
        with Sim(quirks=trait(**{"class": "0x088000"})) as s:
            s.connect()
            self.assertEqual(s.config_read(5, 8, 4) >> 8, 0x088000)
            self.assertEqual(s.show()["class"], "0x020000")


class Assign(unittest.TestCase):
    def test_quirk_that_denies_needs_force(self):
        with Sim(quirks=[{"id": "errata", "reason": "it takes the host down",
                          "device": {"assign": "deny"}}], clean=True) as s:
            s.follow(5)
            s.claim()
            with self.assertRaises(RpcError) as e:
                s.attach(5)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn("errata", e.exception.data["reason"])
            self.assertIn("it takes the host down", e.exception.data["reason"])
            self.assertIn("--force", e.exception.data["next"])
            s.attach(5, wait=5, force=True)
            s.detach(5)

    def test_quirk_that_warns_does_not_refuse(self):
        with Sim(quirks=[{"id": "alias", "reason": "its DMA has another name",
                          "device": {"assign": "warn"}}], clean=True) as s:
            s.connect()
            self.assertEqual(s.stderr().count("its DMA has another name"), 1)
            s.detach(5)

    def test_the_operator_beats_the_quirk(self):
        for said, quirk, force, works in (("allow", "deny", False, True),
                                          ("deny", "warn", True, False),
                                          ("warn", "deny", False, False),
                                          ("warn", "deny", True, True)):
            with self.subTest(said=said, quirk=quirk, force=force), \
                    Sim(quirks=trait(assign=quirk),
                        config={"devices": [{"bdf": NIC, "assign": said}]}, clean=True) as s:
                s.follow(5)
                s.claim()
                if works:
                    s.attach(5, wait=5, force=force)
                    s.detach(5)
                else:
                    with self.assertRaises(RpcError) as e:
                        s.attach(5, force=force)
                    self.assertIn("configuration", e.exception.data["reason"])


class Interrupts(unittest.TestCase):
    def test_denied_msi_and_msix(self):
        with Sim(quirks=trait(msi="deny", msix="deny"), clean=True) as s:
            s.connect()
            s.clear_log()
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], OP_FAILED)
            self.assertEqual(s.op(5, ENABLE_MULTI_MSI, value=2)["err"], OP_FAILED)
            self.assertEqual(s.enable_msix(5, [0])["err"], OP_FAILED)
            self.assertEqual(s.log("map_msi", "map_multi_msi"), [])
            self.assertEqual(caps(s), [0x01, 0x10])
            s.detach(5)

    def test_H16_hidden_msix_is_prepared_all_the_same(self):
        """What the guest sees decides nothing about hypercalls: Xen looks at the device."""
        with Sim(quirks=[{"capabilities": {"hide": ["msix"]}}], clean=True) as s:
            s.claim()
            self.assertTrue(s.dev()["prepared"])
            s.release()

    def test_hidden_capability_cannot_be_enabled(self):
        with Sim(quirks=[{"capabilities": {"hide": ["msix"]}}], clean=True) as s:
            s.connect()
            self.assertEqual(s.enable_msix(5, [0])["err"], OP_FAILED)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], 0)
            s.detach(5)

    def test_fewer_vectors(self):
        with Sim(quirks=trait(msix_max_vectors=2), clean=True) as s:
            s.connect()
            self.assertEqual(s.config_read(5, MSIX + 2, 2) & 0x7FF, 1)
            self.assertEqual(s.enable_msix(5, [0, 2])["err"], OP_FAILED)
            self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
            s.detach(5)

    def test_the_table_shrinks_to_the_limit_of_a_guest(self):
        with Sim(devices=[device("nvme", NIC)], config={"limits": {"pirqs_per_guest": 9}},
                 clean=True) as s:
            s.connect()
            self.assertEqual(s.config_read(5, 0x42, 2) & 0x7FF, 8)
            self.assertEqual(s.enable_msix(5, range(9))["err"], 0)
            s.detach(5)

    def test_denied_line(self):
        with Sim(quirks=trait(intx="deny"), clean=True) as s:
            s.connect()
            self.assertEqual(s.leaks()["pirqs"], [])
            self.assertNotIn("irq", {p["kind"] for p in s.leaks()["permissions"]})
            self.assertEqual(s.config_read(5, 0x3D, 1), 0)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            s.enable_msix(5, [0])
            s.disable_msix(5)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            s.detach(5)

    def test_line_that_must_not_be_shared(self):
        for irq, granted in ((21, False), (20, True)):
            devices = [device("e1000e"), device("nvme", irq=irq)]
            with self.subTest(irq=irq), Sim(devices=devices, quirks=[
                    {"match": {"vendor": "0x8086"}, "device": {"intx": "warn"}}], clean=True) as s:
                s.claim(DISK)
                s.connect()
                self.assertEqual([p["pirq"] for p in s.leaks()["pirqs"]], [21] if granted else [])
                s.detach(5)

    def test_intx_disable_stays_clear_where_it_stops_msi(self):
        with Sim(quirks=trait(intx_with_msi="keep"), clean=True) as s:
            s.connect()
            for enable, disable in ((lambda: s.op(5, ENABLE_MSI), DISABLE_MSI),
                                    (lambda: s.enable_msix(5, [0]), DISABLE_MSIX),
                                    (lambda: s.enable_msix(5, [0, 1]), DISABLE_MSIX)):
                self.assertEqual(enable()["err"], 0)
                self.assertFalse(s.dev()["command"] & INTX_DISABLE)
                self.assertEqual(s.op(5, disable)["err"], 0)
            s.detach(5)


class Resets(unittest.TestCase):
    def methods(self, quirk, reset="flr bus", policy=None):
        with Sim(devices=[device("e1000e", reset=reset)], quirks=trait(**quirk),
                 config={"devices": [{"bdf": NIC, **(policy or {})}]}) as s:
            s.claim()
            s.clear_log()
            try:
                s.attach(5)
            except RpcError as e:
                return e.data["reason"]
            return [(e["method"], e["settle_ms"]) for e in s.log("job_reset.start")]

    def test_methods_of_quirk_and_operator(self):
        for quirk, policy, wanted in (
                ({}, {}, [("", 0)]),
                ({"reset_method": ["bus", "flr"]}, {}, [("bus flr", 0)]),
                ({"reset_method": ["pm", "bus"]}, {}, [("bus", 0)]),  # it has no pm
                ({"no_reset": ["bus"]}, {}, [("flr", 0)]),
                ({"no_reset": ["pm"]}, {}, [("flr bus", 0)]),
                ({"reset_method": ["bus", "flr"], "no_reset": ["bus"]}, {}, [("flr", 0)]),
                ({"reset_method": ["bus"]}, {"reset_method": ["flr"]}, [("flr", 0)]),
                ({"no_reset": ["bus"]}, {"reset_method": ["bus", "flr"]}, [("flr", 0)]),
                ({"delay_after_reset_ms": 250}, {}, [("", 250)]),
                ({"no_reset": ["flr", "bus"]}, {}, []),
                ({"no_reset": ["bus"]}, {"reset_method": ["bus"]}, [])):
            with self.subTest(quirk=quirk, policy=policy):
                self.assertEqual(self.methods(quirk, policy=policy), wanted)

    def test_the_time_limit_of_a_reset_is_not_that_of_the_device_after_it(self):
        with Sim(quirks=trait(delay_after_reset_ms=5000)) as s:  # the limit is 1000
            s.claim()
            s.clear_log()
            s.attach(5)
            self.assertEqual([e["deadline_ms"] for e in s.log("job_reset.start")], [6000])

    def test_required_reset_without_an_allowed_method(self):
        self.assertIn("forbids", self.methods({"no_reset": ["flr", "bus"]},
                                              policy={"reset": "required"}))


class Memory(unittest.TestCase):
    def test_hidden_rom_is_not_granted(self):
        resources = [[0xFEA20000, 0xFEA3FFFF, MEM]] + [[0, 0, 0]] * 5 + \
            [[0xFEB00000, 0xFEB0FFFF, 0x46200]]
        for quirk, rom in (({"rom": "show"}, True), ({"rom": "hide"}, False)):
            with self.subTest(rom=rom), Sim(devices=[device("e1000e", resources=resources)],
                                            quirks=trait(**quirk), clean=True) as s:
                s.claim()
                s.attach(5)
                frames = {p["first"] for p in s.leaks()["permissions"] if p["kind"] == "memory"}
                self.assertEqual(frames, {0xFEA20, 0xFEB00} if rom else {0xFEA20})
                s.detach(5)


class Plugins(unittest.TestCase):
    def test_attach_that_a_plugin_refuses(self):
        with Sim(quirks=guard(attach="fail"), clean=True) as s:
            s.follow(5)
            s.claim()
            with self.assertRaises(RpcError) as e:
                s.attach(5)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn("guard", e.exception.data["reason"])
            self.assertEqual(s.state(), "claimed")
            self.assertEqual([x for x in s.log("allow_memory", "map_gsi") if x.get("allow", 1)], [])
            s.assert_clean()

    def test_writes(self):
        for verdict, err_denied in (("deny", 1), ("handle", 0)):
            with self.subTest(verdict=verdict), \
                    Sim(quirks=guard(mask="0x0000ffff", write=verdict), clean=True) as s:
                s.connect()
                s.clear_log()
                self.assertEqual(s.config_write(5, REG, 2, 0x1234), 0)
                self.assertEqual(s.log("cycle_write"), [])
                entries = denied(s)["denied"]
                self.assertEqual(len(entries), err_denied)
                self.assertEqual(s.op(5, WRITE, offset=REG, size=3, value=1)["err"],
                                 INVALID_OFFSET)
                s.detach(5)

    def test_write_that_a_plugin_changes_goes_on(self):
        quirks = guard(mask="0x000000ff", write="invert")
        quirks.append({"id": "open", "fields": [field(virtual="0xffffffff")]})
        with Sim(quirks=quirks, clean=True) as s:
            s.connect()
            self.assertEqual(s.config_write(5, REG, 4, 0x11223300), 0)
            self.assertEqual(s.config_read(5, REG), 0x112233FF)
            s.detach(5)

    def test_reads(self):
        with Sim(quirks=guard(mask="0x00ff0000", read="invert"), clean=True) as s:
            s.connect()
            for at, size, value in ((REG, 4, 0x00FF0000), (REG + 2, 1, 0xFF), (REG + 1, 1, 0),
                                    (REG + 4, 4, 0)):
                self.assertEqual(s.config_read(5, at, size), value)
            s.detach(5)

    def test_a_slow_device_too(self):
        with Sim(quirks=guard(mask="0x0000ffff", read="invert", write="deny"), clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=20)
            self.assertEqual(s.config_read(5, REG), 0xFFFF)
            self.assertEqual(s.config_write(5, REG, 4, 0x12345678), 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            s.detach(5)

    def test_they_take_part_in_resets(self):
        with Sim(quirks=guard(read="invert"), clean=True) as s:
            s.connect()
            job = s.log("job_reset.start")[0]
            self.assertEqual(len(job["plugins"]), 1)
            self.assertTrue(job["plugins"][0]["path"].endswith("/guard.so"))
            self.assertEqual(json.loads(job["plugins"][0]["params"]), {"read": "invert"})
            s.detach(5)

    def test_they_begin_anew_with_each_guest_and_frontend(self):
        with Sim(quirks=guard(), clean=True) as s:
            s.connect()
            s.config_read(5, REG)
            numbers = plugin_stats(s)
            self.assertEqual((numbers["reads"], numbers["attaches"]), (1, 1))
            s.follow(5, on=False)
            for state in (5, 6, 1):
                s.sim("state", domid=5, state=state)
                time.sleep(0.02)
            s.wait_for("a fresh device", lambda: s.state() == "assigned" and
                       s.be_state(5) in (2, 3) and plugin_stats(s)["attaches"] == 2)
            numbers = plugin_stats(s)
            self.assertEqual((numbers["reads"], numbers["detaches"]), (0, 1))
            s.follow(5)
            s.detach(5, force=True)


class Denied(unittest.TestCase):
    def test_each_register_once_with_what_was_refused(self):
        with Sim(domains=[domain(5), domain(6)], clean=True) as s:
            s.connect()
            for value in (0x1, 0x10, 0x10000):
                s.config_write(5, REG, 4, value)
            s.config_write(5, REG, 2, 0x8000)
            entries = {(e["offset"], e["size"]): e for e in denied(s)["denied"]}
            self.assertEqual(len(entries), 2)
            entry = entries[(hex(REG), 4)]
            self.assertEqual((int(entry["bits"], 16), int(entry["value"], 16), entry["count"]),
                             (0x10011, 0x10000, 3))
            s.detach(5)
            s.follow(6)
            s.attach(6, wait=5)
            s.settle()
            s.config_write(6, REG, 4, 2)
            entries = {(e["offset"], e["size"]): e for e in denied(s)["denied"]}
            self.assertEqual(entries[(hex(REG), 4)]["count"], 4, "kept from guest to guest")
            s.detach(6)
            s.release()
            s.claim()
            self.assertEqual(denied(s)["denied"], [])

    def test_the_table_has_an_end(self):
        with Sim() as s:
            s.connect()
            for at in range(0x400, 0x400 + 160 * 4, 4):
                s.config_write(5, at, 4, 1)
            report = denied(s)
            self.assertEqual(len(report["denied"]), 128)
            self.assertEqual(report["lost"], 32)
            s.config_write(5, 0x400, 4, 1)
            self.assertEqual(denied(s)["lost"], 32)

    def test_what_is_suggested_makes_the_denials_stop(self):
        with Sim() as s:
            s.connect()
            s.config_write(5, REG, 4, 0x000000F0)
            s.config_write(5, 0x90, 2, 0x0003)
            before = s.show()["denied_writes"]
            self.assertEqual(before, 2)
            suggestion = s.call("suggest-quirk", dev=NIC)["manifest"]
            path = os.path.join(s.quirk_dir, "90-local.json")
            with open(path, "w") as f:
                json.dump(suggestion, f)
            os.chmod(path, 0o644)
            s.reload()
            s.clear_log()
            s.config_write(5, REG, 4, 0x000000F0)
            s.config_write(5, 0x90, 2, 0x0003)
            self.assertEqual(s.show()["denied_writes"], before)
            self.assertEqual([(e["offset"], e["value"]) for e in s.log("cycle_write")],
                             [(REG, 0xF0), (0x90, 3)])


if __name__ == "__main__":
    unittest.main()
