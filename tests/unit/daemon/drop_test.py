# SPDX-License-Identifier: MIT
"""T20: what the daemon may still do once it runs. As root only: elsewhere there is nothing to give up, and the tests
fail, so that nobody takes a run without them for a whole one."""
import os
import pwd
import signal
import unittest

import fakelib
from fakelib import Daemon, manifest, wait_until

# What ends the process, and from which thread; the filter of the thread from before the drop is the same (TSYNC).
DEADLY = ("socket", "netlink", "exec", "fork", "kill", "ptrace", "mount", "setuid", "ioctl", "dumpable", "unlinkat",
          "anonymous")
REFUSED = ("write", "execmem")
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def user():
    try:
        return pwd.getpwnam("pcibackd")
    except KeyError:
        return pwd.getpwnam("nobody")


class Dropped(Daemon):
    """Its directory can be read by everybody, as /etc can."""

    def __init__(self, config=None, env=None):
        super().__init__(config, ["--drop"], {"ASAN_OPTIONS": "detect_leaks=0", **(env or {})})
        os.chmod(self.dir, 0o755)

    def threads(self):
        found = []
        for thread in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/status" % (self.process.pid, thread)) as f:
                found.append(dict(line.rstrip("\n").split(":", 1) for line in f))
        return found


class T20(unittest.TestCase):
    def setUp(self):
        self.assertEqual(os.geteuid(), 0, "these tests need root")

    def test_every_thread_has_no_uid_no_groups_and_no_capability(self):
        with Dropped() as d:
            d.start()
            wait_until(lambda: d.ask("version"))
            threads = d.threads()
            self.assertGreaterEqual(len(threads), 2)
            for thread in threads:
                for name in CAPABILITIES:
                    self.assertEqual(int(thread[name], 16), 0, (name, thread))
                self.assertEqual(thread["Uid"].split(), [str(user().pw_uid)] * 4)
                self.assertEqual(thread["Gid"].split(), [str(user().pw_gid)] * 4)
                self.assertEqual(thread["Groups"].split(), [])
                self.assertEqual(thread["NoNewPrivs"].strip(), "1")
                self.assertEqual(thread["Seccomp"].strip(), "2")
            # Not dumpable: what belongs to it in /proc is root's.
            self.assertEqual(os.stat("/proc/%d/mem" % d.process.pid).st_uid, 0)

    def test_a_forbidden_call_ends_the_process(self):
        for call in DEADLY:
            for thread in ({}, {"FAKE_FORBIDDEN_THREAD": "1"}):
                with self.subTest(call, **thread), Dropped(env={"FAKE_FORBIDDEN": call, **thread}) as d:
                    d.start()
                    self.assertEqual(d.process.wait(fakelib.PATIENCE_S), -signal.SIGSYS, d.stderr())

    def test_without_the_drop_the_same_call_does_not(self):
        with Daemon(env={"FAKE_FORBIDDEN": "socket"}) as d:
            d.start()
            with self.assertRaises(Exception):
                d.process.wait(0.6)

    def test_opening_for_writing_and_code_that_can_be_written_are_refused(self):
        for call in REFUSED:
            with self.subTest(call), Dropped(env={"FAKE_FORBIDDEN": call}) as d:
                d.start()
                wait_until(lambda: "refused" in d.stderr() or d.process.poll() is not None)
                self.assertIsNone(d.process.poll(), d.stderr())
                self.assertIn("refused", d.stderr())

    def test_reload_control_and_signals_work(self):
        with Dropped() as d:
            d.write_quirk("50-one.json", manifest("one"))
            d.start()
            wait_until(lambda: "serves" in d.stderr())
            self.assertNotIn("cannot read", d.stderr())
            d.write_quirk("50-two.json", manifest("two"))
            done = d.ctl("reload")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(d.ctl("list").returncode, 0)
            d.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "generation 3" in d.stderr())
            self.assertEqual(d.stop(), 0, d.stderr())

    def test_files_that_it_cannot_read_any_more_are_named_with_the_cure(self):
        with Dropped() as d:
            d.write_quirk("50-one.json", manifest("one"))
            os.chmod(os.path.join(d.quirks, "50-one.json"), 0o600)
            d.start()
            wait_until(lambda: "serves" in d.stderr())
            self.assertRegex(d.stderr(), r"50-one\.json: .*cannot read.*chmod o\+r")
            self.assertNotEqual(d.ctl("reload").returncode, 0)
            self.assertEqual(d.ctl("list").returncode, 0)

    def test_a_state_directory_that_hides_the_way_back_to_xenstored_is_named_with_the_cure(self):
        for mode, told in ((0o700, True), (0o755, False)):
            with self.subTest(oct(mode)), Dropped() as d:
                os.mkdir(d.state)
                os.chmod(d.state, mode)
                d.start()
                wait_until(lambda: "serves" in d.stderr())
                self.assertEqual("%s: this process cannot reach" % d.state in d.stderr(), told, d.stderr())

    def test_a_socket_that_is_left_behind_is_no_daemon(self):
        with Dropped() as d:
            d.start()
            self.assertEqual(d.stop(), 0)
            self.assertTrue(os.path.exists(d.socket), "its directory is root's: it cannot be removed")
            done = d.ctl("list")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no daemon answers", done.stderr)
            d.log.close()
            d.start()
            self.assertEqual(d.ctl("list").returncode, 0)

    def test_a_user_who_is_not_root_is_told(self):
        with Dropped() as d:
            pid = os.fork()
            if pid == 0:
                log = os.open(os.path.join(d.dir, "log"), os.O_WRONLY | os.O_CREAT, 0o644)
                os.dup2(log, 2)
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                os.execv(fakelib.FAKE, [fakelib.FAKE, "--config", d.config_path, "--drop"])
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
            self.assertIn("must be started as root", d.stderr())


if __name__ == "__main__":
    unittest.main()
