# SPDX-License-Identifier: MIT
"""Others die, hang, run full or vanish, at every step of a device's life: xenstored, the helper, the
device, the guest, descriptors, the file system of the state directory.

Without PB_SIM_FULL=1 in the environment one step of STRIDE is tried, others for each test.
"""
import unittest

from faultlib import FaultCase
from simlib import *
from test_death import faultable

FULL = os.environ.get("PB_SIM_FULL") == "1"
STRIDE = 1 if FULL else 7
DISK_NAME = 0x00101B36
OPS = [{"cmd": READ, "offset": 0}, {"cmd": WRITE, "offset": 4, "size": 2, "value": 7},
       {"cmd": ENABLE_MSIX, "value": 2, "entries": [0, 1]}, {"cmd": READ, "offset": 6, "size": 2},
       {"cmd": DISABLE_MSIX}, {"cmd": ENABLE_MSI}, {"cmd": DISABLE_MSI}]


class Others(FaultCase):
    first = 0

    def life(self, s):
        """Of a device, each step whatever became of the one before."""
        self.said(s.claim)
        self.said(s.attach, 5, wait=1)
        s.settle()
        self.guest(s)
        self.said(s.detach, 5)
        self.said(s.release)
        s.settle()

    def guest(self, s):
        for op in OPS:
            try:
                if (s.fe_state(5), s.be_state(5)) != (4, 4):
                    return
                s.op(5, wait_ms=1700, **op)
            except SimError:  # it is no more
                return

    def back(self, s):
        s.sim("fault-clear")
        s.settle()
        for verb in (lambda: s.detach(5, force=True), lambda: s.release(force=True)):
            self.said(verb)
        s.settle()

    def steps(self, pattern, prepare=lambda s: None, script=None, **more):
        """How many calls of PATTERN the SCRIPT makes, and those that are tried."""
        script = script or self.life
        with Sim(violations=True, **more) as s:
            s.follow(5)
            prepare(s)
            s.clear_log()
            script(s)
            count = len([e for e in faultable(s.log()) if e["call"].startswith(pattern)])
        self.assertGreater(count, 3)
        Others.first += 1
        return range(1 + Others.first % STRIDE, count + 1, STRIDE)

    def test_xenstored_dies_at_each_request_and_returns(self):
        for nth in self.steps("store_"):
            with self.subTest(nth=nth), Sim(violations=True) as s:
                s.follow(5)
                s.fault("store_*", nth=nth, action={"do": "store-kill"})
                self.life(s)
                s.sim("fault-clear")
                s.sim("store-return", keep=True)
                s.settle()
                self.back(s)
                if s.read_node(s.reservation()):  # it was away when it was to be removed
                    s.remove_node(s.reservation())
                s.claim(force=True)
                s.attach(5, force=True, wait=5)
                s.detach(5)
                s.release(force=True)
                s.assert_clean()
                s.assert_no_violations()

    def test_the_helper_is_gone_for_a_while(self):
        """From each job on three fail; then there is a new one."""
        for nth in self.steps("job_"):
            with self.subTest(nth=nth), Sim() as s:
                s.follow(5)
                s.fault("job_*", "EPIPE", nth=nth, count=3)
                self.life(s)
                self.back(s)
                self.back(s)
                s.assert_clean()

    def connected(self, s):
        s.claim()
        s.attach(5, wait=5)
        s.settle()

    def ends(self, action, at_rest, **more):
        """ACTION at each call of what a connected guest does and of its detach."""
        def script(s):
            self.guest(s)
            self.said(s.detach, 5)
            s.settle()
        for nth in self.steps("", self.connected, script):
            with self.subTest(nth=nth), Sim(violations=True, **more) as s:
                s.follow(5)
                self.connected(s)
                s.fault("*", nth=nth, action=action)
                script(s)
                s.sim("fault-clear")
                at_rest(s)

    def test_the_device_vanishes_at_each_step(self):
        def at_rest(s):
            self.assertTrue(s.alive())
            self.said(s.detach, 5, force=True)
            s.settle()
            leaks = s.leaks()
            self.assertEqual((leaks["permissions"], leaks["nodes"]), ([], []))
            self.assertEqual((leaks["ports"], leaks["pages"]), ([], []))
            # Pirqs of a device that is gone must not be unmapped (H1). That it goes in the very
            # moment in which its guest lets go of them is told only after that.
            log = s.sim("log")["log"]
            gone = next((e["n"] for e in log if e["call"] == "world.unplug"), 0)
            told = next((e["n"] for e in log if e["call"] == "uevent" and e["n"] > gone), 0)
            late = [v for v in leaks["violations"] if "H1" in v["text"] and v["n"] > told]
            self.assertFalse(late)
        self.ends({"do": "device-unplug", "device": NIC}, at_rest)

    def test_the_device_turns_to_all_ones_at_each_step(self):
        def at_rest(s):
            self.assertTrue(s.alive())
            self.said(s.detach, 5, force=True)
            s.sim("device-set", device=NIC, dead=False)
            self.said(s.call, "reset", dev=NIC)
            s.settle()
            leaks = s.leaks()
            for kind in ("permissions", "pirqs", "ports", "pages", "nodes"):
                self.assertEqual(leaks[kind], [], kind)
            self.assertIn(s.state(), ("claimed", "failed"))
        self.ends({"do": "device-set", "device": NIC, "dead": True}, at_rest)

    def guest_is_gone(self, s):
        if [d for d in s.leaks()["domains"] if not d["dying"]]:
            s.sim("domain-destroy", domid=5)
        s.wait_for("the device", lambda: s.state() in ("claimed", "present"))
        s.wait_for("the number", lambda: not s.leaks()["domains"])
        s.assert_clean()
        s.assert_no_violations()

    def test_the_guest_is_destroyed_at_each_step(self):
        self.ends({"do": "domain-destroy", "domid": 5}, self.guest_is_gone)

    def test_the_guest_crashes_at_each_step(self):
        self.ends({"do": "domain-shutdown", "domid": 5, "reason": "crash"}, self.guest_is_gone)

    def test_a_guest_that_is_paused_keeps_nobody_waiting(self):
        """It posts, and reads its answer when it runs again; a detach has its deadline."""
        with Sim(clean=True) as s:
            s.follow(5)
            self.connected(s)
            s.follow(5, on=False)
            s.sim("post", domid=5, offset=4, hex=pack_op(READ, offset=0, size=4), flags=1)
            s.wait_for("the answer", lambda: s.flags(5) & 1 == 0)
            began = time.monotonic()
            self.assertEqual(self.said(s.detach, 5).data["code"], "timeout")
            self.assertLess(time.monotonic() - began, 3)
            self.assertEqual(s.state(), "assigned")
            s.follow(5)
            s.wait_for("its states", lambda: (s.fe_state(5), s.be_state(5)) == (4, 4))
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)

    def test_out_of_descriptors(self):
        """Whatever needs one fails, says so, and works again when there are some."""
        for pattern in ("job_claim", "job_probe", "page_map", "port_bind", "domain_get"):
            with self.subTest(call=pattern), Sim() as s:
                s.follow(5)
                s.fault(pattern, "EMFILE", count=50)
                self.life(s)
                self.back(s)
                s.assert_clean()
                s.claim()
                s.attach(5, force=True, wait=5)
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
                s.detach(5)


