# SPDX-License-Identifier: MIT
"""The service's unit: systemd understands it, and what it leaves exposed stays below a mark."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import fakelib

UNITS = os.path.join(fakelib.SOURCE, "contrib", "systemd")
# systemd's exposure, in tenths, 100 being everything. What it counts and we need: root at the start, the helper's
# CAP_SYS_ADMIN and CAP_SYS_MODULE, /sys and modules that can be written, the host's network.
EXPOSURE_MAX = 36


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


class Unit(unittest.TestCase):
    def setUp(self):
        self.assertTrue(shutil.which("systemd-analyze"), "contrib/packages check installs systemd")
        self.dir = tempfile.mkdtemp(prefix="pcibackd-unit-")
        self.addCleanup(shutil.rmtree, self.dir)
        with open(os.path.join(UNITS, "pcibackd.service")) as f:
            self.text = f.read()
        self.path = os.path.join(self.dir, "pcibackd.service")
        with open(self.path, "w") as f:  # where this machine has the program
            f.write(self.text.replace("/usr/sbin/pcibackd", fakelib.PCIBACKD))

    def test_verify(self):
        done = analyze("verify", "--man=no", self.path)
        told = [line for line in done.stderr.splitlines() if "pcibackd.service" in line]
        self.assertEqual(told, [])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_exposure(self):
        done = analyze("security", "--offline=yes", "--no-pager", "--threshold=%d" % EXPOSURE_MAX, self.path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_helpers_capabilities_are_in_the_bounding_set(self):
        with open(os.path.join(fakelib.SOURCE, "core", "host", "confine.c")) as f:
            kept = re.search(r"helper_keeps\[\] = \{([^}]*)\}", f.read())[1].replace(",", " ").split()
        bound = re.search(r"^CapabilityBoundingSet=(.*)$", self.text, re.M)[1].split()
        self.assertTrue(kept)
        self.assertEqual(set(kept) - set(bound), set())
        # What the start itself takes, each for a reason that the unit gives.
        self.assertEqual(set(bound) - set(kept),
                         {"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_CHOWN", "CAP_NET_ADMIN"})


if __name__ == "__main__":
    unittest.main()
