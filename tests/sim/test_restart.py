# SPDX-License-Identifier: MIT
"""The daemon's death at every step of what it does: nothing is lost, leaked, or given to another.

Every call of each script, before and after its effect, and with what it has asked of the store done
or lost: that takes long, so that without PB_SIM_FULL=1 in the environment one point of STRIDE is
tried, other ones for each script.
"""
import unittest

from simlib import *
from test_reset import FLR, DEVCTL, with_flr
from xllib import Xl, CONNECTED

FULL = os.environ.get("PB_SIM_FULL") == "1"
STRIDE = 1 if FULL else 17
NAME = 0x10D38086  # the NIC's first register
DISK_NAME = 0x00101B36
LOOK = [{"cmd": READ, "offset": 0, "size": 4, "expect": NAME},
        {"cmd": WRITE, "offset": 0x10, "size": 4, "value": 0xFFFFFFFF},
        {"cmd": READ, "offset": 0x10, "size": 4, "expect": 0xFFFE0000},
        {"cmd": WRITE, "offset": 0x10, "size": 4, "value": 0xFEA20000},
        {"cmd": READ, "offset": 0x10, "size": 4, "expect": 0xFEA20000}]


class Points(unittest.TestCase):
    """ACT in a prepared world, with the daemon's death at each point of it."""
    ROUNDS = 25  # in one world: what is lost each time would show
    SIM, MORE = Sim, {}
    first = 0  # of the sampled points

    def begin(self, prepare):
        s = self.SIM(supervise=True, **self.MORE)
        s.__enter__()
        prepare(s)
        s.settle()
        return s

    def count(self, prepare, act):
        s = self.begin(prepare)
        try:
            before = s.sim("life")["entered"]
            self.assertNotIsInstance(act(s), Exception)
            s.settle()
            return s.sim("life")["entered"] - before
        finally:
            s._kill()
            s._remove()

    def points(self, count):
        every = [(n, when, store) for n in range(1, count + 1)
                 for when, store in (("before", "lost"), ("after", "lost"), ("after", "done"))]
        Points.first += 3
        return every[Points.first % STRIDE::STRIDE]

    def each(self, prepare, act, check, end, least=10):
        """END leaves the world as it was before PREPARE. CHECK looks at it after the restart, with
        what ACT returned (None: the daemon died)."""
        count = self.count(prepare, act)
        self.assertGreaterEqual(count, least)
        s, rounds = None, 0
        for n, when, store in self.points(count):
            if not s or rounds == self.ROUNDS:
                self.finish(s)
                s, rounds = self.begin(prepare), 0
            elif rounds:
                prepare(s)
                s.settle()
            rounds += 1
            with self.subTest(n=n, when=when, store=store):
                try:
                    self.one(s, act, check, end, n, when, store)
                except BaseException:
                    print("--- %s %d %s %s:\n%s" % (self.id(), n, when, store, self.story(s)))
                    s._kill()
                    s._remove()
                    s = None
                    raise
        self.finish(s)

    def one(self, s, act, check, end, n, when, store):
        s.clear_log()
        s.die_at("*", n, when, store)
        result = act(s)
        s.settle()
        s.sim("fault-clear")  # merged reads: there was one call less
        if s.restarts > s.lives_seen:
            s.wait_restarted()
            s.settle()
        check(s, result)
        end(s)
        s.assert_clean()
        s.assert_no_violations()

    def story(self, s):
        lines = []
        try:
            s.world.sock.settimeout(2)
            for e in s.sim("log")["log"][-400:]:
                if e["call"] not in ("cycle_read", "watch", "store_read", "store_list"):
                    lines.append(json.dumps({k: v for k, v in e.items() if k != "plugins"}))
        except Exception as e:
            lines.append(repr(e))
        return s.stderr()[-2500:] + "\n" + "\n".join(lines[-60:])

    def finish(self, s):
        if s:
            s.__exit__(None, None, None)

    # --- what may be ---

    def owner(self, s, bdf=NIC):
        return s.dev(bdf)["owner"]

    def state(self, s, bdf=NIC):
        """"present" also when the daemon knows nothing of it."""
        shown = s.tried(s.show, bdf)
        return "present" if isinstance(shown, RpcError) else shown["state"]

    def consistent(self, s, bdf=NIC, domid=5):
        """What the daemon says is what the hypervisor and the guest say. The state."""
        def rest():
            state = self.state(s, bdf)
            return state if state not in ("resetting", "absent") else None
        state = s.wait_for("its rest", rest)
        self.assertIn(state, ("assigned", "claimed", "present"), s.tried(s.show, bdf))
        owner = {"assigned": domid, "claimed": DOMID_IO, "present": 0}[state]
        self.assertEqual(self.owner(s, bdf), owner, state)
        return state

    def used(self, s, devfn=0, name=NAME, domid=5):
        """The guest can use it, with interrupts and all."""
        s.wait_for("the connection", lambda: (s.fe_state(domid), s.be_state(domid)) == (4, 4))
        self.assertEqual(s.config_read(domid, 0, devfn=devfn), name)
        self.assertEqual(s.enable_msix(domid, [0, 1], devfn)["err"], 0)
        self.assertEqual(s.disable_msix(domid, devfn)["err"], 0)

    def kept_or_given_back(self, s, result, bdf=NIC):
        state = self.consistent(s, bdf)
        if state == "assigned":
            self.used(s)
        return state


