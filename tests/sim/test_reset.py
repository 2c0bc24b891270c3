# SPDX-License-Identifier: MIT
"""Resets that a guest asks for by its device's FLR bit, and hazards H6 and H8 with them."""
import random
import unittest

from simlib import *
from test_death import faultable

EXP = 0xE0  # of e1000e
DEVCTL, FLR = EXP + 8, 0x8000
MSI, MSIX = 0xD0, 0xA0
MASTER, MEMORY, INTX_DISABLE = 4, 2, 0x400
ONES = 0xFFFFFFFF


def with_flr(bdf=None, **more):
    """An e1000e that has FLR: DevCap bit 28."""
    return device("e1000e", bdf, patch=[[EXP + 4, 4, 0x10008000], [MSI + 2, 2, 0x8A]], **more)


def ask(s, domid=5):
    """The guest's write of the FLR bit; as its driver does it, with the other bits kept."""
    return s.config_write(domid, DEVCTL, 2, s.config_read(domid, DEVCTL, 2) | FLR)


def counters(s, domid=5):
    return [g for g in s.call("guests")["guests"] if g["domid"] == domid][0]["counters"]


def control(s, cap):
    return s.sim("device-read", device=NIC, offset=cap + 2, size=2)["value"]


def sim(delay=0, **more):
    more.setdefault("devices", [with_flr()])
    return Sim(scenario={"job_delay_ms": delay}, **more)


def done(s, bdf=NIC):
    s.wait_for("the end of the reset", lambda: s.state(bdf) != "resetting")
    s.settle()


