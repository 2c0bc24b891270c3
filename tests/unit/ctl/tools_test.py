# SPDX-License-Identifier: MIT
"""The verbs that need no daemon: manifests, dumps of devices, xend's quirk file."""
import json
import os
import re
import subprocess
import tempfile
import unittest

import fakelib
import schema_test
from fakelib import ctl

HERE = os.path.dirname(os.path.abspath(__file__))
DEVICES = os.path.join(fakelib.SOURCE, "tests", "sim", "devices")
E1000E = os.path.join(DEVICES, "e1000e.txt")

QUIRK = {"id": "test-nic", "reason": "its driver writes there", "source": "the data sheet",
         "match": {"vendor": "0x8086", "device": "0x10d3"},
         "fields": [{"at": "0x44", "size": 2, "write": "0x00f0", "why": "queue mode"},
                    {"at": {"cap": "msix", "offset": 12}, "size": 4, "virtual": "0xffff0000",
                     "value": "0x12340000", "name": "SCRATCH", "why": "drivers test it"}],
         "capabilities": {"hide": ["msi"]},
         "device": {"delay_after_reset_ms": 250, "no_reset": ["bus"]}}
OFF = {"id": "test-off", "reason": "is known to be wrong", "source": "s", "disabled": True,
       "match": {"vendor": "0x8086"}, "device": {"msi": "deny"}}

SXP = """# quirks of xend
(nic
    (pci_ids ('14e4:1644' '14e4:1645:1028:0106'))
    (pci_config_space_fields ('00000078:4:00000000')))
"""


def read(path):
    with open(path) as f:
        return f.read()


def with_input(text, *arguments):
    return subprocess.run([fakelib.PCIBACKCTL, *arguments], input=text, capture_output=True,
                          text=True, timeout=fakelib.PATIENCE_S)


class Tool(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.dir = self.temporary.name
        self.addCleanup(self.temporary.cleanup)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def manifest(self, name, *quirks):
        return self.file(name, json.dumps({"schema": 1, "quirks": quirks}, indent=1))

    def golden(self, name, text):
        """TEXT as it was when somebody looked at it; PB_GOLDEN=write renews what was wanted."""
        path = os.path.join(HERE, "golden", name)
        if os.environ.get("PB_GOLDEN") == "write":
            with open(path, "w") as f:
                f.write(text)
        self.assertEqual(text, read(path), "if it is as it should be, run it with PB_GOLDEN=write")

    def assert_one_line(self, done, *parts):
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("pcibackctl: "))
        for part in parts:
            self.assertIn(part, done.stderr)


class Input(Tool):
    """What cannot be read is one line that says what to do."""

    def test_file_that_is_absent_or_a_directory(self):
        for verb in (["quirks", "explain", "--dump"], ["map", "--dump"], ["quirks", "import-sxp"]):
            self.assert_one_line(ctl(*verb, "/nonexistent"), "/nonexistent: cannot read it: No such",
                                 "- for standard input")
            self.assert_one_line(ctl(*verb, self.dir), "Is a directory")

    def test_file_that_is_too_long(self):
        path = self.file("long", "#" * (4 * 1024 * 1024 + 1))
        self.assert_one_line(ctl("quirks", "import-sxp", path), "longer than 4 MiB")

    def test_directory_that_was_named_must_be_there(self):
        for verb in (["quirks", "explain", "--dump", E1000E], ["map", "--dump", E1000E],
                     ["quirks", "list"], ["quirks", "query", "--ids", "1:2"], ["quirks", "validate"]):
            self.assert_one_line(ctl(*verb, "--dir", "/nonexistent"), "/nonexistent: No such file")
            self.assert_one_line(ctl(*verb, "--dir", E1000E), E1000E + ": is not a directory",
                                 "name the directory that holds it")
            self.assert_one_line(ctl(*verb, "--dir", self.dir, "--plugin-dir", "/nonexistent"),
                                 "/nonexistent: No such file")


