# SPDX-License-Identifier: MIT
"""The judge is judged here: each way in which a boot can go wrong must not look like a pass."""
import contextlib
import io
import os
import tempfile
import unittest

from . import conf, verdict
from .machine import Machine, Outcome

BOOT = conf.Boot("b", "/nowhere", scenarios=["one", "two"])


def outcome(**changes):
    good = {"came_up": True, "script_status": 0, "ended": "machine switched off",
            "results": [("ok", "one", "x"), ("ok", "two", "y")]}
    return Outcome(**{**good, **changes})


class Judge(unittest.TestCase):
    def status(self, **changes):
        return verdict.judge(BOOT, outcome(**changes))[0]

    def test_good(self):
        self.assertEqual(verdict.judge(BOOT, outcome()), (verdict.PASSED, []))

    def test_one_bad_check_among_many(self):
        self.assertEqual(self.status(results=[("ok", "one", "x"), ("ok", "two", "y"), ("not ok", "one", "z")]),
                         verdict.FAILED)

    def test_no_checks(self):
        self.assertEqual(self.status(results=[]), verdict.FAILED)

    def test_scenario_missing(self):
        self.assertEqual(self.status(results=[("ok", "one", "x")]), verdict.FAILED)

    def test_scenario_unlisted(self):
        self.assertEqual(self.status(results=outcome().results + [("ok", "three", "x")]), verdict.FAILED)

    def test_script_failed(self):
        self.assertEqual(self.status(script_status=2), verdict.FAILED)

    def test_machine_off_too_early(self):
        self.assertEqual(self.status(script_status=None), verdict.FAILED)

    def test_host_crash_is_the_products(self):
        self.assertEqual(self.status(script_status=None, host_panic="(XEN) Panic on CPU 0:"), verdict.FAILED)

    def test_timeout(self):
        self.assertEqual(self.status(script_status=None, timed_out=True), verdict.TIMED_OUT)

    def test_crash_that_hangs_is_no_timeout(self):
        self.assertEqual(self.status(script_status=None, timed_out=True, host_panic="(XEN) Panic on CPU 0:"),
                         verdict.FAILED)

    def test_emulator_died(self):
        self.assertEqual(self.status(script_status=None, emulator_crashed=True), verdict.INCONCLUSIVE)

    def test_never_up(self):
        self.assertEqual(self.status(came_up=False, results=[]), verdict.INCONCLUSIVE)
        self.assertEqual(self.status(came_up=False, results=[], host_panic="(XEN) Panic"), verdict.INCONCLUSIVE)

    def test_exit_statuses_differ(self):
        self.assertEqual(len(set(verdict.EXIT.values())), len(verdict.EXIT))
        self.assertEqual([name for name, value in verdict.EXIT.items() if value == 0], [verdict.PASSED])

    def test_what_scenarios_tell_themselves(self):
        for changes, told in (({"results": [("ok", "one", "x"), ("not ok", "two", "y")]}, True),
                              ({"results": [("ok", "one", "x")]}, True),
                              ({"results": []}, False),
                              ({"results": outcome().results + [("ok", "three", "x")]}, False),
                              ({"script_status": 1}, False),
                              ({"timed_out": True, "script_status": None}, False),
                              ({"came_up": False}, False)):
            self.assertEqual(verdict.only_scenarios_failed(*verdict.judge(BOOT, outcome(**changes))), told, changes)


class Results(unittest.TestCase):
    def status(self, text, scenario):
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
            with open(os.path.join(out, "results.txt"), "w", encoding="utf-8") as file:
                file.write(text)
            return verdict.scenario_status(out, scenario)

    def test_scenarios(self):
        text = "ok H2: a\nnot ok H20: b\nok H20: c\n"
        self.assertEqual(self.status(text, "H2"), 0)
        self.assertEqual(self.status(text, "H20"), 1)
        self.assertEqual(self.status(text, "H"), 1)

    def test_no_file(self):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(verdict.scenario_status("/nowhere", "H2"), 1)


class Channel(unittest.TestCase):
    def test_lines(self):
        with tempfile.TemporaryDirectory() as out:
            machine = Machine(BOOT, out, out, 1)
            for data in (b"U 7\nR ok one: fi", b"ne\nR not ok two: bad\nL ../x.log|text\nE 3\n"):
                for line in machine._lines("lab", data):
                    machine._on_lab(line, None)
            for file in machine.logs.values():
                file.close()
            self.assertEqual(os.listdir(out), [".._x.log"])
            self.assertEqual(machine.outcome.results, [("ok", "one", "fine"), ("not ok", "two", "bad")])
            self.assertEqual((machine.outcome.came_up, machine.outcome.script_status), (True, 3))

    def test_panics(self):
        for line in ("(XEN) Panic on CPU 1:", "(XEN) Xen BUG at irq.c:1234", "[  1.0] Kernel panic - not syncing: x"):
            self.assertTrue(verdict.HOST_DIED.search(line), line)


class Conf(unittest.TestCase):
    def test_every_boot_is_sound(self):
        for boot in conf.all_boots():
            self.assertTrue(os.path.isfile(os.path.join(boot.path, "dom0.sh")), boot.name)
            self.assertEqual(len(set(boot.scenarios)), len(boot.scenarios), boot.name)
            with open(os.path.join(boot.path, "dom0.sh"), encoding="utf-8") as file:
                said = [line.split()[1] for line in file if line.startswith("scenario ")]
            self.assertEqual(said, boot.scenarios, boot.name)


if __name__ == "__main__":
    unittest.main()
