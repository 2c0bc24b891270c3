# SPDX-License-Identifier: MIT
"""The judge is judged here: each way in which a boot can go wrong must not look like a pass."""
import contextlib
import io
import os
import subprocess
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

    def test_guests_that_the_emulator_broke(self):
        changes = {"script_status": 4, "inconclusive": "guest a came up twice", "results": [("not ok", "one", "x")]}
        self.assertEqual(verdict.judge(BOOT, outcome(**changes)), (verdict.INCONCLUSIVE, ["guest a came up twice"]))
        self.assertEqual(self.status(**changes, host_panic="(XEN) Panic on CPU 0:"), verdict.FAILED)

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

    def test_details_are_shown_with_their_result(self):
        results = [("ok", "one", "a"), ("not ok", "two", "b"), ("ok", "two", "c"), ("not ok", "one", "d")]
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()) as told:
            verdict.write_results(os.path.join(out, "results.txt"), results, {1: ["false -> 1", "  | ok two: no"], 3: ["x"]})
            self.assertEqual(verdict.scenario_status(out, "two"), 1)
        self.assertEqual(told.getvalue(), "not ok two: b\n# false -> 1\n#   | ok two: no\nok two: c\n")

    def test_no_file(self):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(verdict.scenario_status("/nowhere", "H2"), 1)


class Channel(unittest.TestCase):
    def test_lines(self):
        with tempfile.TemporaryDirectory() as out:
            machine = Machine(BOOT, out, out, 1)
            for data in (b"U 7\nR ok one: fi", b"ne\nR not ok two: bad\nD sh -> 1\nD   | why\nL ../x.log|text\n",
                         b"I a guest\nE 3\n"):
                for line in machine._lines("lab", data):
                    machine._on_lab(line, None)
            for file in machine.logs.values():
                file.close()
            self.assertEqual(os.listdir(out), [".._x.log"])
            self.assertEqual(machine.outcome.results, [("ok", "one", "fine"), ("not ok", "two", "bad")])
            self.assertEqual((machine.outcome.came_up, machine.outcome.script_status), (True, 3))
            self.assertEqual(machine.outcome.details, {1: ["sh -> 1", "  | why"]})
            self.assertEqual(machine.outcome.inconclusive, "a guest")

    def test_panics(self):
        for line in ("(XEN) Panic on CPU 1:", "(XEN) Xen BUG at irq.c:1234", "[  1.0] Kernel panic - not syncing: x"):
            self.assertTrue(verdict.HOST_DIED.search(line), line)


class Dom0Functions(unittest.TestCase):
    """lib/dom0.sh with made-up tools in place of Xen's: what it says over the lab channel."""

    def play(self, script, **tools):
        """Return the script's exit status and the lines on the channel."""
        with tempfile.TemporaryDirectory() as work, open(os.path.join(conf.LAB, "lib/dom0.sh"), encoding="utf-8") as file:
            text = file.read().replace(">\"$CHANNEL\"", ">>\"$CHANNEL\"")
            for path, own in (("/run/lab", "run"), ("/dev/ttyS1", "channel"), ("/etc/xen", "xen"), ("/var/log/xen", "log")):
                text = text.replace(path, os.path.join(work, own))
            with open(os.path.join(work, "dom0.sh"), "w", encoding="utf-8") as out:
                out.write(text)
            for name, body in tools.items():
                path = os.path.join(work, name.replace("_", "-"))
                with open(path, "w", encoding="utf-8") as out:
                    out.write(f"#!/bin/sh\n{body}\n")
                os.chmod(path, 0o755)
            status = subprocess.run(["sh", "-c", f". {work}/dom0.sh; cd {work}; {script}"], check=False, timeout=60,
                                    env={"PATH": f"{work}:{os.environ['PATH']}"}, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL).returncode
            channel = os.path.join(work, "channel")
            with open(channel, encoding="utf-8") as lines:
                return status, lines.read().splitlines()

    TOOLS = {"xl": 'case "$1" in domid) echo 3;; -f) echo made >>created;; esac', "xenstore_read": "echo 1",
             "labdo": "exit 0", "xenstore_exists": "exit 1"}

    def guest(self, **changes):
        wait = "echo 3 >$LAB_RUN/g.domid; guest_wait_ready g 1; s=$?; echo end $s $(grep -c . created) >>$CHANNEL; exit $s"
        return self.play(wait, **{**self.TOOLS, **changes})

    def test_a_sound_guest(self):
        self.assertEqual(self.guest(), (0, ["end 0"]))

    def test_a_broken_guest_is_created_once_more(self):
        self.assertEqual(self.guest(labdo="[ -e created ]"), (0, ["end 0 1"]))

    def test_a_guest_broken_twice_ends_the_boot(self):
        self.assertEqual(self.guest(labdo="exit 139"), (4, ["I guest g came up twice and its own programs fail"]))
        self.assertEqual(self.guest(xenstore_read="exit 1")[0], 4)

    def test_a_guest_that_the_product_has_touched_is_judged(self):
        self.assertEqual(self.guest(labdo="exit 139", xenstore_exists="exit 0"), (1, ["end 1"]))

    def test_a_failed_check_tells_why(self):
        script = "scenario s; check a sh -c 'echo out; exit 7'; check_fails b echo fine; check c true; exit 0"
        self.assertEqual(self.play(script), (0, [
            "R not ok s: a", "D sh -c echo out; exit 7 -> 7", "D   | out",
            "R not ok s: b", "D echo fine -> 0, and should have failed", "D   | fine", "R ok s: c"]))


class Conf(unittest.TestCase):
    def test_every_boot_is_sound(self):
        for boot in conf.all_boots():
            self.assertTrue(os.path.isfile(os.path.join(boot.path, "dom0.sh")), boot.name)
            self.assertEqual(len(set(boot.scenarios)), len(boot.scenarios), boot.name)
            with open(os.path.join(boot.path, "dom0.sh"), encoding="utf-8") as file:
                said = [line.split()[1] for line in file if line.startswith("scenario ")]
            self.assertEqual(said, boot.scenarios, boot.name)

    def test_image(self):
        with tempfile.TemporaryDirectory() as path:
            for text, good in (("image debian", True), ("image suse", False)):
                with open(os.path.join(path, "boot.conf"), "w", encoding="utf-8") as file:
                    file.write(f"{text}\nscenario one\n")
                if good:
                    self.assertEqual(conf.load(path).image, "debian")
                else:
                    self.assertRaisesRegex(conf.LabError, "boot.conf:1: no such image", conf.load, path)


if __name__ == "__main__":
    unittest.main()
