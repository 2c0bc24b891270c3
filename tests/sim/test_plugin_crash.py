# SPDX-License-Identifier: MIT
"""T16: a plugin that ends the daemon ends it once; the next daemon does without it, and says so."""
import shutil
import unittest

from simlib import *

REG = 0x68  # of no capability of e1000e
CRASH = 0xDEADBEEF


def guard(**params):
    return [{"plugin": {"name": "guard", "params": params,
                        "registers": [{"at": hex(REG), "size": 4, "mask": "0xffffffff"}]}}]


def plugin(s):
    return s.show()["plugins"][0]


def told(s):
    return s.stderr().count("the last daemon ended in a call of plugin guard")


def crashing(**params):
    return Sim(supervise=True, deaths=True, quirks=guard(**params),
               domains=[domain(n, "guest%d" % n) for n in (5, 6)])


def replace_plugin(s):
    """A copy of the plugins that the test may replace: the path of `guard`."""
    path = os.path.join(s.dir, "plugins")
    shutil.copytree(os.environ["PCIBACKD_SIM_PLUGINS"], path, dirs_exist_ok=True)
    s.config["plugin_dirs"] = [path]
    return os.path.join(path, "guard.so")


class Crash(unittest.TestCase):
    def crash_at_attach(self, s):
        s.lives_seen = s.restarts
        s.claim()
        self.assertIsNone(s.tried(s.attach, 5))
        s.wait_restarted()

    def give(self, s, domid):
        """The device to its next guest, however much of the last one's attach was done."""
        s.sim("domain-destroy", domid=domid - 1)
        s.wait_for("it is claimed", lambda: s.state() == "claimed")
        s.connect(domid)

    def test_t16_a_plugin_that_crashes_at_attach_is_left_out_from_then_on(self):
        with crashing(attach="crash") as s:
            self.crash_at_attach(s)
            self.assertEqual(told(s), 1)
            self.give(s, 6)
            self.assertTrue(plugin(s)["disabled"])
            self.assertIn("ended the daemon", plugin(s)["why"])
            self.assertEqual(s.restarts, 1)

    def test_t16_the_next_but_one_daemon_knows_it_too(self):
        with crashing(attach="crash") as s:
            self.crash_at_attach(s)
            s.restart_gracefully()
            self.assertEqual(told(s), 1)
            self.give(s, 6)
            self.assertTrue(plugin(s)["disabled"])
            self.assertEqual(s.restarts, 2)

    def test_t16_another_file_gets_another_chance_with_the_next_reload(self):
        with Sim(supervise=True, deaths=True, quirks=guard(attach="crash"), start=False,
                 domains=[domain(n, "guest%d" % n) for n in (5, 6)]) as s:
            file = replace_plugin(s)
            s.start()
            self.crash_at_attach(s)
            self.give(s, 6)
            self.assertTrue(plugin(s)["disabled"])
            s.reload()
            self.assertTrue(plugin(s)["disabled"])  # the same file
            s.write_quirks(guard())  # what it crashed for
            shutil.copy(file, file + ".new")
            os.rename(file + ".new", file)
            s.reload()
            self.assertFalse(plugin(s)["disabled"])
            s.config_write(6, REG, 4, 1)
            self.assertGreater(plugin(s)["calls"], 1)

    def test_t16_a_write_that_makes_a_plugin_crash_is_answered_by_the_next_daemon(self):
        with crashing(write="crash") as s:
            s.connect(5)
            s.config_write(5, REG, 4, 1)
            s.lives_seen = s.restarts
            answer = s.op(5, 1, offset=REG, size=4, value=CRASH)
            self.assertEqual(answer["err"], 0)
            s.wait_restarted()
            self.assertEqual(told(s), 1)
            self.assertTrue(plugin(s)["disabled"])
            # The guest keeps its device, and the same write ends nobody any more.
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.op(5, 1, offset=REG, size=4, value=CRASH)["err"], 0)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.restarts, 1)
            s.detach(5)

    def test_t16_a_plugin_whose_numbers_crash(self):
        with crashing(stats="crash") as s:
            s.connect(5)
            s.lives_seen = s.restarts
            self.assertIsNone(s.tried(s.call, "stats"))
            s.wait_restarted()
            self.assertEqual(told(s), 1)
            s.call("stats")
            self.give(s, 6)
            s.call("stats")
            self.assertTrue(plugin(s)["disabled"])
            self.assertEqual(s.restarts, 1)


if __name__ == "__main__":
    unittest.main()
