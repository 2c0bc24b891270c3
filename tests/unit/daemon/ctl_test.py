# SPDX-License-Identifier: MIT
"""pcibackctl: what it prints, its exit status, its one line when something fails."""
import contextlib
import json
import os
import re
import socket
import tempfile
import unittest

import fakelib
from fakelib import Daemon, ctl

REFUSAL = {"jsonrpc": "2.0", "id": 1,
           "error": {"code": -32003, "message": "policy or safety forbids it",
                     "data": {"code": "refused", "device": "nic0 (0000:03:00.0)",
                              "reason": "it is\x1b[31m tainted", "next": "use --force"}}}


class Ctl(unittest.TestCase):
    def assert_one_line(self, done, status, *parts):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("pcibackctl: "))
        for part in parts:
            self.assertIn(part, done.stderr)

    @contextlib.contextmanager
    def server(self, *replies):
        with fakelib.server(*replies) as (path, _):
            yield path

    def test_usage_errors(self):
        for arguments in ([], ["frob"], ["list", "x"], ["show"], ["show", "a", "b"],
                          ["attach", "guest"], ["attach", "g", "d", "x"], ["list", "--force"],
                          ["detach", "g", "d", "--claim"], ["attach", "g", "d", "--wait"],
                          ["attach", "g", "d", "--wait", "x"], ["attach", "g", "d", "--wait", "601"],
                          ["--timeout", "0", "list"], ["--timeout", "-1", "list"], ["--socket"],
                          ["--json"], ["show", ""], ["stats", "--prometheus", "--json"],
                          ["--claim", "list"], ["attach", "g", "d", "--"],
                          ["quirks"], ["quirks", "frob"], ["quirks", "--json"], ["list", "quirks"],
                          ["quirks", "explain"], ["map"], ["denied"], ["trace", "--follow"],
                          ["quirks", "explain", "d", "--dump", "x"], ["map", "d", "--dir", "x"],
                          ["quirks", "explain", "d", "--device", "03:00.0"],
                          ["quirks", "list", "--plugin-dir", "x"], ["quirks", "import-sxp"],
                          ["quirks", "import-sxp", "a", "b"], ["quirks", "import-sxp", ""],
                          ["quirks", "query"], ["quirks", "query", "--vf"],
                          ["map", "d", "--color", "blue"], ["map", "d", "--byte", "0x3"],
                          ["map", "--dump", "x", "--device", "03:00"], ["map", "--dump"],
                          ["quirks", "explain", "d", "--byte", "0x1000"],
                          ["quirks", "explain", "d", "--byte", "-1"],
                          ["--json", "quirks", "explain", "d", "--byte", "1"], ["reload", "x"],
                          ["slot"], ["slot", "frob"], ["slot", "add"], ["slot", "remove"],
                          ["slot", "list", "06:00.0"], ["slot", "add", ""], ["slot", "add", "nic0"],
                          ["slot", "add", "06:*.0"], ["slot", "add", "06:00.0", "06:00.1"],
                          ["slot", "list", "--save"], ["slot", "add", "06:00.0", "--force"],
                          ["why"], ["why", "a", "b"], ["reset"], ["reset", "d", "--force"],
                          ["quirks", "validate", ""], ["quirks", "validate", *["x"] * 17],
                          *(["quirks", "query", "--ids", ids] for ids in
                            ("", "8086", "8086:", ":10d3", "8086:10d3:", "8086:10d3:1",
                             "8086:10d3:1:2:3", "8086:10d3g", "18086:1", "0x:1", "8086 :1")),
                          *(["quirks", "query", "--ids", "1:2", *more] for more in
                            (["--class", "02"], ["--class", "02000"], ["--class", "0x02000g"],
                             ["--class"], ["--revision", "100"], ["--revision", ""]))):
            with self.subTest(arguments):
                self.assert_one_line(ctl(*arguments), 2, "pcibackctl help")

    def test_help_names_every_verb_of_the_daemon(self):
        text = ctl("help").stdout
        with Daemon() as d:
            for verb in d.start().ask("version")["result"]["verbs"]:
                self.assertRegex(text, r"(?m)^  %s\b" % verb["name"])
        self.assertEqual(ctl("--help").stdout, text)

    def test_help_of_one_verb(self):
        for arguments, verbs in ((["claim"], ["claim"]), (["slot", "add"], ["slot add"]),
                                 (["slot"], ["slot list", "slot add", "slot remove"])):
            text = ctl(*arguments, "--help").stdout
            self.assertEqual(re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)*)", text), verbs)

    def test_what_is_missing_is_named(self):
        self.assert_one_line(ctl(), 2, "needs a verb")
        self.assert_one_line(ctl("slot"), 2, "slot: needs a second word")

    def test_a_word_that_is_no_verb_is_named_with_its_family(self):
        self.assert_one_line(ctl("quirks", "frob"), 2, "quirks frob: unknown verb")
        self.assert_one_line(ctl("frob"), 2, "pcibackctl: frob: unknown verb")

    def test_no_daemon(self):
        self.assert_one_line(ctl("--socket", "/nonexistent/sock", "attach", "netvm", "nic0"), 1,
                             "attach nic0", "no daemon answers at /nonexistent/sock",
                             "start pcibackd")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "stale")
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
                s.bind(path)
            self.assert_one_line(ctl("--socket", path, "list"), 1, "Connection refused")
        self.assert_one_line(ctl("--socket", "/" + "x" * 200, "list"), 1, "too long")

    def test_daemon_that_never_answers(self):
        with self.server(None) as path:
            self.assert_one_line(ctl("--socket", path, "--timeout", "1", "claim", "nic0"), 1,
                                 "claim nic0", "did not answer in time")

    def test_daemon_that_closes_or_babbles(self):
        for reply, part in ((b"", "closed the connection"), (b'{"jsonrpc"', "closed the connection"),
                            (b"hello\n", "answer:1:"), (b"{}\n", "not JSON-RPC"),
                            (b"[" * 100 + b"\n", "nested"), (b"5\n", "not JSON-RPC")):
            with self.subTest(reply), self.server(reply) as path:
                self.assert_one_line(ctl("--socket", path, "list"), 1, part)

    def test_strange_results_crash_nothing(self):
        for result in (5, [], {}, {"devices": 5}, {"devices": [5, None, {}]}, {"guests": [[]]},
                       {"device": {"owner": {"domid": "x"}, "reset_methods": [1, None]}},
                       {"limits": {"a": 5}, "counters": {"b": {}}}, {"valid": 3},
                       {"classes": "hh", "origins": 5, "origin_of": [[5, 70000], [-1], 3]},
                       {"classes": "?" * 5000}, {"classes": "wcvfmp.?", "origin_of": [[99, 3]]},
                       {"registers": [5, {"at": "x", "size": 99, "parts": [{}, 3]}],
                        "quirks": [None, 4], "traits": [[]], "capabilities": [{}], "plugins": [1, {"ranges": [5, {"at": 3, "mask": "f"}, {"mask": 7}]}]},
                       {"denied": [{}, 4, {"size": -1, "value": "z"}], "lost": "x"},
                       {"entries": [{}, 7], "changes": [{"lines": [1]}, 2], "warnings": [3]},
                       {"problems": [7, {"text": 4}], "files": "x"},
                       {"slots": [3, {"devices": -1}], "slot": 7, "address": []},
                       {"reasons": [None, {"text": 3}, "x"], "answer": {}},
                       {"device": {"neighbours": [5, {"shares": [1, None]}, {"shares": "x"}],
                                   "assignment": {"guest": 4}, "tainted": True}},
                       {"devices": [{"cause": 5, "tainted": True, "tainted_by": "x"}]},
                       {"guests": [{"assignment": 5}, {"assignment": "x", "name": []}]}):
            for verb in (["list"], ["show", "d"], ["guests"], ["stats"], ["stats", "--prometheus"],
                         ["claim", "d"], ["version"], ["map", "d"], ["map", "d", "--color", "always"],
                         ["quirks", "list"], ["quirks", "explain", "d"], ["denied", "d"],
                         ["quirks", "explain", "d", "--byte", "0x3"], ["trace", "d"], ["reload"],
                         ["slot", "list"], ["slot", "add", "06:00.0"], ["why", "d"]):
                with self.subTest(verb, result=result), \
                        self.server(fakelib.result(result)) as path:
                    self.assertEqual(ctl("--socket", path, *verb).returncode, 0)

    def test_refusal_is_one_clean_line(self):
        with self.server(json.dumps(REFUSAL).encode() + b"\n") as path:
            done = ctl("--socket", path, "attach", "netvm", "nic0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr, "pcibackctl: attach nic0 (0000:03:00.0): it is?[31m tainted; "
                                      "use --force\n")

    def test_list_is_an_aligned_table(self):
        with Daemon() as d:
            lines = d.start().ctl("list").stdout.splitlines()
        self.assertRegex(lines[0], r"^ADDRESS +NAME +STATE +OWNER +DRIVER +INTERRUPT +QUIRKS +DEVICE$")
        for heading, cell in (("ADDRESS", "0000:03:00.0"), ("NAME", "nic0"), ("STATE", "claimed"),
                              ("OWNER", "7 (netvm)"), ("DRIVER", "pci-stub"),
                              ("INTERRUPT", "msi-x 3")):
            start = lines[0].index(heading)
            self.assertEqual(lines[1][start:start + len(cell)], cell)
        self.assertIn("[0200]: ", lines[1])
        self.assertIn("[8086:10d3] (rev 00)", lines[1])
        self.assertRegex(lines[2], r"^0000:04:00.0 +- +absent +- +- +- +0 +-$")
        self.assertEqual(lines[3:], ["0000:04:00.0: absent: it is not in the machine"])

    def test_show_and_guests(self):
        with Daemon() as d:
            d.start()
            shown = d.ctl("show", "nic0").stdout
            self.assertRegex(shown, r"(?m)^state +claimed$")
            self.assertRegex(shown, r"(?m)^reset methods +flr bus$")
            self.assertRegex(shown, r"(?m)^reserved again +4$")
            self.assertRegex(shown, r"(?m)^path +0000:00:1c.0/00.0$")
            self.assertRegex(shown, r"(?m)^host needs it +the default route leads over eth0$")
            self.assertRegex(shown, r"(?m)^of function +-$")
            self.assertRegex(shown, r"(?m)^enabled VFs +2$")
            self.assertRegex(shown, r"(?m)^assignment +netvm: done$")
            self.assertRegex(shown, r"(?m)^shares with +0000:03:00.1 \(e1000e\): reset, function$")
            self.assertRegex(shown, r"(?m)^shares with +0000:00:1f.3: line$")
            self.assertRegex(d.ctl("guests").stdout, r"(?m)^7 +netvm +Connected +Connected +slot +1 +8 +0 +2 +pcibackd$")

    WHY = {"device": {"address": "0000:03:00.0", "name": "nic0", "state": "claimed"},
           "answer": "0000:03:00.0 (nic0) is claimed; no guest can have it: it is \x1b[1mtainted",
           "attachable": False, "reasons": [
               {"code": "tainted", "blocks": True, "text": "domain 5 lives", "next": "wait"},
               {"code": "shares-line", "blocks": False, "text": "0000:00:1f.3 (ahci)", "next": ""}]}

    def test_why_answers_first_and_then_says_what_to_do(self):
        with self.server(fakelib.result(self.WHY)) as path:
            done = ctl("--socket", path, "why", "nic0")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout,
                         "0000:03:00.0 (nic0) is claimed; no guest can have it: it is ?[1mtainted\n"
                         "blocks: tainted: domain 5 lives\n  next: wait\n"
                         "info: shares-line: 0000:00:1f.3 (ahci)\n")

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_slots(self):
        with Daemon() as d:
            d.start()
            self.assertEqual(d.ctl("slot", "list").stdout, "SLOT  ORIGIN  DEVICES  CLAIMED\n")
            done = d.ctl("slot", "add", "6:0.*", "--save")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, "0000:06:00.*: listed (saved); devices there: 2, of these "
                                          "claimed: 1\n")
            self.assertEqual(d.ctl("slot", "add", "07:*.*").returncode, 0)
            self.assertEqual(d.ctl("slot", "list").stdout,
                             "SLOT          ORIGIN  DEVICES  CLAIMED\n"
                             "0000:06:00.*  saved   2        1\n"
                             "0000:07:*.*   verb    2        1\n")
            self.assertEqual(json.loads(d.ctl("--json", "slot", "list").stdout),
                             d.ask("slot.list")["result"])
            done = d.ctl("slot", "remove", "0000:06:00.*")
            self.assertEqual((done.returncode, done.stdout),
                             (0, "0000:06:00.*: not listed any more\n"))

    def test_assignments_that_wait_are_told(self):
        guests = [{"domid": 7, "name": "netvm", "assignment": "done"},
                  {"domid": 8, "name": "b", "assignment": "nic0 waits: it is\x07 busy"}]
        with self.server(fakelib.result({"guests": guests})) as path:
            text = ctl("--socket", path, "guests").stdout
        self.assertTrue(text.endswith("-\n8 (b): assignments: nic0 waits: it is? busy\n"))
        self.assertNotIn("7 (netvm)", text)

    def test_json_is_the_result_as_it_is(self):
        with Daemon() as d:
            d.start()
            for verb in (["list"], ["show", "nic0"], ["guests"], ["version"]):
                done = d.ctl("--json", *verb)
                self.assertEqual(done.returncode, 0)
                params = {"dev": verb[1]} if len(verb) > 1 else {}
                self.assertEqual(json.loads(done.stdout), d.ask(verb[0], params)["result"])

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_changes(self):
        with Daemon() as d:
            d.start()
            for verb in (["claim", "nic0"], ["claim", "nic0", "--force"], ["release", "nic0"],
                         ["attach", "netvm", "nic0", "--claim", "--permissive", "--wait", "5"],
                         ["detach", "--force", "netvm", "nic0"], ["reset", "nic0"]):
                done = d.ctl(*verb)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(done.stdout, "0000:03:00.0: claimed to 7 (netvm)\n")
            self.assert_one_line(d.ctl("claim", "missing"), 1, "claim missing",
                                 "no device has this name", "see `pcibackctl list`")

    def test_check_config(self):
        with Daemon() as d:
            d.start()
            done = d.ctl("check-config")
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"^%s: valid, 1 file read; \d+ quirks from \d+ files\n$" %
                             re.escape(d.config_path))
            with open(d.config_path, "w") as f:
                f.write('{ "limits": 5 }')
            self.assert_one_line(d.ctl("check-config"), 1, "/limits: must be an object")
            done = d.ctl("check-config", "--json")
            self.assert_one_line(done, 1)
            self.assertIs(json.loads(done.stdout)["valid"], False)

    def test_stats(self):
        with Daemon() as d:
            d.start()
            text = d.ctl("stats").stdout
            self.assertRegex(text, r"(?m)^ops +10 +operations answered$")
            self.assertRegex(text, r"(?m)^guests +128 +1 +- +guests served at once$")
            self.assertRegex(text, r"(?m)^control_clients +64 +\d+ +\d+ +connections")
            self.assertRegex(text, r"(?m)^json_depth +32 +nesting")
            self.assertRegex(text, r"(?m)^control socket: \d+ messages, 0 of them too early")

    def test_prometheus(self):
        with Daemon() as d:
            text = d.start().ctl("stats", "--prometheus").stdout
        self.assert_exposition_format(text)
        self.assertIn("pcibackd_ops_total 10\n", text)
        self.assertIn("pcibackd_ignored_events_total 6\n", text)
        self.assertIn('pcibackd_device_reservation_rewrites_total{address="0000:03:00.0",device="nic0"} 4\n',
                      text)
        self.assertIn('pcibackd_guest_ops_total{domid="7",guest="netvm"} 10\n', text)
        self.assertRegex(text, r"(?m)^pcibackd_generation \d+$")
        self.assertIn("pcibackd_last_reload_success 1\n", text)
        self.assertIn('pcibackd_device_last_reset_seconds{address="0000:03:00.0",device="nic0"} 0.12\n',
                      text)

    def test_what_alarms_are_made_of_is_there(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
        with open(os.path.join(source, "ARCHITECTURE.md")) as f:
            names = set(re.findall(r"\bpcibackd_[a-z_]+\b", f.read().split("\n## A fleet\n")[1]))
        with Daemon() as d:
            text = d.start().ctl("stats", "--prometheus").stdout
        with self.server(fakelib.result({"devices": [{"plugins": [self.PLUGIN]}]})) as path:
            text += ctl("--socket", path, "stats", "--prometheus").stdout
        self.assertGreater(len(names), 10)
        self.assertLessEqual(names, set(re.findall(r"(?m)^(pcibackd_[a-z_]+)[{ ]", text)))

    PLUGIN = {"name": "trace", "quirk": "t-1", "disabled": True, "why": "it was slow", "calls": 7,
              "slow": 8, "faults": 9, "longest_us": 1500}

    def test_prometheus_of_plugins_and_reloads(self):
        device = {"address": "0000:03:00.0", "name": "nic0", "plugins": [self.PLUGIN],
                  "plugin_stats": {"trace.entries": 5, "trace.\"x\n": 6}}
        value = {"generation": 4, "quirks": 140, "files": 12, "last_reload": {"at": 86400, "ok": False},
                 "devices": [device, {**device, "address": "0000:04:00.0"}]}
        with self.server(fakelib.result(value)) as path:
            text = ctl("--socket", path, "stats", "--prometheus").stdout
        self.assert_exposition_format(text)
        labels = '{address="0000:03:00.0",device="nic0",plugin="trace",quirk="t-1"} '
        for line in ("pcibackd_generation 4", "pcibackd_quirks 140", "pcibackd_quirk_files 12",
                     "pcibackd_last_reload_success 0",
                     "pcibackd_last_reload_timestamp_seconds 86400",
                     "pcibackd_plugin_calls_total" + labels + "7",
                     "pcibackd_plugin_slow_calls_total" + labels + "8",
                     "pcibackd_plugin_faults_total" + labels + "9",
                     "pcibackd_plugin_longest_call_seconds" + labels + "0.0015",
                     "pcibackd_plugin_disabled" + labels + "1",
                     'pcibackd_plugin_number{address="0000:03:00.0",device="nic0",'
                     'number="trace.entries"} 5'):
            self.assertIn(line + "\n", text)
        with self.server(fakelib.result(value)) as path:
            text = ctl("--socket", path, "stats").stdout
        self.assertIn("generation 4: 140 quirks from 12 files\n", text)
        self.assertIn("last reload: 1970-01-02 00:00:00 UTC, refused", text)
        self.assertIn("0000:03:00.0 trace.entries: 5\n", text)

    def test_list_and_show_name_quirks_plugins_and_warnings(self):
        device = {"address": "0000:03:00.0", "name": "nic0", "state": "claimed", "quirks": ["a", "b"],
                  "plugins": [self.PLUGIN], "assign": "warn", "assign_reason": "its firmware\x07 DMAs",
                  "guest_resets": 3, "tainted": True, "tainted_by": 5, "more_neighbours": True}
        notes = ("0000:03:00.0: tainted: it was taken from domain 5, which still lives\n"
                 "0000:03:00.0: giving it to a guest is warned of: its firmware? DMAs\n"
                 "0000:03:00.0: plugin trace is switched off: it was slow\n")
        with self.server(fakelib.result({"devices": [device]})) as path:
            text = ctl("--socket", path, "list").stdout
        self.assertRegex(text, r"(?m)^0000:03:00.0 +nic0 +claimed .* 2 +-$")
        self.assertTrue(text.endswith(notes))
        with self.server(fakelib.result({"device": device})) as path:
            text = ctl("--socket", path, "show", "nic0").stdout
        self.assertRegex(text, r"(?m)^quirks +a b$")
        self.assertRegex(text, r"(?m)^shares with +more, which are not listed$")
        self.assertRegex(text, r"(?m)^guest's resets +3$")
        self.assertRegex(text, r"(?m)^plugin +trace for t-1: 7 calls, 8 slow, 9 faults, switched off$")
        self.assertTrue(text.endswith(notes))

    def assert_exposition_format(self, text):
        typed, sample = {}, re.compile(
            r'^([a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})?'
            r" (-?[0-9.e+-]+)$")
        seen = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, typed, "a metric's lines must stand together")
                self.assertEqual(kind, "counter" if name.endswith("_total") else "gauge")
                typed[name] = kind
            elif not line.startswith("# HELP "):
                match = sample.match(line)
                self.assertTrue(match, line)
                self.assertIn(match.group(1), typed)
                self.assertNotIn(match.group(1, 2), seen)
                seen.add(match.group(1, 2))

if __name__ == "__main__":
    unittest.main()
