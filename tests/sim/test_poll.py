# SPDX-License-Identifier: MIT
"""Polling as the daemon's faces show it; the rules by themselves are in test_poll.c, by a clock of
the test's own."""
import unittest

from simlib import *

LOOP = [{"cmd": READ, "offset": 0, "size": 4, "expect": 0x10D38086}]


def counters(s):
    return s.call("stats")["counters"]


class Poll(unittest.TestCase):
    def wake_ups(self, s):
        """How often the daemon's process has slept so far: each wake-up is one."""
        with open("/proc/%d/status" % s.process.pid) as f:
            return [int(line.split()[1]) for line in f if line.startswith("voluntary")][0]

    def more(self, s, ops):
        done = s.loop_report(5)["done"]
        s.wait_for("operations", lambda: s.loop_report(5)["done"] >= done + ops, timeout=30)

    def test_an_idle_guest_costs_no_wake_up(self):
        with Sim() as s:
            s.connect()
            for _ in range(20):
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.settle()
            time.sleep(0.5)
            before = self.wake_ups(s)
            time.sleep(1)
            self.assertEqual(self.wake_ups(s), before)

    def test_a_reload_is_in_force_while_a_guest_is_in_a_burst(self):
        with Sim() as s:
            s.connect()
            s.loop(5, LOOP)
            for poll in (0, 400, 0, 10000, 0):
                self.more(s, 200)
                s.config["backend"] = {"busy_poll_us": poll}
                s.write_config()
                s.reload()
                self.more(s, 200)
                if poll == 0:
                    polled = counters(s)
                    self.more(s, 500)
                    for name in ("polled_ops", "missed_polls", "poll_us"):
                        self.assertEqual(counters(s)[name], polled[name])
            report = s.loop_end(5)
            self.assertEqual(report["failed"], 0, report)
            self.assertGreater(counters(s)["polled_ops"], 0)

    def test_H15_a_restart_in_a_burst(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.loop(5, LOOP)
            for _ in range(5):
                self.more(s, 200)
                s.kill9()
                s.wait_restarted()
            self.more(s, 200)
            report = s.loop_end(5)
            self.assertEqual(report["failed"], 0, report)
            s.settle()
            self.assertEqual(counters(s)["spurious_events"], 0)

    def test_H15_a_frontend_that_closes_in_a_burst(self):
        with Sim(config={"backend": {"busy_poll_us": 10000}}) as s:
            s.connect()
            for _ in range(5):
                s.loop(5, LOOP)
                self.more(s, 200)
                s.unload(5)
                s.load(5)
                s.wait_for("connection", lambda: s.be_state(5) == 4)
                self.more(s, 200)
                s.loop_end(5)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_the_control_socket_answers_while_guests_are_polled(self):
        with Sim(config={"backend": {"busy_poll_us": 10000}}) as s:
            s.connect()
            s.loop(5, LOOP)
            for _ in range(200):
                s.call("version")
            report = s.loop_end(5)
            self.assertEqual(report["failed"], 0, report)
            self.assertGreater(report["done"], 0)


if __name__ == "__main__":
    unittest.main()
