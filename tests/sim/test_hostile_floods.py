# SPDX-License-Identifier: MIT
"""A guest that repeats what costs something: events (T9), whatever makes the daemon say something
(T11), devices that lie (T14), operations during a reset (T15), plugins (T16)."""
import unittest

from simlib import *
from test_reset import ask, with_flr

PM = 0xC8  # of e1000e
COMMAND_DECODE = 3


def counters(s):
    result = s.call("stats")
    return result.get("counters", result)


def lines(s):
    return [line for line in s.stderr().splitlines() if line]


class Flood:
    """How many lines the daemon says inside."""

    def __init__(self, s):
        self.s = s

    def __enter__(self):
        self.before = len(lines(self.s))
        return self

    def __exit__(self, *_):
        self.said = lines(self.s)[self.before:]
        return False


class Events(unittest.TestCase):
    def test_T9_XSA_332_back_off_grows_to_a_second(self):
        """Events with nothing to do: the port stays masked for longer and longer, 1 s at most."""
        with Sim() as s:
            s.connect()
            before = counters(s)["spurious_events"]
            start = time.monotonic()
            while time.monotonic() - start < 4.5:
                for _ in range(50):
                    s.sim("notify", domid=5)
            # two are free, then 1 + 2 + 4 + … + 512 ms, then one a second
            self.assertLessEqual(counters(s)["spurious_events"] - before, 3 + 10 + 5)
            # and an operation is served after a second at most, not lost
            start = time.monotonic()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertLess(time.monotonic() - start, 1.9)
            # which ends the back-off: the next is served at once
            start = time.monotonic()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertLess(time.monotonic() - start, 0.5)

    def test_T9_XSA_332_others_and_the_control_socket_do_not_notice(self):
        with Sim(devices=[device("e1000e"), device("nvme")],
                 domains=[domain(5), domain(6)]) as s:
            s.connect(5)
            s.connect(6, DISK)
            s.sim("set", job_delay_ms=0)
            spurious = counters(s)["spurious_events"]
            for n in range(300):
                for _ in range(10):
                    s.sim("notify", domid=5)
                start = time.monotonic()
                self.assertEqual(s.config_read(6, 0), 0x00101B36)
                s.call("version")
                self.assertLess(time.monotonic() - start, 1)
            self.assertLess(counters(s)["spurious_events"] - spurious, 40)
            self.assertEqual(counters(s)["late_ops"], 0)


