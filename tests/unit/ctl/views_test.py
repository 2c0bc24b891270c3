# SPDX-License-Identifier: MIT
"""What people see of quirks, maps, refused writes, traces and reloads."""
import json
import os
import pty
import re
import subprocess
import unittest

import fakelib
from fakelib import ctl, result, server

EXPLAINED = {
    "device": {"address": "0000:03:00.0", "name": "nic0"},
    "size": 4096, "ids": "8086:10d3", "class": "0x020000",
    "quirks": [
        {"id": "a", "file": "/q/10-a.json", "reason": "because", "source": "s", "match": "vendor",
         "effect": None},
        {"id": "b", "file": "/q/50-b.json", "reason": "of b", "source": "s", "match": "device",
         "effect": "no MSI"}],
    "traits": [{"name": "msi", "value": "deny", "origin": "a", "file": "/q/10-a.json",
                "reason": "because"}],
    "capabilities": [
        {"at": "0xc8", "id": "0x01", "name": "pm", "extended": False, "how": "own",
         "origin": None, "file": None, "why": None},
        {"at": "0x150", "id": "0x0010", "name": "sriov", "extended": True, "how": "hidden",
         "origin": "default", "file": None, "why": "functions\x1b of its own"}],
    "plugins": [{"name": "trace", "quirk": "a", "bytes": 3, "ranges": [
        {"at": "0x05", "mask": "04ff"}, {"at": "0x100", "mask": "01"}]}],
    "registers": [
        {"at": "0x04", "size": 2, "name": "COMMAND", "effect": "none", "parts": [
            {"mask": "0x0543", "class": "write", "locked": "0x0540", "value": None,
             "origin": "header", "file": None, "why": "decoding"},
            {"mask": "0x0400", "class": "virtual", "locked": "0x0000", "value": "0x0400",
             "origin": "a", "file": "/q/10-a.json", "why": "INTx"}]}]}