class Flow(unittest.TestCase):
    def test_reset_by_flr_alone_and_the_device_comes_back(self):
        with sim(clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.sim("device-set", device=NIC, forgets=True)
            bars = [s.config_read(5, at) for at in range(0x10, 0x28, 4)]
            hardware = [s.sim("device-read", device=NIC, offset=at)["value"]
                        for at in range(0x10, 0x28, 4)]
            s.clear_log()
            self.assertEqual(ask(s), 0)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            done(s)
            self.assertEqual([e["method"] for e in s.log("job_reset")], ["flr"])
            self.assertFalse([e for e in s.log("cycle_write") if e["offset"] == DEVCTL and
                              e["value"] & FLR], "the bit itself never reaches hardware")
            self.assertEqual(s.state(), "assigned")
            self.assertEqual([s.config_read(5, at) for at in range(0x10, 0x28, 4)], bars)
            self.assertEqual([s.sim("device-read", device=NIC, offset=at)["value"]
                              for at in range(0x10, 0x28, 4)], hardware)
            command = s.dev()["command"]
            self.assertEqual(command & 3, 3, "decode is never off (XSA-120)")
            self.assertFalse(command & MASTER, "as after a reset")
            self.assertFalse(command & INTX_DISABLE, "the guest uses the line")
            self.assertEqual(s.config_read(5, DEVCTL, 2) & FLR, 0)
            self.assertEqual(s.show().get("guest_resets", 1), 1)
            self.assertEqual(counters(s)["guest_resets"], 1)
            self.assertEqual(counters(s)["refused_resets"], 0)
            s.sim("device-set", device=NIC, forgets=False)
            s.detach(5)

    def test_shadows_are_those_of_a_fresh_guest(self):
        with sim(clean=True) as s:
            s.connect()
            fresh = (s.config_read(5, 4, 2), s.config_read(5, DEVCTL, 2))
            s.config_write(5, 4, 2, 0x543)
            s.config_write(5, DEVCTL, 2, 0x2007)
            self.assertNotEqual(s.config_read(5, DEVCTL, 2), fresh[1])
            ask(s)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            s.wait_for("the device", lambda: s.state() == "assigned")
            s.settle()
            self.assertEqual((s.config_read(5, 4, 2), s.config_read(5, DEVCTL, 2)), fresh)
            s.detach(5)

    def test_no_flr_without_the_method(self):
        for devices in ([with_flr(reset="bus")], [with_flr(reset="")], [device("e1000e")]):
            with sim(devices=devices) as s:
                s.connect()
                s.clear_log()
                self.assertEqual(ask(s), 0)
                s.settle()
                self.assertEqual(s.log("job_reset.start"), [])
                self.assertEqual(s.state(), "assigned")

    def test_the_operators_reset_none_and_methods_hold_for_the_guest_too(self):
        for policy in ({"reset": "none"}, {"reset_method": ["bus"]}):
            with self.subTest(policy=policy), \
                    sim(config={"devices": [{"bdf": NIC, **policy}]}) as s:
                s.connect()
                s.clear_log()
                ask(s)
                s.settle()
                self.assertEqual(s.log("job_reset.start"), [])
                self.assertEqual(s.config_read(5, 0), 0x10D38086)


class During(unittest.TestCase):
    def test_H6_no_operation_reaches_the_device(self):
        """The simulator calls a cycle during a reset a violation; reads answer at once."""
        with sim(delay=300, clean=True) as s:
            s.connect()
            s.clear_log()
            self.assertEqual(ask(s), 0)
            for offset, size, ones in ((0, 4, ONES), (4, 2, 0xFFFF), (0x3C, 1, 0xFF),
                                       (0x10, 4, ONES), (0x100, 4, ONES)):
                self.assertEqual(s.config_read(5, offset, size), ones)
            self.assertEqual(s.op(5, READ, offset=0x1000, size=4)["err"], INVALID_OFFSET)
            self.assertEqual(s.op(5, 11)["err"], NOT_IMPLEMENTED)
            self.assertEqual(s.state(), "resetting")
            done(s)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_behind_a_shortened_space_it_is_as_without_a_reset(self):
        quirk = {"id": "short", "device": {"config_size": 256}}
        with sim(delay=300, quirks=[quirk], clean=True) as s:
            s.connect()
            self.assertEqual(s.config_read(5, 0x100), ONES)
            ask(s)
            self.assertEqual(s.config_read(5, 0x100), ONES)
            self.assertEqual(s.state(), "resetting")
            done(s)
            s.detach(5)

    def test_reads_right_behind_the_request_find_nothing(self):
        """Also before the loop has come to start the job."""
        with sim(delay=100, clean=True) as s:
            s.connect()
            ask(s)
            self.assertEqual(s.config_read(5, 0), ONES)
            done(s)
            s.detach(5)

    def test_writes_wait_for_the_end(self):
        with sim(delay=200, clean=True) as s:
            s.connect()
            ask(s)
            s.clear_log()
            self.assertEqual(s.config_write(5, 0x0C, 1, 0x10), 0)
            log = s.log("job_reset", "cycle_write")
            self.assertGreater(find(log, {"call": "cycle_write", "offset": 0x0C, "value": 0x10}),
                               find(log, "job_reset"))
            self.assertEqual(s.state(), "assigned")
            s.detach(5)

    def test_interrupt_operations_wait_for_the_end(self):
        for cmd, more in ((ENABLE_MSI, {}), (ENABLE_MULTI_MSI, {"value": 2}),
                          (ENABLE_MSIX, {"value": 2, "entries": [0, 1]}), (DISABLE_MSIX, {})):
            with self.subTest(cmd=cmd), sim(delay=150, clean=True) as s:
                s.connect()
                ask(s)
                s.clear_log()
                self.assertEqual(s.op(5, cmd, **more)["err"], 0)
                if cmd != DISABLE_MSIX:
                    assert_order(s.log(), "job_reset",
                                 lambda e: e["call"].startswith("map_"))
                s.detach(5)

    def test_a_write_does_not_wait_for_ever(self):
        """The frontend gives up after 2 s: the answer comes before."""
        with sim(delay=2500, config={"limits": {"reset_timeout_ms": 10000}}, clean=True) as s:
            s.connect()
            s.sim("set", job_delay_ms=2500)
            ask(s)
            self.assertEqual(s.config_write(5, 0x0C, 1, 0x10), OP_FAILED)
            self.assertEqual(s.state(), "resetting", "it was answered before the end")
            self.assertEqual(s.config_read(5, 0), ONES)
            done(s)
            s.sim("set", job_delay_ms=0)
            self.assertEqual(s.config_write(5, 0x0C, 1, 0x10), 0)
            s.detach(5)

    def test_a_slow_device_finishes_the_access_first(self):
        with sim(clean=True) as s:
            s.connect()
            s.sim("device-set", device=NIC, slow_ms=30)
            self.assertEqual(s.config_write(5, DEVCTL, 4, FLR), 0)
            s.sim("device-set", device=NIC, slow_ms=0)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            s.wait_for("the device", lambda: s.state() == "assigned")
            s.detach(5)

    def test_others_are_served(self):
        with sim(delay=300, devices=[with_flr(), device("nvme")],
                 domains=[domain(5), domain(6)]) as s:
            s.connect(5, NIC)
            s.connect(6, DISK)
            ask(s)
            self.assertEqual(s.config_read(6, 0), 0x00101B36)
            self.assertEqual(s.state(), "resetting")
            done(s)

    def test_storm_is_rate_limited(self):
        with sim() as s:
            s.connect()
            s.clear_log()
            for _ in range(40):
                self.assertIn(s.op(5, WRITE, offset=DEVCTL, size=2, value=FLR)["err"],
                              (0, OP_FAILED, ACCESS_DENIED))
            done(s)
            resets = len(s.log("job_reset"))
            self.assertGreaterEqual(resets, 1)
            self.assertLessEqual(resets, 6, "3 in 3 s, and the test may span two of them")
            count = counters(s)
            self.assertEqual(count["guest_resets"], resets + count["refused_resets"])
            self.assertGreater(count["refused_resets"], 0)
            s.wait_for("assigned", lambda: s.state() == "assigned")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)