class FullStateDirectory(unittest.TestCase):
    """Nothing is taken that could not be remembered; whoever has something keeps it."""
    RESERVED = 16  # so many records of each kind are made room for at the start

    def devices(self, count):
        """So many of one model, each in a place of its own."""
        return [moved({**device("nvme"), "resources": [[0xD0000000, 0xD0003FFF, MEM64]]},
                      "0000:%02x:00.0" % n, 0x4000 * n) for n in range(1, count + 1)]

    def refused(self, verb, *arguments, **more):
        with self.assertRaises(RpcError) as e:
            verb(*arguments, **more)
        self.assertRegex(json.dumps(e.exception.data).lower(), "no space|make room")

    def still_used(self, s):
        self.assertEqual(s.config_read(5, 0), DISK_NAME)
        self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
        self.assertEqual(s.disable_msix(5)["err"], 0)

    def test_a_claim_is_refused_with_the_reason(self):
        devices = self.devices(self.RESERVED + 1)
        last = devices[-1]["bdf"]
        with Sim(devices=devices, clean=True) as s:
            s.connect(5, devices[0]["bdf"])
            s.sim("disk", full=True)
            for dev in devices[1:-1]:
                s.claim(dev["bdf"])
            self.refused(s.claim, last)
            self.assertEqual(s.dev(last)["owner"], 0)
            self.still_used(s)
            s.sim("disk", full=False)
            s.claim(last)
            s.detach(5, devices[0]["bdf"])

    def test_an_attach_is_refused_with_the_reason(self):
        count = self.RESERVED + 1
        devices = self.devices(count)
        with Sim(devices=devices, domains=[domain(5 + n) for n in range(count)], clean=True) as s:
            for dev in devices:
                s.claim(dev["bdf"])
            s.sim("disk", full=True)
            for n, dev in enumerate(devices[:-1]):
                s.follow(5 + n)
                s.attach(5 + n, dev["bdf"], wait=5)
            last = 5 + count - 1
            s.follow(last)
            self.refused(s.attach, last, devices[-1]["bdf"])
            self.assertEqual(s.dev(devices[-1]["bdf"])["owner"], DOMID_IO)
            self.still_used(s)
            s.sim("disk", full=False)
            s.attach(last, devices[-1]["bdf"], wait=5)
            for n, dev in enumerate(devices):
                s.detach(5 + n, dev["bdf"])


if __name__ == "__main__":
    unittest.main()
