# SPDX-License-Identifier: MIT
"""The next daemon: guests of the one before are served again, what it had begun is done or undone."""
import unittest

from simlib import *

JOURNAL = "journal"


def again(s):
    """The daemon is killed; the next one has done all that it wanted to do."""
    s.kill9()
    s.wait_restarted()
    s.settle()


def lose_journal(s):
    os.unlink(os.path.join(s.config["state_dir"], JOURNAL))


def codes(s, bdf=NIC):
    return [r["code"] for r in s.call("why", dev=bdf)["reasons"]]


def guest(s, domid=5):
    return next((g for g in s.call("guests")["guests"] if g["domid"] == domid), None)


class Served(unittest.TestCase):
    def test_a_connected_guest_goes_on_with_all_that_it_has(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            self.assertIsNone(guest(s)["adopted_seconds"])
            vectors = s.enable_msix(5, [0, 1])["vectors"]
            s.config_write(5, 0x10, 4, 0xFFFFFFFF)
            s.config_write(5, 4, 2, 0x0407)
            seen = [s.config_read(5, at, 4) for at in range(0, 256, 4)]
            nodes = s.names(s.be(5))
            s.clear_log()
            again(s)
            self.assertEqual([s.config_read(5, at, 4) for at in range(0, 256, 4)], seen)
            self.assertEqual((s.state(), s.show()["vectors"], s.show()["owner"]["domid"]),
                             ("assigned", 2, 5))
            self.assertEqual(s.names(s.be(5)), nodes)
            self.assertEqual(s.be_state(5), 4)
            self.assertGreaterEqual(guest(s)["adopted_seconds"], 0)
            self.assertEqual(s.log("map_msi", "unmap_pirq", "cycle_write", "device_assign",
                                   "device_deassign", "store_write", "store_remove"), [],
                             "nothing is changed for it")
            self.assertEqual(len(vectors), 2)
            s.disable_msix(5)
            s.detach(5)

    def test_page_and_port_come_before_xenstore(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.clear_log()
            again(s)
            log = s.log()
            assert_before(log, "port_bind", {"call": "store_read", "path": s.fe(5, "state")})
            assert_before(log, "port_bind", {"call": "store_list"})
            self.assertIn("1 guest served again in ", s.stderr())
            s.detach(5)

    def test_also_after_many_kills(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            for _ in range(10):
                again(s)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.show()["vectors"], 1)
            s.detach(5)

    def test_an_idle_device_stays_what_it_is(self):
        with Sim(supervise=True, clean=True) as s:
            s.claim()
            s.clear_log()
            again(s)
            self.assertEqual((s.state(), codes(s)), ("claimed", ["ready"]))
            self.assertEqual(s.log("job_claim.start", "cycle_write", "msix_prepare"), [])
            s.connect()
            s.detach(5)
            s.release()
            again(s)
            self.assertEqual(s.dev()["driver"], "e1000e")


class Lost(unittest.TestCase):
    def test_the_whole_journal(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            lose_journal(s)
            again(s)
            s.wait_for("its return", lambda: s.state() != "resetting")
            s.settle()
            self.assertEqual(codes(s)[0], "journal-lost")
            self.assertEqual(s.leaks()["pirqs"], [])
            self.assertEqual(s.leaks()["permissions"], [])
            self.assertEqual(s.dev()["owner"], DOMID_IO)
            self.assertTrue(s.show()["tainted"])
            self.assertIsNone(s.read_node(s.be(5, "state")))


if __name__ == "__main__":
    unittest.main()
