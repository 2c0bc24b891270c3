# SPDX-License-Identifier: MIT
"""The daemon's death at every step of what it does: nothing is lost, leaked, or given to another."""
import unittest

from simlib import *


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
            os.kill(s.sim("life")["pid"], signal.SIGKILL)
            s.wait_for("the next", lambda: s.restarts == 1)
            s.wait_for("the word", lambda: "sim: unplanned death" in s.stderr())
            s.rpc.close()
            s.rpc = None
            s.claim()


if __name__ == "__main__":
    unittest.main()
