# SPDX-License-Identifier: MIT
"""SECURITY.md: each advisory, attack and hazard has its row, and each test that a row names is one."""
import glob
import os
import re
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "..")

ADVISORIES = (43, 57, 120, 124, 126, 128, 129, 130, 131, 155, 157, 164, 175, 178, 302, 306, 332, 337,
              349, 350, 361, 391, 396, 449, 461, 476)
CVES = ("CVE-2016-9083", "CVE-2016-9084", "CVE-2020-12888", "CVE-2021-26932")


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def tests():
    """The names of all tests that are run: C functions in a table of tests, Python methods, and
    scenarios of the lab."""
    names = set()
    for path in glob.glob(os.path.join(SOURCE, "tests", "**", "*.c"), recursive=True):
        text = read(path)
        defined = set(re.findall(r"(?m)^static void (\w+)\(void \*\*", text))
        names |= {n for n in defined if len(re.findall(r"\b%s\b" % n, text)) > 1}
    for path in glob.glob(os.path.join(SOURCE, "tests", "**", "*.py"), recursive=True):
        if os.path.basename(path) in ("test_verdict.py",) or "test" not in os.path.basename(path):
            continue
        names |= set(re.findall(r"(?m)^    def (test_\w+)\(self", read(path)))
    for path in glob.glob(os.path.join(SOURCE, "tests", "xen", "boots", "*", "boot.conf")):
        boot = os.path.basename(os.path.dirname(path))
        names |= {"%s/%s" % (boot, s) for s in re.findall(r"(?m)^scenario (\S+)", read(path))}
    return names


class Table(unittest.TestCase):
    def setUp(self):
        self.text = read("SECURITY.md")
        cells = [line.split("|")[1:-1] for line in self.text.splitlines() if line.startswith("| ")]
        self.rows = [[c.strip() for c in row] for row in cells if len(row) == 3]

    def row(self, what):
        found = [r for r in self.rows if re.search(r"\b%s\b" % re.escape(what), r[0])]
        self.assertEqual(len(found), 1, what)
        return found[0]

    def test_each_test_that_is_named_exists(self):
        known, named = tests(), []
        for row in self.rows:
            named += re.findall(r"`([\w/-]+)`", row[2])
        self.assertGreater(len(named), 100)
        self.assertEqual([n for n in named if n not in known], [])

    def test_each_advisory_attack_and_hazard_has_a_row_with_a_test(self):
        wanted = ["XSA-%d" % n for n in ADVISORIES] + list(CVES[:2]) + ["CVE-2020-12888"]
        wanted += ["T%d" % n for n in range(1, 21)] + ["H%d" % n for n in range(1, 22)]
        for what in wanted:
            row = self.row(what)
            self.assertTrue("`" in row[2] or what == "XSA-124", what)
        for cve in CVES:
            self.assertIn(cve, self.text)


if __name__ == "__main__":
    unittest.main()