class OfADevice(Points):
    def claimed(self, s):
        s.follow(5)
        s.claim()

    def connected(self, s):
        s.follow(5)
        s.claim()
        s.attach(5, wait=5)
        s.settle()
        self.assertEqual(s.enable_msix(5, [0, 1, 2])["err"], 0)
        s.config_write(5, 4, 2, 6)

    def back(self, s, bdf=NIC):
        if self.state(s, bdf) == "assigned":
            s.detach(5, bdf, force=True)
        if self.state(s, bdf) in ("claimed", "failed"):
            s.release(bdf, force=True)

    def test_claim(self):
        def check(s, result):
            state = self.consistent(s)
            self.assertEqual(state == "claimed", s.dev()["claimed"])
        self.each(lambda s: None, lambda s: s.tried(s.claim), check, self.back)

    def test_release(self):
        def check(s, result):
            self.consistent(s)
        self.each(lambda s: s.claim(), lambda s: s.tried(s.release), check, self.back, least=5)

    def test_attach(self):
        self.each(self.claimed, lambda s: s.tried(s.attach, 5, wait=5), self.kept_or_given_back,
                  self.back, least=40)

    def test_detach(self):
        self.each(self.connected, lambda s: s.tried(s.detach, 5), self.kept_or_given_back, self.back,
                  least=40)

    def test_detach_by_force(self):
        def unwilling(s):
            self.connected(s)
            s.script(5, {"backend": 5, "write": None}, {"backend": 7, "write": None})

        def end(s):
            s.script(5)
            self.back(s)
            if s.fe_state(5):
                s.unload(5)
            s.sim("domain-destroy", domid=5)
            s.wait_for("its end", lambda: not s.leaks()["domains"])
            s.sim("domain-create", domid=5, name="netvm")
        self.each(unwilling, lambda s: s.tried(s.detach, 5, force=True),
                  lambda s, result: self.consistent(s), end, least=40)

    def test_end_of_the_guest(self):
        def act(s):
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.restarts > s.lives_seen or
                       s.tried(s.state) == "claimed")

        def check(s, result):
            s.wait_for("the device", lambda: s.tried(s.state) == "claimed")
            self.consistent(s)

        def end(s):
            s.wait_for("the number", lambda: not s.leaks()["domains"])
            s.sim("domain-create", domid=5, name="netvm")
            self.back(s)
        self.each(self.connected, act, check, end, least=30)

    def test_the_frontend_begins_anew(self):
        def act(s):
            s.unload(5)
            try:
                s.load(5)
            except AssertionError as e:
                return e
            s.settle()

        def check(s, result):
            self.assertIsNone(result)
            self.assertEqual(self.consistent(s), "assigned")
            self.used(s)
        self.each(self.connected, act, check, self.back, least=30)

    def test_a_second_device_is_plugged_in_and_out(self):
        """The guest goes on using the first: not one access fails."""
        def prepare(s):
            self.connected(s)
            s.claim(DISK)

        def act(s):
            s.loop(5, LOOK, gap_ms=1)
            result = s.tried(s.attach, 5, DISK, wait=5)
            if result is None:
                s.wait_restarted()
            elif not isinstance(result, RpcError):
                s.tried(s.detach, 5, DISK)
            time.sleep(0.02)
            return s.loop_end(5)

        def check(s, result):
            self.assertEqual((result["failed"], result["aborted"]), (0, 0), result)
            self.consistent(s, DISK)
            self.assertEqual(self.consistent(s), "assigned")
            self.assertEqual(s.dev()["vectors"], 3)
            self.used(s)

        def end(s):
            self.back(s, DISK)
            self.back(s)
        self.MORE = {"devices": [device("e1000e"), device("nvme")]}
        self.each(prepare, act, check, end, least=60)

    def test_what_the_guest_asks(self):
        """Each operation has its answer, and has its effect once."""
        ops = [(READ, {"offset": 0, "size": 4}), (WRITE, {"offset": 4, "size": 2, "value": 6}),
               (WRITE, {"offset": 0x10, "size": 4, "value": 0xFFFFFFFF}),
               (READ, {"offset": 0x10, "size": 4}),
               (ENABLE_MSIX, {"value": 3, "entries": [0, 1, 2]}), (DISABLE_MSIX, {}),
               (ENABLE_MSI, {}), (DISABLE_MSI, {}),
               (WRITE, {"offset": DEVCTL, "size": 2, "value": FLR}),
               (READ, {"offset": DEVCTL, "size": 2}),
               (ENABLE_MSIX, {"value": 2, "entries": [0, 1]})]

        def prepare(s):
            self.claimed(s)
            s.attach(5, wait=5)

        def act(s):
            answers = []
            for cmd, more in ops:
                answers.append(s.op(5, cmd, **more))
            return answers

        def check(s, answers):
            for (cmd, more), answer in zip(ops, answers):
                self.assertTrue(answer["done"], (cmd, more, answer))
                self.assertEqual(answer["err"], 0, (cmd, more, answer))
            self.assertEqual(answers[0]["value"], NAME)
            self.assertEqual(answers[3]["value"], 0xFFFE0000)
            self.assertEqual(self.consistent(s), "assigned")
            self.assertEqual(s.dev()["vectors"], 2)
            self.assertEqual(s.disable_msix(5)["err"], 0)
            self.assertEqual(s.dev()["vectors"], 0)
            self.used(s)
        self.MORE = {"devices": [with_flr()]}
        self.each(prepare, act, check, self.back, least=20)