class Log(unittest.TestCase):
    """T11 (XSA-43, XSA-130): each message that a guest can cause, a thousand times."""
    TIMES = 1000

    def flood(self, s, act, most, times=None):
        with Flood(s) as flood:
            for n in range(times or self.TIMES):
                act(n)
        self.assertLessEqual(len(flood.said), most, "\n".join(flood.said[:most + 10]))
        return flood.said

    def test_T11_refused_writes(self):
        with Sim() as s:
            s.connect()
            said = self.flood(s, lambda n: s.config_write(5, 0x40 + 4 * (n % 8), 4, n + 1), 4)
            self.assertTrue(said)
            self.assertGreaterEqual(counters(s)["denied_writes"], self.TIMES)

    def test_T11_XSA_43_interrupts_that_cannot_be_enabled(self):
        for cause in ("EPERM", "ENOSPC", "EINVAL", "EOPNOTSUPP"):
            with self.subTest(cause=cause), Sim() as s:
                s.connect()
                s.fault("map_m*", cause, count=10**6)
                acts = (lambda: s.op(5, ENABLE_MSI), lambda: s.enable_msix(5, [0, 1]),
                        lambda: s.enable_msix(5, [0, 0]), lambda: s.op(5, ENABLE_MULTI_MSI, value=2))
                self.flood(s, lambda n: self.assertEqual(acts[n % 4]()["err"], OP_FAILED), 12)
                s.sim("fault-clear")

    def test_T11_XSA_130_every_bad_operation(self):
        with Sim() as s:
            s.connect()
            bad = [dict(cmd=c, **more) for c in (0, 1, 2, 3, 4, 5, 6, 10, 99)
                   for more in (dict(domain=1), dict(bus=9), dict(devfn=0x123), dict(size=3),
                                dict(offset=0xFFFFFFFC, size=4), dict(value=0xFFFFFFFF))]
            said = self.flood(s, lambda n: s.sim("op", domid=5, **bad[n % len(bad)]), 5)
            self.assertGreater(counters(s)["bad_ops"], self.TIMES // 3, said)

    def test_T11_frontends_that_are_refused(self):
        with Sim() as s:
            s.claim()
            s.attach(5)
            s.settle()

            def act(n):
                s.sim("state", domid=5, state=6)
                s.sim("state", domid=5, state=1)
                s.sim("publish", domid=5, **[dict(magic="8"), dict(ref="99999"), dict(port="x")][n % 3])
                s.settle()
            self.flood(s, act, 130, times=300)

    def test_T11_frontends_that_come_and_go(self):
        with Sim() as s:
            s.claim()
            s.attach(5)
            s.settle()

            def act(n):
                s.sim("publish", domid=5, fresh=True)
                s.settle()
                s.sim("state", domid=5, state=1)
                s.settle()
            self.flood(s, act, 130, times=300)
            self.assertGreater(counters(s)["connects"], 20)

    def test_T11_resets_that_a_frontend_causes_and_that_fail(self):
        for cause in ("ENOTTY", "EIO"):
            with self.subTest(cause=cause), Sim() as s:
                s.claim()
                s.attach(5)
                s.settle()
                s.fault("job_reset", cause, count=10**6)

                def act(n):
                    s.sim("publish", domid=5, fresh=True)
                    s.settle()
                    s.sim("state", domid=5, state=1)
                    s.settle()
                self.flood(s, act, 140, times=300)
                s.sim("fault-clear")

    def test_T11_resets_that_a_guest_asks_for(self):
        with Sim(devices=[with_flr()]) as s:
            s.connect()
            self.flood(s, lambda n: ask(s), 30, times=600)
            self.assertGreaterEqual(counters(s)["refused_resets"], 300)
            s.wait_for("the last one", lambda: s.state() == "assigned")

    def test_T11_interrupts_that_do_not_come_back_from_sleep(self):
        with Sim() as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.fault("msi_restore", "EIO", count=10**6)

            def act(n):
                s.config_write(5, PM + 4, 2, 3)
                s.config_write(5, PM + 4, 2, 0)
                s.enable_msix(5, [0, 1])
            self.flood(s, act, 40, times=150)
            s.sim("fault-clear")

    def test_T11_device_that_does_not_answer(self):
        with Sim() as s:
            s.connect()
            s.sim("device-set", device=NIC, error="EIO")
            self.flood(s, lambda n: (s.op(5, READ, offset=0x10C, size=4), s.op(5, ENABLE_MSI),
                                     s.config_write(5, 0x0C, 1, n % 256)), 20)
            s.sim("device-set", device=NIC, error="")

    def test_T11_frontend_that_throws_its_device_away_does_not_get_it_again(self):
        """It is tainted: no assignment gives it to anybody while that guest lives."""
        with Sim(config={"devices": [{"name": "nic", "bdf": NIC}],
                         "assignments": [{"guest": "netvm", "devices": ["nic"]}]}) as s:
            s.follow(5)
            s.wait_for("the first time", lambda: s.be_state(5) == 4)
            start = time.monotonic()
            with Flood(s) as flood:
                times = 0
                while time.monotonic() - start < 5:
                    if s.be_state(5) >= 1 and s.read_node(s.fe(5, "state")):
                        s.remove_node(s.fe(5), domid=5)
                        times += 1
                    time.sleep(0.002)
            self.assertEqual(times, 1)
            self.assertLessEqual(len(flood.said), 10, "\n".join(flood.said))


class Lies(unittest.TestCase):
    """T14 (XSA-337): what a device says once a guest has it decides nothing."""

    def test_T14_XSA_337_other_capabilities_bars_and_table(self):
        with Sim(clean=True) as s:
            s.connect()
            granted = s.leaks()["permissions"]
            for offset, size, value in ((0x34, 1, 0x40), (0x40, 2, 0x0005), (0x42, 2, 0x0081),
                                        (0xA0, 1, 0x05), (0xA2, 2, 0x07FF), (0xA4, 4, 0xFFFFF005),
                                        (0xD0, 1, 0x11), (0x10, 4, 0xFEE00000), (0x14, 4, 0x1000),
                                        (0x0E, 1, 0x81), (0x100, 4, 0x14820010)):
                s.sim("device-write", device=NIC, offset=offset, size=size, value=value)
            self.assertEqual(s.enable_msix(5, list(range(6)))["err"], OP_FAILED,
                             "its table had five entries at claim")
            self.assertEqual(s.config_read(5, 0x10), 0xFEA20000)
            self.assertEqual(s.leaks()["permissions"], granted)
            s.detach(5, force=True)
            self.assertEqual(s.leaks()["permissions"], [])

    def test_T14_all_ones(self):
        with Sim(violations=True) as s:  # its decode cannot be turned off
            s.connect()
            s.enable_msix(5, [0, 1, 2])
            s.sim("device-set", device=NIC, dead=True)
            for offset in range(0, 0x200, 4):
                self.assertTrue(s.op(5, READ, offset=offset, size=4)["done"])
                self.assertTrue(s.op(5, WRITE, offset=offset, size=4, value=0)["done"])
            for cmd in (ENABLE_MSI, DISABLE_MSI, ENABLE_MSIX, DISABLE_MSIX, ENABLE_MULTI_MSI):
                self.assertTrue(s.op(5, cmd, value=1)["done"])
            self.assertEqual([e for e in s.log("cycle_write") if e["value"] == 0xFFFF and
                              e["offset"] == 4], [], "ones are not written back")
            try:
                s.detach(5, force=True)
            except RpcError as e:
                self.assertTrue(e.data["reason"])
            s.settle()
            self.assertEqual(s.leaks()["permissions"], [])
            self.assertEqual([p for p in s.leaks()["pirqs"] if p["device"]], [])

    def test_T14_values_that_change_with_every_read(self):
        """Registers that decisions might be read from, with another value before each operation."""
        import random
        rng = random.Random(14)
        with Sim() as s:
            s.connect()
            for n in range(400):
                for offset in rng.sample((0x06, 0x34, 0xA2, 0xA4, 0xCC, 0xD2, 0xE8, 0x10, 0x18), 3):
                    s.sim("device-write", device=NIC, offset=offset, size=2,
                          value=rng.randrange(65536))
                s.sim("device-write", device=NIC, offset=4, size=2, value=3)
                answer = s.op(5, rng.randrange(6), offset=rng.choice((0, 4, 0x10, 0xCC, 0xE8)),
                              size=2, value=rng.randrange(6), entries=[0, 1, 2, 3, 4])
                self.assertTrue(answer["done"], n)
                self.assertIn(answer["err"], (0, -1, -2, -3, -4, -5))


class Resets(unittest.TestCase):
    """T15: operations while a reset runs, ends, and does not end."""

    def test_T15_all_operations_during_a_reset(self):
        with Sim(domains=[domain(5), domain(6)], devices=[with_flr(), device("nvme")],
                 config={"limits": {"reset_timeout_ms": 9000}}) as s:
            s.connect(6, DISK)
            s.connect(5)
            s.sim("device-set", device=NIC, reset_ms=1500)
            self.assertEqual(ask(s), 0)
            s.clear_log()
            end = time.monotonic() + 0.6
            while time.monotonic() < end:
                start = time.monotonic()
                self.assertEqual(s.config_read(5, 0), 0xFFFFFFFF)
                self.assertEqual(s.op(5, READ, offset=0xFFC, size=4)["value"], 0xFFFFFFFF)
                self.assertEqual(s.op(5, READ, offset=0x1000, size=4)["err"], INVALID_OFFSET)
                self.assertEqual(s.config_read(6, 0), 0x00101B36)
                self.assertLess(time.monotonic() - start, 0.3)
            self.assertEqual([e for e in s.log("cycle_read", "cycle_write")
                              if e["device"] == NIC], [])
            s.wait_for("its end", lambda: s.state() == "assigned")
            for cmd in (ENABLE_MSI, DISABLE_MSI, ENABLE_MSIX, DISABLE_MSIX):
                s.wait_for("room for one more", lambda: s.state() == "assigned")
                time.sleep(0.8)
                self.assertEqual(ask(s), 0)
                start = time.monotonic()
                answer = s.op(5, cmd, value=1, entries=[0])
                self.assertTrue(answer["done"])
                self.assertLess(time.monotonic() - start, 1.9)

    def test_T15_reset_that_does_not_end_while_operations_come(self):
        with Sim(domains=[domain(5), domain(6)], devices=[with_flr(), device("nvme")]) as s:
            s.connect(6, DISK)
            s.connect(5)
            s.fault("job_reset", "ETIMEDOUT")
            self.assertEqual(ask(s), 0)
            s.clear_log()
            longest = 0
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                start = time.monotonic()
                self.assertEqual(s.config_read(5, 0), 0xFFFFFFFF)
                answer = s.op(5, WRITE, offset=0x0C, size=1, value=8)
                self.assertTrue(answer["done"])
                self.assertEqual(s.config_read(6, 0), 0x00101B36)
                longest = max(longest, time.monotonic() - start)
            self.assertLess(longest, 2)
            self.assertEqual(s.state(), "failed")
            self.assertEqual([e for e in s.log("cycle_read", "cycle_write")
                              if e["device"] == NIC], [], "nobody touches it any more (H6)")


class Teardown(unittest.TestCase):
    """T19: the order of H7 and H2 against the hypervisor's log, whatever the guest has on."""
    WAYS = {"nothing": lambda s: None,
            "msix": lambda s: s.enable_msix(5, [0, 1, 2]),
            "msi": lambda s: s.op(5, ENABLE_MSI),
            "asleep": lambda s: (s.enable_msix(5, [0]), s.config_write(5, PM + 4, 2, 3)),
            "master": lambda s: s.config_write(5, 4, 2, 0x0407)}

    @staticmethod
    def revoked(kind):
        def match(e):
            return e["call"] == kind and not e.get("allow") and e["rc"] == 0
        match.__name__ = "revocation of " + kind
        return match

    def order(self, s, live):
        log = s.log()
        deassign = {"call": "device_deassign", "domid": 5}
        assert_before(log, "job_reset", deassign) if find(log, deassign) >= 0 else None
        vectors = [e for e in log if e["call"] == "unmap_pirq" and e["rc"] == 0 and e["pirq"] >= 48]
        if vectors:
            self.assertLess(max(e["n"] for e in vectors),
                            min(e["n"] for e in log if e["call"] == "job_reset.start"),
                            "vectors go before the reset (H8)")
            self.assertEqual(len({e["pirq"] for e in vectors}), len(vectors), "each once")
        if live:
            revoked = [e["n"] for e in log if e["call"] == "allow_memory" and not e["allow"]]
            decode_off = [e["n"] for e in log if e["call"] == "cycle_write" and
                          e["offset"] == 4 and e["value"] & COMMAND_DECODE == 0]
            self.assertTrue(revoked and decode_off)
            self.assertLess(max(revoked), min(decode_off), "revoked before decode goes off (H7)")
        unmap = [e["n"] for e in log if e["call"] == "page_unmap"]
        if unmap and vectors and not live:
            self.assertLess(max(e["n"] for e in vectors), min(unmap),
                            "the page pins the domain's number until then (H2)")
        self.assertEqual(s.leaks()["permissions"], [])
        self.assertEqual(s.dev()["owner"], DOMID_IO)
        self.assertFalse(s.dev()["command"] & 4)

    def test_T19_XSA_302_forced_detach(self):
        for name, prepare in self.WAYS.items():
            with self.subTest(name), Sim() as s:
                s.connect()
                prepare(s)
                s.clear_log()
                s.detach(5, force=True)
                s.settle()
                self.order(s, live=True)

    def test_T19_XSA_302_death(self):
        for name, prepare in self.WAYS.items():
            with self.subTest(name), Sim() as s:
                s.connect()
                prepare(s)
                s.clear_log()
                s.sim("domain-destroy", domid=5)
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.settle()
                self.order(s, live=False)

    def test_T19_node_removed_by_the_guest(self):
        for name, prepare in self.WAYS.items():
            with self.subTest(name), Sim() as s:
                s.connect()
                prepare(s)
                s.clear_log()
                s.remove_node(s.fe(5), domid=5)
                s.wait_for("the device", lambda: s.state() == "claimed")
                s.settle()
                self.order(s, live=True)
                self.assertTrue(s.show()["tainted"], "the guest lives and may hold mappings")


if __name__ == "__main__":
    unittest.main()