class H8(unittest.TestCase):
    def test_H8_msix_is_restored_after_bars_and_command(self):
        with sim(clean=True) as s:
            s.connect()
            pirqs = s.enable_msix(5, [0, 2])["vectors"]
            s.sim("device-set", device=NIC, forgets=True)
            s.clear_log()
            ask(s)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            done(s)
            s.sim("device-set", device=NIC, forgets=False)
            log = s.log()
            restored = find(log, "msi_restore")
            self.assertGreater(restored, find(log, "job_reset"))
            self.assertGreater(restored, max(i for i, e in enumerate(log) if
                                             e["call"] == "cycle_write" and
                                             (e["offset"] == 4 or 0x10 <= e["offset"] < 0x28)))
            self.assertFalse(find(log, "unmap_pirq") >= 0)
            self.assertFalse(s.dev()["msi_lost"])
            self.assertEqual(control(s, MSIX) & 0xC000, 0x8000)
            self.assertTrue(s.dev()["command"] & INTX_DISABLE)
            self.assertEqual([p["pirq"] for p in s.leaks()["pirqs"] if p["device"]],
                             sorted(pirqs))
            s.detach(5)

    def test_H8_msi_and_its_row_are_restored(self):
        for count in (1, 4):
            with self.subTest(count=count), sim(clean=True) as s:
                s.connect()
                s.op(5, ENABLE_MULTI_MSI, value=count)
                before = control(s, MSI) & 0x71
                ask(s)
                s.wait_for("the reset", lambda: s.log("job_reset"))
                done(s)
                self.assertEqual(control(s, MSI) & 0x71, before)
                self.assertFalse(s.dev()["msi_lost"])
                s.detach(5)

    def test_H8_maskall_that_stays_is_cleared_by_a_plain_write(self):
        with sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.sim("device-set", device=NIC, leaves_maskall=True)
            ask(s)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            done(s)
            self.assertEqual(control(s, MSIX) & 0xC000, 0x8000)
            self.assertEqual(s.state(), "assigned")
            s.detach(5)

    def test_H8_maskall_that_sticks_ends_in_unmap_release_prepare(self):
        with sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.sim("device-set", device=NIC, leaves_maskall=True, keeps_maskall=True)
            s.clear_log()
            ask(s)
            s.wait_for("the end", lambda: s.state() == "failed")
            assert_order(s.log(), "msi_restore", "unmap_pirq", "unmap_pirq")
            self.assertIn("interrupts", s.show()["cause"])
            self.assertEqual(s.config_read(5, 0), ONES)
            self.assertEqual(s.op(5, ENABLE_MSI)["err"], OP_FAILED)
            s.sim("device-set", device=NIC, leaves_maskall=False, keeps_maskall=False)
            s.clear_log()
            s.detach(5)
            # not while the guest has the memory: the table would be open to it meanwhile (H16)
            assert_order(s.log(), {"call": "allow_memory", "allow": False}, "msix_release",
                         "msix_prepare", "job_reset")
            self.assertEqual(s.state(), "claimed")
            s.assert_clean()
            s.attach(5, wait=5)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)

    def test_H8_vectors_come_back_from_d3hot_too(self):
        """e1000e has no No_Soft_Reset: its registers are lost on the way."""
        pm = 0xC8
        with sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            self.assertEqual(s.config_write(5, pm + 4, 2, 3), 0)
            s.clear_log()
            self.assertEqual(s.config_write(5, pm + 4, 2, 0), 0)
            log = s.log()
            self.assertGreater(find(log, "msi_restore"), find(log, command_write(set_=MEMORY)))
            self.assertFalse(s.dev()["msi_lost"])
            self.assertEqual(control(s, MSIX) & 0xC000, 0x8000)
            s.sim("device-set", device=NIC, leaves_maskall=True, keeps_maskall=True)
            s.config_write(5, pm + 4, 2, 3)
            self.assertEqual(s.config_write(5, pm + 4, 2, 0), OP_FAILED)
            self.assertEqual(s.dev()["vectors"], 0)
            s.sim("device-set", device=NIC, leaves_maskall=False, keeps_maskall=False)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0, "the guest may ask again")
            s.detach(5)


