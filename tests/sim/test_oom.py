# SPDX-License-Identifier: MIT
"""Every allocation of the daemon's fails in turn: no crash, a defined error, nothing left behind.

The whole of it takes minutes: without PB_SIM_FULL=1 in the environment one allocation of each
STRIDE fails, which are other ones for each script.
"""
import unittest

from simlib import *

FULL = os.environ.get("PB_SIM_FULL") == "1"
STRIDE = 1 if FULL else 7


class Oom(unittest.TestCase):
    ROUNDS = 40  # in one daemon: what it loses each time would show

    def answer(self, s, verb, *arguments, **more):
        """What the daemon said: None is success. It may end the connection when it cannot even
        answer, and never leaves the caller without either."""
        try:
            verb(*arguments, **more)
        except RpcError as e:
            self.assertTrue(e.message, e)
            if e.code == -32001 or "code" in e.data:
                self.assertTrue(e.data.get("reason"), e)
            return e
        except (EOFError, ConnectionError) as e:
            s.rpc.close()
            s.rpc = Rpc(s.control_path)
            return e
        return None

    def recover(self, s):
        """Without further failures all comes back to where it began."""
        s.sim("oom")
        s.settle()
        for verb in (lambda: s.detach(5, force=True), lambda: s.release(force=True)):
            try:
                verb()
            except RpcError:
                pass
        if s.read_node(s.reservation()):
            s.remove_node(s.reservation())  # as the refusal of the next attach says
        if "/libxl/pci/" + s.reservation().split("/")[-2] in s.leaks()["nodes"]:
            s.remove_node(os.path.dirname(s.reservation()))
        if s.be(5) in s.leaks()["nodes"]:
            # nobody wrote to the store, and the daemon said so: the next one takes them over
            self.assertIn("removing nodes", s.stderr())
            s.claim()
            s.attach(5, wait=5)
            s.detach(5)
            s.release()
        s.assert_clean()
        s.assert_no_violations()

    def guest_uses_it(self, s):
        """Operations have answers as long as their page is connected."""
        if s.fe_state(5) != 4 or s.be_state(5) != 4:
            return
        for op in ({"cmd": READ, "offset": 0}, {"cmd": WRITE, "offset": 4, "size": 2, "value": 7},
                   {"cmd": ENABLE_MSIX, "value": 2, "entries": [0, 1]}, {"cmd": DISABLE_MSIX}):
            answer = s.op(5, **op)
            self.assertTrue(answer["done"], (op, answer))

    def script(self, s):
        results = [self.answer(s, s.claim)]
        results.append(self.answer(s, s.attach, 5, wait=1))
        self.guest_uses_it(s)
        results.append(self.answer(s, s.call, "show", dev=NIC))
        results.append(self.answer(s, s.detach, 5))
        results.append(self.answer(s, s.release))
        return results

    def each(self, prepare, script, stride=STRIDE, **more):
        def begin():
            s = Sim(**more)
            s.__enter__()
            prepare(s)
            return s
        s = begin()
        try:
            n, rounds = 1, 0
            while True:
                if rounds == self.ROUNDS:
                    s.__exit__(None, None, None)
                    s, rounds = begin(), 0
                rounds += 1
                s.sim("oom", nth=n)
                with self.subTest(allocation=n):
                    try:
                        self.failed = 0
                        script(s)
                        failed = self.failed + s.sim("oom")["failed"]
                        self.recover(s)
                    except BaseException:
                        print("--- stderr, allocation %d:\n%s" % (n, s.stderr()[-3000:]))
                        s._kill()
                        s._remove()
                        s, rounds, failed = begin(), 0, 1
                        raise
                if failed == 0:
                    return n
                n += stride
        finally:
            s.__exit__(None, None, None)

    def test_every_allocation_of_a_devices_life_fails_in_turn(self):
        last = self.each(lambda s: s.follow(5), self.script)
        self.assertGreater(last, 300)

    def second(self, s):
        """Hot-plugged, used, reloaded over, and the guest's end with both."""
        results = [self.answer(s, s.claim), self.answer(s, s.claim, DISK),
                   self.answer(s, s.attach, 5, wait=1), self.answer(s, s.attach, 5, DISK, wait=1)]
        self.guest_uses_it(s)
        results.append(self.answer(s, s.reload))
        s.sim("domain-destroy", domid=5)
        s.wait_for("its end", lambda: not s.leaks()["domains"])
        s.settle()
        self.failed = s.sim("oom")["failed"]
        if s.read_node(s.reservation(DISK)):
            s.remove_node(s.reservation(DISK))
            s.remove_node(os.path.dirname(s.reservation(DISK)))
        s.sim("domain-create", domid=5, name="netvm")
        s.follow(5)
        self.answer(s, s.release, DISK, force=True)
        return results

    def test_every_allocation_of_hotplug_reload_and_the_guests_end_fails_in_turn(self):
        last = self.each(lambda s: s.follow(5), self.second, 5 * STRIDE if not FULL else 1,
                         devices=[device("e1000e"), device("nvme")])
        self.assertGreater(last, 300)


if __name__ == "__main__":
    unittest.main()
