# SPDX-License-Identifier: MIT
"""ARCHITECTURE.md lists each deviation from the kernel's backend that a test shows, and no other."""
import glob
import os
import re
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ARCHITECTURE = os.path.join(HERE, "..", "..", "..", "ARCHITECTURE.md")


class Deviations(unittest.TestCase):
    def test_table_and_tests_name_the_same(self):
        tested = set()
        for path in glob.glob(os.path.join(HERE, "test_parity*.c")):
            with open(path) as f:
                tested |= set(re.findall(r"ROW\(deviation_(\w+)\)", f.read()))
        with open(ARCHITECTURE) as f:
            section = f.read().split("## Deviations from the kernel's backend\n")[1]
        listed = re.findall(r"(?m)^\| `(\w+)` \|", section.split("\n## ")[0])
        self.assertTrue(tested)
        self.assertEqual(sorted(listed), sorted(tested))


if __name__ == "__main__":
    unittest.main()
