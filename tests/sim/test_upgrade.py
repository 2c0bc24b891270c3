# SPDX-License-Identifier: MIT
"""The daemon's next version, whose journal has longer parts, and the way back (H11)."""
import struct
import unittest

from simlib import *

THIS, NEXT = os.environ.get("PCIBACKD_SIM"), os.environ.get("PCIBACKD_SIM_NEXT")
TAKEN_UP = "journal: it is taken up: 0 guests, 1 devices"


def minor(s):
    with open(os.path.join(s.config["state_dir"], "journal"), "rb") as f:
        return struct.unpack("<8sII", f.read(16))[2]


class Upgrade(unittest.TestCase):
    def tearDown(self):
        os.environ["PCIBACKD_SIM"] = THIS

    def change(self, s, to):
        """The next daemon is TO; what the last one had claimed is claimed."""
        taken_up = s.stderr().count(TAKEN_UP)
        os.environ["PCIBACKD_SIM"] = to
        s.restart()
        self.assertEqual(s.stderr().count(TAKEN_UP), taken_up + 1)
        s.wait_for("its device", lambda: s.state() == "claimed")
        self.assertNotIn("damaged", s.stderr())
        self.assertFalse(os.path.exists(os.path.join(s.config["state_dir"], "journal.bad")))

    def test_h11_to_the_next_version_and_back(self):
        with Sim(keep=True, clean=True) as s:
            s.claim()
            self.assertEqual(minor(s), 0)
            self.change(s, NEXT)
            self.assertEqual(minor(s), 1)
            self.change(s, THIS)
            self.assertEqual(minor(s), 1)  # a file with more room than it needs is good for it
            self.change(s, NEXT)
            self.change(s, THIS)
            s.connect()
            s.detach(5)

    def test_h11_a_reboot_of_the_host_begins_a_new_one(self):
        with Sim(keep=True, clean=True) as s:
            s.claim()
            s.reboot()
            self.assertIn("journal: it is of another boot of the host", s.stderr())
            s.connect()
            s.detach(5)

    def test_h11_what_cannot_be_used_ends_nobody(self):
        for what in (b"", b"x" * 5000, None):
            with self.subTest(what=what and what[:1]), Sim(keep=True, clean=True) as s:
                s.claim()
                path = os.path.join(s.config["state_dir"], "journal")
                self.assertEqual(s.stop(), 0)
                if what is None:
                    os.truncate(path, 30000)
                else:
                    with open(path, "wb") as f:
                        f.write(what)
                s.start()
                self.assertIn("a new one begins", s.stderr())
                s.wait_for("its device", lambda: s.state() == "claimed")
                s.connect()
                s.detach(5)


if __name__ == "__main__":
    unittest.main()
