# SPDX-License-Identifier: MIT
"""From the command line to the exit status: starts that fail, signals, readiness, the lock."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import unittest

import fakelib
from fakelib import Daemon, FAKE, wait_until


class Start(unittest.TestCase):
    def assert_one_line(self, done, status, *parts):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.endswith("\n"))
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_wrong_command_lines(self):
        for arguments in (["--frob"], ["frob"], ["--config"], ["--log-format", "xml"],
                          ["--log-level", "loud"], ["--version=1"], ["--config="], ["-v"]):
            with self.subTest(arguments):
                done = subprocess.run([FAKE, *arguments], capture_output=True, text=True)
                self.assert_one_line(done, 2, "pcibackd-fake", "--help")

    def test_platform_options_are_taken(self):
        for arguments, status in ((["--fake"], 0), (["--fake-value", "x"], 0),
                                  (["--fake-value", "--version"], 0)):
            with self.subTest(arguments):
                done = subprocess.run([FAKE, *arguments, "--version"], capture_output=True)
                self.assertEqual(done.returncode, status)
                self.assertTrue(done.stdout.startswith(b"pcibackd-fake "))
        self.assertEqual(subprocess.run([FAKE, "--fake-value"]).returncode, 2)

    def test_help_names_every_option(self):
        text = subprocess.run([FAKE, "--help"], capture_output=True, text=True, check=True).stdout
        for option in ("--config", "--check-config", "--boot-rules", "--detach-all",
                       "--log-format", "--log-level", "--version", "--help", "--fake"):
            self.assertIn(option, text)

    def test_bad_configuration(self):
        with Daemon({"limit": {}}) as d:
            self.assert_one_line(d.run_to_end(), 1, d.config_path, "/limit", "unknown key",
                                 "correct it")
        with Daemon({"limit": {}}) as d:
            done = d.run_to_end("--log-format", "json")
            self.assert_one_line(done, 1)
            self.assertEqual(json.loads(done.stderr)["level"], "err")

    def test_boot_rules(self):
        with Daemon({"slots": ["0000:00:05.0"]}) as d:
            done = d.run_to_end("--boot-rules")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn('KERNEL=="0000:00:05.0", ACTION=="add"', done.stdout)
        with Daemon({"slots": ["0000:00:05"]}) as d:
            self.assert_one_line(d.run_to_end("--boot-rules"), 1, "/slots/0")

    def test_detach_all(self):
        with Daemon() as d:
            done = d.run_to_end("--detach-all")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("2 devices came back; no guest has one\n", done.stderr)
            self.assertNotIn("serves", done.stderr)
        for kept, text in (("1", "1 device came back, 1 did not; see above"), ("none", "Cannot allocate memory")):
            with Daemon(env={"FAKE_KEPT": kept}) as d:
                done = d.run_to_end("--detach-all")
                self.assertEqual(done.returncode, 1)
                self.assertIn(text, done.stderr)

    def test_absent_configuration_that_was_named(self):
        done = subprocess.run([FAKE, "--config", "/nonexistent/c.json"], capture_output=True,
                              text=True)
        self.assert_one_line(done, 1, "/nonexistent/c.json", "No such file")

    def test_host_or_xen_that_fails(self):
        with Daemon(env={"FAKE_HOST_FAILS": "1"}) as d:
            self.assert_one_line(d.run_to_end(), 1, "helper")
        with Daemon(env={"FAKE_XEN_FAILS": "1"}) as d:
            self.assert_one_line(d.run_to_end(), 1, "/dev/xen/evtchn", "No such file", "control domain")

    def test_quirks_are_read_while_the_helper_and_the_store_get_ready(self):
        """Reading them takes longest of the start: who ends before has not begun with it."""
        for fails, what in (("FAKE_HOST_FAILS", "helper"), ("FAKE_XEN_FAILS", "/dev/xen/evtchn")):
            with self.subTest(what), Daemon(env={fails: "1"}) as d:
                d.write_quirk("50-bad.json", "{")
                self.assert_one_line(d.run_to_end(), 1, what)

    def test_backend_that_refuses_to_work(self):
        with Daemon(env={"FAKE_START_REFUSED": "1"}) as d:
            self.assert_one_line(d.run_to_end(), 1, "cannot start: xen-pciback would serve",
                                 '; take "pci" out of backend.kinds')
            self.assertFalse(os.path.exists(d.socket))

    def test_bad_manifest_is_left_out_and_the_daemon_starts(self):
        with Daemon() as d:
            d.write_quirk("50-bad.json", "{\n  \"schema\": 1,\n")
            d.write_quirk("50-good.json", fakelib.manifest("test-good"))
            d.start()
            self.assertRegex(d.stderr(), r"(?m)^err: %s/50-bad\.json:\d+:\d+: " % d.quirks)
            self.assertRegex(d.stderr(), r"(?m)^notice: .*; 1 quirk from 1 file$")
            self.assertEqual([q["id"] for q in d.ask("quirks.list")["result"]["quirks"]],
                             ["test-good"])

    def test_check_config_tells_every_bad_manifest(self):
        with Daemon() as d:
            d.write_quirk("50-good.json", fakelib.manifest("test-good"))
            done = d.run_to_end("--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, "%s: valid, 1 file read\n1 quirk from 1 file\n"
                             % d.config_path)
            d.write_quirk("50-a.json", "{")
            d.write_quirk("50-b.json", '{"schema": 1, "quirks": [{"id": "x"}]}')
            done = d.run_to_end("--check-config")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"\Aerr: %s/50-a\.json:1:1: .*\n"
                             r"err: %s/50-b\.json: /quirks/0/id: .*\n\Z" % (d.quirks, d.quirks))

    def test_a_helper_that_ends_is_status_3_for_the_manager_to_start_another(self):
        with Daemon(env={"FAKE_HELPER_ENDS": "1"}) as d:
            d.start()
            self.assertEqual(d.process.wait(fakelib.PATIENCE_S), 3, d.stderr())
            self.assertIn("helper process is gone", d.stderr())
            self.assertIn("guests stay connected", d.stderr())

    def test_manifests_are_roots_alone(self):
        with Daemon() as d:
            d.write_quirk("50-good.json", fakelib.manifest("test-good"))
            os.chmod(os.path.join(d.quirks, "50-good.json"), 0o666)
            done = subprocess.run([fakelib.PCIBACKD, "--check-config", "--config", d.config_path],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("50-good.json", done.stderr)
            self.assertEqual(d.run_to_end("--check-config").returncode, 0)

    def test_socket_that_cannot_be(self):
        with Daemon({"control": {"socket": "/nonexistent/dir/sock", "group": "root"}}) as d:
            self.assert_one_line(d.run_to_end(), 1, "/nonexistent/dir/sock", "`control`")

    def test_state_directory_that_cannot_be(self):
        with Daemon({"state_dir": "/nonexistent/dir/state"}) as d:
            self.assert_one_line(d.run_to_end(), 1, "/nonexistent/dir/state", "`state_dir`")


class Life(unittest.TestCase):
    def test_terminates_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), Daemon() as d:
                d.start()
                self.assertTrue(os.path.exists(d.socket))
                self.assertEqual(d.stop(number), 0)
                self.assertFalse(os.path.exists(d.socket))
                self.assertIn("guests stay connected", d.stderr())
                self.assertEqual(d.start().stop(), 0)

    def test_verb_under_way_at_the_end_is_answered(self):
        with Daemon() as d, contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            d.start()
            s.connect(d.socket)
            s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"attach",'
                      b'"params":{"guest":"netvm","dev":"slow"}}\n')
            d.ask("version")
            self.assertEqual(d.stop(), 0)
            s.settimeout(fakelib.PATIENCE_S)
            reply = json.loads(s.makefile().readline())
            self.assertIn("error", reply)

    def test_hangup_reloads_and_the_log_tells(self):
        with Daemon() as d:
            d.start()
            d.write_quirk("50-new.json", fakelib.manifest("test-new"))
            d.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "reload: generation 2 is in force: 1 quirk from 1 file" in d.stderr())
            self.assertIn("info: reload: 0000:03:00.0: ", d.stderr())
            d.write_quirk("50-bad.json", "{")
            d.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "reload: refused; generation 2 stays in force" in d.stderr())
            self.assertRegex(d.stderr(), r"(?m)^err: reload: .*/50-bad\.json:1:")
            stats = d.ask("stats")["result"]
            self.assertEqual((stats["generation"], stats["quirks"]), (2, 1))
            self.assertEqual(d.stop(), 0)

    def test_storm_of_hangups_is_answered_with_what_the_files_say_last(self):
        with Daemon() as d:
            d.start()
            for i in range(100):
                d.write_quirk("50-new.json", fakelib.manifest("test-%d" % i))
                d.process.send_signal(signal.SIGHUP)
                self.assertIn("result", d.ask("version"))

            def last():
                return [q["id"] for q in d.ask("quirks.list")["result"]["quirks"]]
            wait_until(lambda: last() == ["test-99"])
            # No reading is under way any more. A check is answered before a reload that shares its
            # reading is carried out, and what is asked next after it.
            d.ask("check-config")
            d.ask("version")
            done = d.stderr().count(" is in force: ")
            self.assertTrue(1 <= done <= 100)
            self.assertNotIn("refused", d.stderr())
            self.assertEqual(d.ask("stats")["result"]["generation"], 1 + done)
            self.assertEqual(d.stop(), 0)

    def test_end_during_a_reload_is_in_order(self):
        with Daemon() as d:
            d.start()
            for _ in range(20):
                d.process.send_signal(signal.SIGHUP)
            self.assertEqual(d.stop(), 0)

    def test_second_daemon_is_refused(self):
        with Daemon() as d:
            d.start()
            done = d.run_to_end()
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, "err: another daemon (pid %d) holds %s/lock; "
                                          "stop it first\n" % (d.process.pid, d.state))
            self.assertIn("result", d.ask("version"))

    def test_killed_daemon_leaves_nothing_in_the_way(self):
        with Daemon() as d:
            d.start().kill()
            self.assertTrue(os.path.exists(d.socket))
            d.start()
            self.assertIn("result", d.ask("version"))
            self.assertEqual(d.stop(), 0)

    @contextlib.contextmanager
    def late(self, **env):
        """A daemon that goes on with its start at go(), its service manager, a client."""
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager, \
                contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            name = "pcibackd-late-%d" % os.getpid()
            manager.bind("\0" + name)
            manager.settimeout(fakelib.PATIENCE_S)
            client.settimeout(fakelib.PATIENCE_S)
            with Daemon(env={"NOTIFY_SOCKET": "@" + name, **env}) as d:
                go = os.path.join(d.dir, "go")
                d.env["FAKE_START_AFTER"] = go
                d.start()
                client.connect(d.socket)
                client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"version"}\n')
                yield d, manager, client, lambda: open(go, "w").close()

    def test_nothing_is_answered_or_told_before_the_backend_has_started(self):
        with self.late() as (d, manager, client, go):
            d.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            for s in (manager, client):
                s.setblocking(False)
                self.assertRaises(BlockingIOError, s.recv, 100)
                s.settimeout(fakelib.PATIENCE_S)
            self.assertNotIn("serves", d.stderr())
            go()
            self.assertEqual(manager.recv(100),
                             b"READY=1\nSTATUS=generation 1: 0 quirks from 0 files")
            self.assertIn("result", json.loads(client.makefile().readline()))
            # the signal was not lost
            self.assertTrue(manager.recv(100).startswith(b"RELOADING=1\n"))
            self.assertTrue(manager.recv(100).startswith(b"READY=1\nSTATUS=generation 2: "))
            self.assertEqual(d.stop(), 0)

    def test_refusal_of_a_late_start_is_never_readiness(self):
        with self.late(FAKE_START_REFUSED="1") as (d, manager, client, go):
            go()
            self.assertEqual(d.process.wait(fakelib.PATIENCE_S), 1)
            self.assertEqual(manager.recv(100), b"STOPPING=1")
            # closed or reset: it was never accepted
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(client.recv(100), b"")
            self.assertRegex(d.stderr(), r"\Aerr: cannot start: .*\n\Z")

    def test_end_before_the_start_is_done_is_in_order(self):
        with self.late() as (d, _, client, _):
            self.assertEqual(d.stop(), 0)

    def test_service_manager_is_told(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
            name = "pcibackd-fake-%d" % os.getpid()
            manager.bind("\0" + name)
            manager.settimeout(fakelib.PATIENCE_S)
            with Daemon(env={"NOTIFY_SOCKET": "@" + name}) as d:
                d.start()
                self.assertEqual(manager.recv(100),
                                 b"READY=1\nSTATUS=generation 1: 0 quirks from 0 files")
                for generation in (2, 3):
                    before = time.monotonic_ns() // 1000
                    d.process.send_signal(signal.SIGHUP)
                    self.assert_reloading(manager.recv(100), before)
                    self.assertEqual(manager.recv(100), b"READY=1\nSTATUS=generation %d: "
                                     b"0 quirks from 0 files" % generation)
                d.write_quirk("50-bad.json", "{")
                d.process.send_signal(signal.SIGHUP)
                self.assert_reloading(manager.recv(100), before)
                self.assertTrue(manager.recv(1000).startswith(
                    b"READY=1\nSTATUS=reload refused, generation 3 stays: "))
                self.assertIn("error", d.ask("reload", {"dry_run": True}))  # not worth a word
                d.stop()
                self.assertEqual(manager.recv(100), b"STOPPING=1")

    def assert_reloading(self, message, before):
        self.assertRegex(message, rb"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
        self.assertGreaterEqual(int(message.split(b"=")[2]), before)

    def test_log_formats(self):
        with Daemon(arguments=["--log-format", "journal"]) as d:
            d.start().stop()
            for line in d.stderr().splitlines():
                self.assertRegex(line, r"^<[0-7]>")
        with Daemon(arguments=["--log-level", "err"]) as d:
            d.start().stop()
            self.assertEqual(d.stderr(), "")

    def test_closed_standard_descriptors(self):
        with Daemon() as d:
            d.log = open(os.devnull)
            d.process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$0" --config "$1" <&- >&- 2>&-', FAKE, d.config_path])
            wait_until(d.answers)
            for fd in range(3):
                self.assertEqual(os.readlink("/proc/%d/fd/%d" % (d.process.pid, fd)), "/dev/null")
            self.assertEqual(d.stop(), 0)


if __name__ == "__main__":
    unittest.main()