def flat(text):
    """Columns are as wide as their widest cell; what matters is which cells there are."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


class Views(unittest.TestCase):
    def ask(self, value, *arguments, status=0):
        with server(result(value)) as (path, requests):
            done = ctl("--socket", path, *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.request = json.loads(requests[0])
        return done

    def test_words_of_a_family_are_one_method(self):
        self.ask({}, "quirks", "list")
        self.assertEqual((self.request["method"], self.request["params"]), ("quirks.list", {}))
        self.ask({}, "quirks", "explain", "nic0")
        self.assertEqual((self.request["method"], self.request["params"]),
                         ("quirks.explain", {"dev": "nic0"}))
        self.ask({}, "reload", "--dry-run")
        self.assertEqual((self.request["method"], self.request["params"]),
                         ("reload", {"dry_run": True}))

    def test_explain_names_for_each_bit_class_and_origin(self):
        done = self.ask(EXPLAINED, "quirks", "explain", "nic0")
        text = flat(done.stdout)
        for line in ("8086:10d3, class 0x020000, 4096 bytes of configuration space",
                     "a vendor yes /q/10-a.json because",
                     "b device no: no MSI /q/50-b.json of b",
                     "msi deny a (/q/10-a.json) because",
                     "0xc8 0x01 pm yes - -",
                     "0x150 0x0010 sriov no, hidden default functions? of its own",
                     "trace a 3 0x05-0x06, 0x100",
                     "0x04 2 COMMAND - 0x0543 write 0x0540 - header decoding",
                     "0x0400 virtual - 0x0400 a (/q/10-a.json) INTx"):
            self.assertIn("\n%s\n" % line, "\n%s\n" % text)
        self.assertEqual(done.stderr, "")

    def test_explain_of_a_byte_shows_its_eight_bits(self):
        done = self.ask(EXPLAINED, "quirks", "explain", "nic0", "--byte", "0x5")
        self.assertEqual(flat(done.stdout).splitlines()[2:], [
            "The byte at 0x05:", "BIT CLASS LOCKED VALUE FROM WHY",
            *("%d hw - - default no rule names it" % bit for bit in (7, 6, 5, 4, 3)),
            "2 write yes - header decoding",
            "1 hw - - default no rule names it",
            "0 write yes - header decoding",
            "", "Beside these rules, plugin trace of quirk a decides about bits 0x04."])
        done = self.ask(EXPLAINED, "quirks", "explain", "nic0", "--byte", "0xfff")
        self.assertEqual(done.stdout.count("no rule names it"), 8)
        self.assertNotIn("plugin", done.stdout)

    def test_explain_as_json_is_the_result_as_it_is(self):
        done = self.ask(EXPLAINED, "--json", "quirks", "explain", "nic0")
        self.assertEqual(json.loads(done.stdout), EXPLAINED)

    def test_list_says_which_quirks_are_off_and_what_is_wrong(self):
        done = self.ask({"quirks": [{"id": "a", "match": "class", "file": "/q/10-a.json",
                                     "reason": "r", "disabled": True, "fields": 1,
                                     "cap_edits": 2, "traits": ["msi", "rom"], "plugin": "t"}],
                         "problems": [{"error": True, "file": "/q/x", "text": "/q/x:1:2: bad"},
                                      {"error": False, "file": "/q/y", "text": "/q/y: /a: odd"}],
                         "files": 3}, "quirks", "list")
        self.assertEqual(flat(done.stdout).splitlines(), [
            "QUIRK MATCHES BY IN FORCE CHANGES FILE",
            "a class no: disabled 1 register, 2 capabilities, msi, rom, plugin t /q/10-a.json",
            "error: /q/x:1:2: bad", "warning: /q/y: /a: odd", "1 quirk in 3 files"])

    MAP = {"size": 256, "classes": "wwcc" + "f" * 12 + "h" * 235 + "kvmp.",
           "origins": ["header", "a-quirk", "default"],
           "origin_of": [[4, 0], [12, 1], [236, 2], [4, 0]]}

    def test_map_is_a_letter_a_byte_where_no_terminal_is(self):
        done = self.ask(self.MAP, "map", "nic0")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "0x000  wwcc ffff ffff ffff  header, a-quirk")
        self.assertEqual(lines[1], "0x010  hhhh hhhh hhhh hhhh")
        self.assertEqual(lines[15], "0x0f0  hhhh hhhh hhhk vmp.  header")
        self.assertEqual([line.split()[:2] for line in lines[17:]], [
            ["h", "hw"], ["k", "known"], ["w", "write"], ["c", "w1c"], ["v", "virtual"], ["f", "fixed"],
            ["m", "several"], ["p", "plugin"], [".", "hidden"]])
        self.assertNotIn("\033", done.stdout)

    def test_map_in_colour_shows_the_same(self):
        plain = self.ask(self.MAP, "map", "nic0", "--color", "never").stdout
        colored = self.ask(self.MAP, "map", "nic0", "--color", "always").stdout
        stripped = re.sub("\033\\[[0-9;]*m", "", colored)
        self.assertEqual(colored.count("\033[48;5;"), 256 + 9)
        self.assertEqual(colored.count("\033[0m"), 256 + 9)
        self.assertEqual(re.sub(r"[^\S\n]", "", stripped), re.sub(r"[^\S\n]", "", plain))

    def test_map_of_4096_bytes_collapses_what_no_rule_names(self):
        value = {"size": 4096, "classes": "w" * 256 + "h" * 16 + "w" * 16 + "h" * 3808,
                 "origins": ["default", "header", "x"],
                 "origin_of": [[256, 1], [16, 0], [16, 2], [3808, 0]]}
        lines = self.ask(value, "map", "nic0").stdout.splitlines()
        self.assertEqual(lines[7], "0x0e0  " + " ".join(["wwww"] * 8) + "  header")
        self.assertEqual(lines[8], "0x100  " + " ".join(["hhhh"] * 4 + ["wwww"] * 4) + "  x")
        self.assertEqual(lines[9], "0x120-0xfff: 3808 bytes, hw")

    def test_map_on_a_terminal_obeys_NO_COLOR(self):
        for environment, colored in (({"TERM": "xterm"}, True),
                                     ({"TERM": "xterm", "NO_COLOR": "1"}, False),
                                     ({"TERM": "xterm", "NO_COLOR": ""}, True),
                                     ({"TERM": "dumb"}, False)):
            with self.subTest(environment), server(result(self.MAP)) as (path, _):
                self.assertEqual(b"\033[" in self.on_terminal(environment, "--socket", path, "map",
                                                              "nic0"), colored)

    @staticmethod
    def on_terminal(environment, *arguments):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([fakelib.PCIBACKCTL, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=theirs, env=environment)
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:
            pass  # the other side is closed
        os.close(ours)
        assert process.wait() == 0
        return text

    def test_denied_is_a_table(self):
        done = self.ask({"device": {}, "lost": 4, "denied": [
            {"offset": "0x44", "size": 2, "bits": "0x00f0", "value": "0x1234", "count": 17,
             "register": "PMCSR", "danger": "power"},
            {"offset": "0xf8", "size": 4, "bits": "0xffffffff", "value": "0x00000001", "count": 1,
             "register": None, "danger": None}]}, "denied", "nic0")
        self.assertEqual(flat(done.stdout).splitlines(), [
            "OFFSET SIZE BITS COUNT LAST VALUE REGISTER DANGER",
            "0x44 2 0x00f0 17 0x1234 PMCSR power",
            "0xf8 4 0xffffffff 1 0x00000001 - -",
            "and 4 writes to further registers, which are not listed"])
        done = self.ask({"device": {}, "lost": 0, "denied": []}, "denied", "nic0")
        self.assertEqual(done.stdout, "nic0: no write was refused since it was claimed\n")

    MANIFEST = {"schema": 1, "quirks": [{"id": "x", "unsafe": True,
                                         "fields": [{"at": "0x44", "why": "danger: y"}]}]}

    def test_suggestion_alone_is_on_stdout(self):
        done = self.ask({"device": {}, "manifest": self.MANIFEST, "left_out": ["MSI: locked"]},
                        "suggest-quirk", "nic0")
        self.assertEqual(json.loads(done.stdout), self.MANIFEST)
        self.assertIn("left out: MSI: locked\n", done.stderr)
        self.assertIn("dangerous: x ", done.stderr)

    def test_no_suggestion_is_no_empty_file(self):
        done = self.ask({"device": {}, "manifest": None, "left_out": ["MSI: locked"]},
                        "suggest-quirk", "nic0", status=1)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr, "left out: MSI: locked\npcibackctl: suggest-quirk nic0: no "
                         "write was refused that a quirk could allow; see pcibackctl denied\n")

    ENTRY = {"number": 7, "at_ns": 12000345678, "offset": 68, "size": 2, "write": True,
             "mask": 0xff00, "value": 0x1234}

    def test_trace(self):
        done = self.ask({"device": {}, "entries": [self.ENTRY, {**self.ENTRY, "write": False}],
                         "next": 8, "lost": 3}, "trace", "nic0")
        self.assertEqual(flat(done.stdout).splitlines()[1:], [
            "(3 older accesses are not there any more)",
            "7 12.000345 write 0x044 2 0x1234 0xff00", "7 12.000345 read 0x044 2 0x1234 0xff00"])

    def test_trace_follows_from_where_it_was(self):
        def part(entries, following):
            return result({"device": {}, "entries": entries, "next": following, "lost": 0})
        for arguments, lines in (([], 3), (["--json"], 2)):
            with server(part([self.ENTRY], 7), part([], 7), part([{**self.ENTRY, "number": 8}], 8),
                        b"") as (path, requests):
                done = ctl("--socket", path, "trace", "nic0", "--follow", *arguments)
            self.assertEqual([json.loads(r)["params"] for r in requests],
                             [{"dev": "nic0"}, *({"dev": "nic0", "since": n} for n in (7, 7, 8))])
            self.assertEqual(len(done.stdout.splitlines()), lines)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertEqual(json.loads(done.stdout.splitlines()[0]), self.ENTRY)

    def test_reload_says_what_changes(self):
        value = {"generation": 4, "dry_run": False, "quirks": 140, "files": 12,
                 "warnings": ["/q/x: /a: odd"], "needs_restart": ["/state_dir"],
                 "settings": ["slot 0000:06:00.*: new"],
                 "changes": [{"device": "0000:03:00.0", "guest": {"domid": 7, "name": "netvm"},
                             "lines": ["0x44: opened"]},
                             {"device": "0000:04:00.0", "guest": None, "lines": ["a", "b"]}]}
        done = self.ask(value, "reload")
        self.assertEqual(done.stdout.splitlines(), [
            "warning: /q/x: /a: odd", "setting: slot 0000:06:00.*: new", "0000:03:00.0 of guest 7 (netvm):", "  0x44: opened", "0000:04:00.0:",
            "  a", "  b", "needs a restart: /state_dir",
            "generation 4: 140 quirks from 12 files"])
        done = self.ask({**value, "dry_run": True, "changes": []}, "reload", "--dry-run")
        self.assertIn("nothing changes for any device\n", done.stdout)
        self.assertIn("would be 140 quirks from 12 files; generation 4 stays in force (--dry-run)\n", done.stdout)

    def test_reload_that_is_refused_says_all_that_is_wrong(self):
        problems = [{"error": True, "file": "/q/x", "text": "/q/x:1:2: bad"},
                    {"error": False, "file": "/q/y", "text": "/q/y: /a: odd"}]
        reply = {"jsonrpc": "2.0", "id": 1, "error": {
            "code": -32009, "message": "x", "data": {
                "code": "config", "device": "", "reason": "/q/x:1:2: bad",
                "next": "generation 3 stays in force", "problems": problems}}}
        with server(json.dumps(reply).encode() + b"\n") as (path, _):
            done = ctl("--socket", path, "reload")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "error: /q/x:1:2: bad\nwarning: /q/y: /a: odd\n",
                          "pcibackctl: reload: /q/x:1:2: bad; generation 3 stays in force\n"))


if __name__ == "__main__":
    unittest.main()