class OfXl(Points):
    SIM = Xl

    def running(self, s):
        s.assignable()
        s.create(5, NIC)
        s.connected()
        self.assertEqual(s.enable_msix(5, [0, 1, 2])["err"], 0)

    def end(self, s):
        s.settle()
        if s.node("num_devs"):
            s.remove()
        if s.node("num_devs"):
            s.xl("destroy")
            s.wait_for("the number", lambda: not s.leaks()["domains"])
            s.sim("domain-create", domid=5, name="netvm")
        s.gone()
        s.sim("xl-assignable-remove", device=NIC)

    def test_xl_attach(self):
        def act(s):
            return s.add()

        def check(s, result):
            s.connected()
            self.assertEqual(s.config_read(5, 0), NAME)

        def prepare(s):
            s.assignable()
            s.follow(5)
        self.each(prepare, act, check, self.end, least=15)

    def test_xl_detach(self):
        def check(s, result):
            self.assertFalse(result["gave_up"], result)
            s.settle()
            self.assertFalse(any(d["tainted"] for d in s.call("list")["devices"]), "the guest took part")
        self.each(self.running, lambda s: s.remove(), check, self.end, least=15)

    def test_xl_destroy(self):
        def check(s, result):
            s.wait_for("its end", lambda: not s.leaks()["domains"])
            s.sim("domain-create", domid=5, name="netvm")
        self.each(self.running, lambda s: s.xl("destroy"), check, self.end, least=15)


class Supervised(unittest.TestCase):
    """The simulator's part of it."""

    def test_the_world_outlives_the_daemon(self):
        with Sim(supervise=True) as s:
            s.write_node("/local/domain/5/data/mine", "kept")
            s.sim("set", job_delay_ms=3)
            s.kill9()
            s.wait_restarted()
            self.assertEqual(s.restarts, 1)
            self.assertEqual(s.read_node("/local/domain/5/data/mine"), "kept")
            s.claim()
            s.assert_clean()

    def test_a_graceful_end_is_followed_by_the_next(self):
        with Sim(supervise=True, clean=True) as s:
            for n in range(1, 4):
                s.restart_gracefully()
                self.assertEqual(s.restarts, n)

    def test_dies_before_or_after_a_call(self):
        for when, quarantined in (("before", False), ("after", True)):
            with self.subTest(when=when), Sim(supervise=True) as s:
                s.die_at("device_assign", when=when)
                self.assertIsNone(s.tried(s.claim))
                entry = s.sim("log")["log"]
                dies = [i for i, e in enumerate(entry) if e["call"] == "world.daemon_dies"][0]
                self.assertEqual(entry[dies]["when"], when)
                self.assertEqual(find(entry[:dies], "device_assign") >= 0, quarantined)
                s.wait_restarted()

    def test_a_job_under_way_goes_on_to_its_end(self):
        with Sim(supervise=True) as s:
            s.sim("set", job_delay_ms=50)
            s.die_at("job_claim.start")
            self.assertIsNone(s.tried(s.claim))
            s.wait_restarted()
            s.wait_for("its end", lambda: [e for e in s.log("world.orphan")
                                           if e["job"] == "job_claim"])

    def test_what_was_asked_of_the_store_is_done_or_lost(self):
        for store, there in (("lost", False), ("done", True)):
            with self.subTest(store=store), Sim(supervise=True) as s:
                s.follow(5)
                s.claim()
                s.sim("log-clear")
                s.die_at("store_write", store=store)
                self.assertIsNone(s.tried(s.attach, 5))
                self.assertEqual(bool(find(s.log(), "store_write") >= 0), there)
                s.wait_restarted()

    def test_an_unplanned_death_is_told(self):
        with Sim(supervise=True, deaths=True) as s:
            pid = s.sim("life")["pid"]
            time.sleep(0.2)  # or the answer is under way, and comes from both lives
            os.kill(pid, signal.SIGKILL)
            s.wait_for("the next", lambda: s.restarts == 1)
            s.wait_for("the word", lambda: "sim: unplanned death" in s.stderr())
            s.rpc.close()
            s.rpc = None
            s.claim()


if __name__ == "__main__":
    unittest.main()