class Dump(Tool):
    def test_of_several_devices_one_must_be_named(self):
        both = read(E1000E) + read(os.path.join(DEVICES, "nvme.txt")).replace("00:05.0", "00:06.0")
        for verb in (["quirks", "explain"], ["map"]):
            done = with_input(both, *verb, "--dump", "-")
            self.assert_one_line(done, "line 258: ", "name one with --device")
            done = with_input(both, *verb, "--dump", "-", "--device", "09:00.0")
            self.assert_one_line(done, "09:00.0", "see which devices the dump has")
            done = with_input(both, *verb, "--dump", "-", "--device", "0000:00:06.0")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_that_is_none(self):
        for text in ("", "hello\n", "00:05.0 Ethernet controller\n"):
            self.assert_one_line(with_input(text, "map", "--dump", "-"), "line ",
                                 "give it what `lspci -xxxx` prints")

    def test_of_a_device_that_did_not_answer(self):
        rows = ["%02x: %s" % (at, " ".join(["ff"] * 16)) for at in range(0, 256, 16)]
        self.assert_one_line(with_input("00:05.0 x\n" + "\n".join(rows) + "\n", "map", "--dump", "-"),
                             "all ones")

    def test_of_a_bridge_is_refused_with_the_reason(self):
        text = read(E1000E).replace("00 00 00 02 00 00 00 00\n10:", "00 00 04 06 00 00 01 00\n10:")
        self.assertNotEqual(text, read(E1000E))
        self.assert_one_line(with_input(text, "map", "--dump", "-"), "bridge")