class Ends(unittest.TestCase):
    def test_failing_reset_leaves_a_device_that_reads_all_ones(self):
        for errno, timeout in (("EIO", False), ("ENODEV", False), ("ETIMEDOUT", True)):
            with self.subTest(errno=errno), sim() as s:
                s.connect()
                s.enable_msix(5, [0])
                s.fault("job_reset", errno)
                self.assertEqual(ask(s), 0)
                s.wait_for("the end", lambda: s.state() == "failed")
                self.assertIn("reset", s.show()["cause"])
                self.assertEqual(s.config_read(5, 0), ONES)
                self.assertEqual(s.config_read(5, 0x3C, 1), 0xFF)
                self.assertEqual(s.config_write(5, 4, 2, 7), OP_FAILED)
                self.assertEqual(s.op(5, DISABLE_MSIX)["err"], OP_FAILED)
                s.detach(5, force=True)
                self.assertEqual(s.state(), "failed" if timeout else "claimed")
                leaks = s.leaks()
                self.assertEqual((leaks["permissions"], leaks["pirqs"], leaks["pages"],
                                  leaks["nodes"]), ([], [], [], []))

    def test_a_waiting_write_fails_with_the_reset(self):
        with sim(delay=200) as s:
            s.connect()
            s.fault("job_reset", "EIO")
            ask(s)
            self.assertEqual(s.config_write(5, 4, 2, 7), OP_FAILED)
            self.assertEqual(s.state(), "failed")
            s.detach(5)

    def test_every_call_of_it_fails_in_turn(self):
        with sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.sim("device-set", device=NIC, forgets=True)
            s.clear_log()
            ask(s)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            done(s)
            calls = [e["call"] for e in faultable(s.log()) if not e["call"].startswith("port_")]
            s.sim("device-set", device=NIC, forgets=False)
        self.assertGreater(len(calls), 10)
        for pattern in ("cycle_read", "cycle_write", "msi_restore", "job_reset"):
            for nth in range(1, calls.count(pattern) + 1):
                with self.subTest(call=pattern, nth=nth), sim() as s:
                    s.connect()
                    s.enable_msix(5, [0, 1])
                    s.sim("device-set", device=NIC, forgets=True)
                    s.config_read(5, DEVCTL, 2)
                    s.fault(pattern, "EIO", nth=nth)
                    s.op(5, WRITE, offset=DEVCTL, size=2, value=FLR)
                    s.settle()
                    s.sim("fault-clear")
                    s.wait_for("rest", lambda: s.state() in ("assigned", "failed"))
                    s.sim("device-set", device=NIC, forgets=False)
                    if s.state() == "failed":
                        self.assertEqual(s.config_read(5, 0), ONES)
                    s.detach(5)
                    s.assert_clean()

    def test_H2_death_during_the_reset(self):
        for parked in (False, True):
            with self.subTest(parked=parked), sim(delay=150, clean=True) as s:
                s.connect()
                s.enable_msix(5, [0, 1])
                s.config_write(5, 4, 2, 7)
                ask(s)
                if parked:
                    s.sim("post", domid=5, offset=4,
                          hex=pack_op(WRITE, offset=0x0C, size=1, value=0x10), flags=1)
                s.sim("domain-destroy", domid=5)
                s.wait_for("the device", lambda: s.state() == "claimed")
                self.assertFalse(s.dev()["command"] & MASTER)

    def test_H2_death_at_each_call_of_the_reset(self):
        with sim() as s:
            s.connect()
            s.enable_msix(5, [0])
            s.clear_log()
            ask(s)
            s.wait_for("the reset", lambda: s.log("job_reset"))
            done(s)
            count = len(faultable(s.log()))
        for nth in range(1, count + 1):
            with self.subTest(nth=nth), sim(clean=True) as s:
                s.connect()
                s.enable_msix(5, [0])
                s.fault("*", nth=nth, action={"do": "domain-destroy", "domid": 5})
                s.sim("post", domid=5, offset=4,
                      hex=pack_op(WRITE, offset=DEVCTL, size=2, value=FLR), flags=1)
                s.settle()
                s.sim("fault-clear")
                if any(not d["dying"] for d in s.leaks()["domains"]):
                    s.sim("domain-destroy", domid=5)
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.settle()

    def test_death_with_a_reset_that_does_not_end(self):
        with sim() as s:
            s.connect()
            s.fault("job_reset", "ETIMEDOUT")
            ask(s)
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "failed" and s.show()["owner"] is None,
                       timeout=10)
            leaks = s.leaks()
            self.assertEqual((leaks["permissions"], leaks["pirqs"], leaks["pages"]), ([], [], []))

    def test_detach_waits_for_the_end(self):
        with sim(delay=150, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.clear_log()
            ask(s)
            s.detach(5)
            jobs = [e["method"] for e in s.log("job_reset")]
            self.assertEqual(jobs, ["flr", ""], "the guest's, then that of the detach")
            self.assertEqual(s.state(), "claimed")

    def test_detach_is_not_kept_waiting_by_one_reset_after_the_other(self):
        """A write of the FLR bit that waits for a reset would begin the next one at its end."""
        with sim(delay=300, clean=True) as s:
            s.connect()
            s.clear_log()
            ask(s)
            pending = s.rpc.start("detach", guest="5", dev=NIC, force=True)
            s.op(5, WRITE, offset=DEVCTL, size=2, value=FLR)
            s.rpc.finish(pending)
            self.assertEqual([e["method"] for e in s.log("job_reset")], ["flr", ""])
            self.assertEqual(s.state(), "claimed")

    def test_other_verbs_say_what_is_under_way(self):
        with sim(delay=300, domains=[domain(5), domain(6)], clean=True) as s:
            s.connect()
            ask(s)
            for verb in (lambda: s.attach(6), lambda: s.claim()):
                with self.assertRaises(RpcError) as e:
                    verb()
                self.assertIn("reset by the guest", e.exception.data["reason"])
            with self.assertRaises(RpcError):
                s.release()
            s.release(force=True)
            self.assertEqual(s.state(), "present")

    def test_frontend_that_begins_anew_during_the_reset(self):
        with sim(delay=150, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.follow(5, on=False)
            ask(s)
            for state in (5, 6, 1):
                s.sim("state", domid=5, state=state)
                time.sleep(0.01)
            s.wait_for("a fresh device", lambda: s.state() == "assigned" and
                       s.be_state(5) in (2, 3) and s.dev()["vectors"] == 0)
            s.follow(5)
            s.settle()
            s.detach(5, force=True)

    def test_operation_of_a_frontend_that_went_away_is_not_carried_out(self):
        with sim(delay=200, clean=True) as s:
            s.connect()
            s.follow(5, on=False)
            ask(s)
            s.sim("post", domid=5, offset=4,
                  hex=pack_op(WRITE, offset=0x0C, size=1, value=0x5A), flags=1)
            s.clear_log()
            s.sim("state", domid=5, state=6)
            s.wait_for("closed", lambda: s.be_state(5) == 6)
            done(s)
            self.assertFalse([e for e in s.log("cycle_write") if e["offset"] == 0x0C and
                              e["value"] == 0x5A])
            s.detach(5, force=True)

    def test_the_daemon_ends_during_the_reset(self):
        for parked in (False, True):
            with self.subTest(parked=parked), sim(delay=400) as s:
                s.connect()
                ask(s)
                if parked:
                    s.sim("post", domid=5, offset=4,
                          hex=pack_op(WRITE, offset=0x0C, size=1, value=0x10), flags=1)


class Random(unittest.TestCase):
    """What a hostile guest does between, during and after its resets, while rules are reloaded."""

    PM = 0xC8

    def step(self, s, rng):
        what = rng.randrange(12)
        if what < 3:
            return s.op(5, WRITE, offset=DEVCTL, size=rng.choice((2, 4)), value=FLR | rng.randrange(16))
        if what == 3:
            return s.op(5, ENABLE_MULTI_MSI, value=rng.choice((0, 1, 2, 4, 33)))
        if what == 4:
            return s.enable_msix(5, rng.sample(range(6), rng.randrange(1, 5)))
        if what == 5:
            return s.op(5, rng.choice((DISABLE_MSI, DISABLE_MSIX, ENABLE_MSI)))
        if what == 6:
            return s.op(5, WRITE, offset=self.PM + 4, size=2, value=rng.choice((0, 3)))
        if what == 7:
            s.sim("device-set", device=NIC, slow_ms=rng.choice((0, 0, 3)))
            return s.op(5, READ, offset=0x06, size=2)
        if what == 8:
            s.write_quirks([{"fields": [{"at": "0x68", "size": 4, "virtual": "0xffffffff",
                                         "value": hex(rng.randrange(1 << 16)), "why": "a test"}]}])
            s.reload()
            return s.op(5, READ, offset=0x68, size=4)
        return s.op(5, rng.choice((READ, WRITE)), offset=rng.randrange(64) * 4, size=4,
                    value=rng.getrandbits(32))

    def test_H6_H8_random_operations_around_resets(self):
        for seed in range(6):
            rng = random.Random(seed)
            with self.subTest(seed=seed), sim(delay=rng.choice((0, 2, 20)), clean=True) as s:
                s.connect()
                for _ in range(150):
                    answer = self.step(s, rng)
                    self.assertTrue(answer["done"], answer)
                    self.assertLessEqual(-5, answer["err"])
                s.sim("device-set", device=NIC, slow_ms=0)
                done(s)
                if seed % 2:
                    s.sim("domain-destroy", domid=5)
                    s.wait_for("the device", lambda: s.state() == "claimed")
                else:
                    s.detach(5)
                self.assertEqual(s.state(), "claimed")


if __name__ == "__main__":
    unittest.main()
