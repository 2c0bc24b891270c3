# SPDX-License-Identifier: MIT
"""Every call of a device's life fails in turn with each error that it may have: a defined error, no
crash, and all comes back to where it began.

Without PB_SIM_FULL=1 in the environment one of STRIDE is tried.
"""
import unittest

from faultlib import FaultCase
from simlib import *
from test_death import faultable

FULL = os.environ.get("PB_SIM_FULL") == "1"
STRIDE = 1 if FULL else 9

ERRORS = {
    "device_": ("EBUSY", "ENODEV", "ESRCH", "EIO"),
    "allow_": ("EPERM", "ENOMEM", "ESRCH"),
    "map_": ("ENOSPC", "EBUSY", "ENOMEM", "ENODEV"),
    "unmap_": ("EINVAL", "EIO"),
    "msix_": ("EBUSY", "ENODEV", "ENXIO", "EIO"),
    "msi_": ("EIO",),
    "port_": ("ENOSPC", "EINVAL", "EMFILE"),
    "page_": ("EINVAL", "ENOMEM", "EMFILE", "ESRCH"),
    "domain_": ("EIO", "EMFILE", "ENOMEM"),
    "store_": ("ETIMEDOUT", "ENOSPC", "EACCES", "E2BIG"),
    "job_": ("EPIPE", "EMFILE", "EIO", "ETIMEDOUT"),
    "cycle_": ("EIO", "ENODEV"),
}
# It never ends, so that nothing of it can be clean: test_reset.
NOT_HERE = (("job_reset", "ETIMEDOUT"),)
# What takes something back: when Xen refuses it nobody else can, until the guest has ended.
UNDO = ("unmap_pirq", "device_deassign", "msix_release")
NEVER_FAIL = ("port_unbind", "page_unmap", "port_unmask", "port_notify")
OPS = [{"cmd": READ, "offset": 0}, {"cmd": WRITE, "offset": 4, "size": 2, "value": 7},
       {"cmd": ENABLE_MSIX, "value": 2, "entries": [0, 1]}, {"cmd": DISABLE_MSIX},
       {"cmd": ENABLE_MSI}, {"cmd": DISABLE_MSI}]


class Errno(FaultCase):
    ROUNDS = 25

    def script(self, s):
        self.said(s.claim)
        self.said(s.attach, 5, wait=1)
        s.settle()
        for op in OPS:
            if (s.fe_state(5), s.be_state(5)) == (4, 4):
                self.assertTrue(s.op(5, **op)["done"], op)
        self.said(s.detach, 5)
        self.said(s.release)
        s.settle()

    def recover(self, s, undo):
        s.sim("fault-clear")
        s.settle()
        for verb in (lambda: s.detach(5, force=True), lambda: s.release(force=True)):
            try:
                verb()
            except RpcError:
                pass
        s.settle()
        if undo and (s.leaks()["permissions"] or s.leaks()["pirqs"] or
                     s.dev()["owner"] not in (0, DOMID_IO)):
            s.violations_allowed = True
            s.sim("domain-destroy", domid=5)
            s.wait_for("its end", lambda: not s.leaks()["domains"])
            s.sim("domain-create", domid=5, name="netvm")
            s.follow(5)
            s.settle()
            self.said(s.release, force=True)
        if s.read_node(s.reservation()):
            s.remove_node(s.reservation())  # as the refusal of the next attach says
        if "/libxl/pci/" + s.reservation().split("/")[-2] in s.leaks()["nodes"]:
            s.remove_node(os.path.dirname(s.reservation()))
        if s.leaks()["nodes"]:  # a store that refused it is not asked for ever
            self.assertIn("removing nodes", s.stderr())
            self.again(s)
        if s.dev()["prepared"] and undo:  # Xen did not take it back; the next claim finds it so
            self.again(s)
        s.assert_clean()

    def again(self, s):
        s.claim(force=True)  # the guest that may have kept something of it is this one
        s.attach(5, force=True, wait=5)
        self.assertEqual(s.config_read(5, 0), 0x10D38086)
        s.detach(5)
        s.release(force=True)

    def points(self, calls):
        every = []
        seen = {}
        for call, allow in calls:
            seen[call] = seen.get(call, 0) + 1
            for prefix, errors in ERRORS.items():
                if call.startswith(prefix) and call not in NEVER_FAIL:
                    every += [(call, seen[call], error, call in UNDO or not allow)
                              for error in errors if (call, error) not in NOT_HERE]
        return every[::STRIDE]

    def begin(self):
        s = Sim(config={"devices": [{"name": "nic0", "bdf": NIC}]})
        s.__enter__()
        s.follow(5)
        return s

    def test_every_call_fails_with_every_error(self):
        s = self.begin()
        s.clear_log()
        self.script(s)
        points = self.points([(e["call"], e.get("allow", True)) for e in faultable(s.log())])
        s.__exit__(None, None, None)
        s, rounds = None, 0
        for call, nth, error, undo in points:
            if s and (rounds == self.ROUNDS or s.violations_allowed):
                s.__exit__(None, None, None)
                s = None
            if not s:
                s, rounds = self.begin(), 0
            rounds += 1
            with self.subTest(call=call, nth=nth, error=error):
                try:
                    s.violations_allowed = undo
                    s.fault(call, error, nth=nth)
                    self.script(s)
                    self.recover(s, undo)
                    self.again(s)
                    s.assert_clean()
                    if not undo:
                        s.assert_no_violations()
                except BaseException:
                    print("--- %s %d %s:\n%s" % (call, nth, error, s.stderr()[-3000:]))
                    s._kill()
                    s._remove()
                    s = None
                    raise
        if s:
            s.__exit__(None, None, None)
        self.assertGreater(len(points), 250 // STRIDE)


if __name__ == "__main__":
    unittest.main()