class Explain(Tool):
    def of_e1000e(self, *arguments):
        done = subprocess.run([fakelib.PCIBACKCTL, *arguments, "--dump", E1000E, "--dir", "."],
                              cwd=self.dir, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def setUp(self):
        super().setUp()
        self.manifest("50-test.json", QUIRK, OFF)

    def test_text_of_a_real_device(self):
        self.golden("explain-e1000e.txt", self.of_e1000e("quirks", "explain"))

    def test_text_of_one_byte(self):
        self.golden("explain-e1000e-0x44.txt", self.of_e1000e("quirks", "explain", "--byte", "0x44"))

    def test_picture_of_a_real_device(self):
        self.golden("map-e1000e.txt", self.of_e1000e("map"))
        colored = self.of_e1000e("map", "--color", "always")
        self.assertIn("\033[48;5;", colored)
        self.golden("map-e1000e.txt", re.sub("\033\\[[0-9;]*m(.) \033\\[0m", r"\1",
                                             colored.replace("\033[97m", "")))

    def test_json_agrees_with_the_picture(self):
        explained = json.loads(self.of_e1000e("--json", "quirks", "explain"))
        picture = json.loads(self.of_e1000e("--json", "map"))
        letters = {"hw": "h", "write": "w", "w1c": "c", "virtual": "v", "fixed": "f"}
        self.assertEqual(len(picture["classes"]), explained["size"])
        self.assertEqual(sum(run[0] for run in picture["origin_of"]), explained["size"])
        named = set()
        for register in explained["registers"]:
            at = int(register["at"], 0)
            for byte in range(register["size"]):
                classes = {letters[part["class"]] for part in register["parts"]
                           if int(part["mask"], 0) >> 8 * byte & 0xff}
                named.add(at + byte)
                letter = picture["classes"][at + byte]
                if letter == "k":
                    self.assertEqual(classes, {"h"}, hex(at))
                elif letter != ".":
                    self.assertEqual(letter, "m" if len(classes) > 1 else classes.pop(), hex(at))
        self.assertEqual({c for i, c in enumerate(picture["classes"]) if i not in named},
                         {"h", "k"})

    def test_manifests_with_errors_are_left_out_and_mentioned(self):
        before = self.of_e1000e("quirks", "explain")
        self.file("60-bad.json", "{")
        for verb in (["quirks", "explain", "--dump", E1000E], ["quirks", "list"],
                     ["quirks", "query", "--ids", "8086:10d3"], ["map", "--dump", E1000E]):
            done = ctl(*verb, "--dir", self.dir)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(done.stderr, "pcibackctl: %s: note: 1 error in manifests, which are "
                             "left out; see pcibackctl quirks validate\n" %
                             " ".join(verb[:2] if verb[0] == "quirks" else verb[:1]))
            if "explain" in verb:
                self.assertEqual(done.stdout.replace(self.dir, ".").split(), before.split())

    def test_plugins_are_not_opened_to_explain(self):
        plugins = os.path.join(self.dir, "plugins")
        os.mkdir(plugins)
        with open(os.path.join(plugins, "none.so"), "w") as f:
            f.write("not an object")
        self.manifest("60-plugin.json", {**QUIRK, "id": "test-plugin", "fields": [], "device": {},
                                         "capabilities": {}, "plugin": {"name": "none"}},
                      {**QUIRK, "id": "test-both", "plugin": {"name": "none"}})
        done = ctl("--json", "quirks", "explain", "--dump", E1000E, "--dir", self.dir,
                   "--plugin-dir", plugins)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        effects = {q["id"]: q["effect"] for q in json.loads(done.stdout)["quirks"]}
        self.assertEqual(effects["test-plugin"], "its plugin is not opened here")
        self.assertIsNone(effects["test-both"])

    def test_quirk_that_does_not_fit_is_named(self):
        self.manifest("60-bad.json", {
            **QUIRK, "id": "test-bad", "fields": [], "device": {},
            "capabilities": {"add": [{"at": "0xc8", "id": "0x09", "bytes": "08 00"}]}})
        self.assert_one_line(ctl("map", "--dump", E1000E, "--dir", self.dir), "test-bad",
                             "60-bad.json", "correct the quirk, or mask its file")


class Schemas(Tool):
    """What the tools print as JSON is what the daemon would answer."""

    DEVICE = {"address": "0000:00:05.0", "name": "", "state": "claimed"}

    def check(self, method, result):
        reply = {"jsonrpc": "2.0", "id": 1, "result": result}
        self.assertEqual(schema_test.errors("reply-" + method, reply), [])

    def test_of_dumps(self):
        self.manifest("50-test.json", QUIRK, OFF)
        for verb, method in ((["quirks", "explain"], "quirks.explain"), (["map"], "map")):
            for device in sorted(os.listdir(DEVICES)):
                done = ctl("--json", *verb, "--dir", self.dir, "--dump", os.path.join(DEVICES, device))
                with self.subTest(device):
                    self.check(method, {**json.loads(done.stdout), "device": self.DEVICE})

    def test_of_manifests(self):
        self.manifest("50-test.json", QUIRK, OFF)
        self.file("60-bad.json", "{")
        for verb in (["list", "--dir"], ["validate"]):
            self.check("quirks.list", json.loads(ctl("--json", "quirks", *verb, self.dir).stdout))


class Manifests(Tool):
    def test_good_ones_pass(self):
        self.manifest("50-test.json", QUIRK, OFF)
        for arguments in ([], ["--strict"]):
            done = ctl("quirks", "validate", self.dir, *arguments)
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (0, "2 quirks in 1 file\n", ""))
        self.assertEqual(ctl("quirks", "validate", "--dir", self.dir).stdout, done.stdout)

    def test_every_problem_is_printed_and_counted(self):
        self.manifest("50-good.json", QUIRK)
        self.file("60-syntax.json", '{ "schema": 1,\n "quirks": [ }')
        self.manifest("61-twice.json", QUIRK)
        self.manifest("62-danger.json", {**QUIRK, "id": "test-danger", "fields": [
            {"at": "0x3c", "size": 1, "write": "0xf0"}, {"at": "0x3c", "size": 2, "write": "0xf0"}]})
        self.manifest("63-plugin.json", {**QUIRK, "id": "test-plugin", "plugin": {"name": "no-such"}})
        self.file("strange.json", "")
        self.file("notes", "")
        done = ctl("quirks", "validate", self.dir)
        self.assertEqual(done.returncode, 1)
        lines = done.stdout.replace(self.dir, "DIR").splitlines()
        for start in ("error: DIR/60-syntax.json:2:", "error: DIR/61-twice.json: /quirks/0/id: ",
                      "error: DIR/62-danger.json: /quirks/0/fields/0: is dangerous",
                      "error: DIR/62-danger.json: /quirks/0/fields/1: overlaps",
                      "warning: DIR/63-plugin.json: /quirks/0/plugin/name: ",
                      "warning: DIR/strange.json: is ignored"):
            self.assertTrue([line for line in lines if line.startswith(start)], (start, lines))
        errors = len([line for line in lines if line.startswith("error: ")])
        warnings = len([line for line in lines if line.startswith("warning: ")])
        self.assertNotIn("DIR/notes", done.stdout.replace(self.dir, "DIR"))
        self.assertEqual(lines[-1], "2 quirks in 2 files")
        self.assertEqual(done.stderr, "pcibackctl: quirks validate: %d errors, %d warnings; a file "
                         "with an error is left out as a whole; correct it\n" % (errors, warnings))

    def test_warnings_fail_only_when_strict(self):
        self.manifest("50-test.json", {**QUIRK, "plugin": {"name": "no-such"}})
        self.assertEqual(ctl("quirks", "validate", self.dir).returncode, 0)
        done = ctl("quirks", "validate", "--strict", self.dir)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertIn("0 errors, 1 warning;", done.stderr)

    def test_plugins_are_opened_only_when_their_directory_is_named(self):
        self.manifest("50-test.json", {**QUIRK, "plugin": {"name": "no-plugin"}})
        plugins = os.path.join(self.dir, "plugins")
        os.mkdir(plugins)
        with open(os.path.join(plugins, "no-plugin.so"), "w") as f:
            f.write("not an object")
        done = ctl("quirks", "validate", self.dir, "--plugin-dir", plugins)
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: ", done.stdout)
        done = ctl("quirks", "list", "--dir", self.dir, "--plugin-dir", plugins)
        self.assertNotIn("error: ", done.stdout)

    def test_json_is_the_same_and_fails_the_same(self):
        self.manifest("50-test.json", QUIRK)
        self.file("60-bad.json", "{")
        done = ctl("--json", "quirks", "validate", self.dir)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        result = json.loads(done.stdout)
        self.assertEqual([q["id"] for q in result["quirks"]], ["test-nic"])
        self.assertEqual([p["error"] for p in result["problems"]], [True])

    def test_what_is_wrong_stands_before_the_verdict(self):
        self.file("60-bad.json", "{")
        done = subprocess.run([fakelib.PCIBACKCTL, "quirks", "validate", self.dir], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=fakelib.PATIENCE_S)
        self.assertRegex(done.stdout, r"\Aerror: .*\n0 quirks in 0 files\npcibackctl: .*\n\Z")

    def test_query_without_manifests_says_so(self):
        done = ctl("quirks", "query", "--ids", "1:2", "--dir", self.dir)
        self.assertEqual((done.returncode, done.stdout), (0, "no quirk matches\n"))
        self.assertEqual(done.stderr, "pcibackctl: quirks query: note: there are no manifests in "
                         "these directories\n")

    def test_later_directory_replaces_and_masks(self):
        local = os.path.join(self.dir, "local")
        os.mkdir(local)
        self.manifest("50-a.json", QUIRK)
        self.manifest("51-b.json", {**QUIRK, "id": "test-other"})
        self.manifest("local/50-a.json", {**QUIRK, "id": "test-new"})
        os.symlink("/dev/null", os.path.join(local, "51-b.json"))
        done = ctl("--json", "quirks", "list", "--dir", self.dir, "--dir", local)
        self.assertEqual([q["id"] for q in json.loads(done.stdout)["quirks"]], ["test-new"])

    def query(self, *arguments):
        done = ctl("--json", "quirks", "query", "--dir", self.dir, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [q["id"] for q in json.loads(done.stdout)["quirks"]]

    def test_query_by_every_id(self):
        base = {"reason": "r", "source": "s", "device": {"msi": "deny"}}
        self.manifest(
            "50-test.json", QUIRK, OFF,
            {**base, "id": "by-class", "match": {"class": "0x020000", "class_mask": "0xffff00"}},
            {**base, "id": "by-subsystem", "match": {
                "vendor": "0x8086", "subsystem_vendor": "0x1028", "subsystem_device": "0x0106"}},
            {**base, "id": "by-revision", "match": {"vendor": "0x1b36",
                                                    "revision": {"min": 2, "max": 16}}},
            {**base, "id": "by-function", "match": {"vendor": "0x1b36", "virtual_function": True}})
        self.assertEqual(self.query("--ids", "8086:10d3"), ["test-off", "test-nic"])
        self.assertEqual(self.query("--ids", "0x8086:0x10D3"), ["test-off", "test-nic"])
        self.assertEqual(self.query("--ids", "8086:1:1028:106"), ["test-off", "by-subsystem"])
        self.assertEqual(self.query("--ids", "8086:1", "--class", "0x020000"),
                         ["by-class", "test-off"])
        self.assertEqual(self.query("--ids", "1:1", "--class", "0200"), ["by-class"])
        self.assertEqual(self.query("--ids", "1b36:10", "--revision", "0x10"), ["by-revision"])
        self.assertEqual(self.query("--ids", "1b36:10", "--revision", "11"), [])
        self.assertEqual(self.query("--ids", "1b36:10", "--vf"), ["by-function"])
        self.assertEqual(ctl("quirks", "query", "--dir", self.dir, "--ids", "1:2").stdout,
                         "no quirk matches\n")
        done = ctl("quirks", "query", "--dir", self.dir, "--ids", "8086:10d3")
        self.assertEqual(done.stdout.replace(self.dir, "DIR"), """\
test-off
  matches by vendor
  changes    msi
  because    is known to be wrong
  source     s
  file       DIR/50-test.json
  is switched off

test-nic
  matches by device
  changes    2 registers, 1 capability, no_reset, delay_after_reset_ms
  because    its driver writes there
  source     the data sheet
  file       DIR/50-test.json
""")

    def test_example_of_the_manual_page_is_valid(self):
        page = read(os.path.join(fakelib.SOURCE, "contrib", "man", "pcibackd-quirks.5"))
        example = re.search(r"(?s)\.SH EXAMPLE\n\.nf\n(.*?)\.fi", page).group(1)
        self.file("50-example.json", example.replace("\\-", "-"))
        self.assertEqual(ctl("quirks", "validate", "--strict", self.dir).stdout,
                         "1 quirk in 1 file\n")


class Import(Tool):
    def test_entries_become_a_manifest(self):
        path = self.file("quirks.sxp", SXP)
        done = ctl("quirks", "import-sxp", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        manifest = json.loads(done.stdout)
        self.assertEqual(manifest["schema"], 1)
        text = done.stdout
        self.file("90-imported.json", text)
        self.assertEqual(ctl("quirks", "validate", self.dir).returncode, 0)
        for word in ("0x14e4", "0x1644", "0x1645", "0x1028", "0x0106", "0x78"):
            self.assertIn(word, text)
        self.assertEqual(with_input(SXP, "quirks", "import-sxp", "-").stdout, text)
        self.assertEqual(ctl("--json", "quirks", "import-sxp", path).stdout, text)

    def test_errors_name_the_line(self):
        for text, part in (("(", "line 1: "), ("(nic\n  (pci_ids ('x'))", "line 2: "), ("", "line ")):
            done = with_input(text, "quirks", "import-sxp", "-")
            self.assert_one_line(done, part, "correct that line, or leave its entry out")


if __name__ == "__main__":
    unittest.main()
