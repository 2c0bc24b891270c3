# SPDX-License-Identifier: MIT
"""The verbs that need no daemon: manifests, dumps of devices, xend's quirk file."""
import json
import os
import subprocess
import tempfile
import unittest

import fakelib
from fakelib import ctl

HERE = os.path.dirname(os.path.abspath(__file__))
DEVICES = os.path.join(fakelib.SOURCE, "tests", "sim", "devices")
E1000E = os.path.join(DEVICES, "e1000e.txt")

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


class Import(Tool):
    def test_entries_become_a_manifest(self):
        path = self.file("quirks.sxp", SXP)
        done = ctl("quirks", "import-sxp", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        manifest = json.loads(done.stdout)
        self.assertEqual(manifest["schema"], 1)
        text = done.stdout
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
