# SPDX-License-Identifier: MIT
"""Devices between two owners: what is remembered of the first, and what happens at the same time."""
import unittest

from simlib import *

NIC2 = "0000:00:05.1"
TWO = [domain(5, "netvm"), domain(6, "diskvm")]


def neighbours(*shares):
    first = device("e1000e", neighbours=[{"bdf": NIC2, "shares": list(shares)}])
    second = moved(device("e1000e"), NIC2)
    second["neighbours"] = [{"bdf": NIC, "shares": list(shares)}]
    return [first, second]


def taint(s, bdf=NIC, domid=5):
    """Taken by force from a guest that lives on and may hold mappings."""
    s.connect(domid, bdf)
    s.script(domid, {"backend": 5, "write": None}, {"backend": 7, "write": None})
    s.detach(domid, bdf, force=True)
    assert s.show(bdf)["tainted"]


class Taint(unittest.TestCase):
    def test_h7_outlives_a_forced_release(self):
        with Sim(domains=TWO) as s:
            taint(s)
            s.release(force=True)
            s.claim()
            with self.assertRaises(RpcError) as e:
                s.attach(6)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn("domain 5", e.exception.data["reason"])

    def test_h7_by_several_guests_one_after_the_other(self):
        domains = [domain(d) for d in range(5, 10)]
        with Sim(domains=domains) as s:
            taint(s)
            for domid in (6, 7, 8):
                s.follow(domid)
                with self.assertRaises(RpcError):
                    s.attach(domid)
                s.attach(domid, wait=5, force=True)
                s.follow(domid, on=False)
                s.detach(domid, force=True)
                text = [r["text"] for r in s.call("why", dev=NIC)["reasons"]
                        if r["code"] == "tainted"][0]
                for by in range(5, domid + 1):
                    self.assertRegex(text, r"\b%d\b" % by)
            self.assertEqual(s.show()["tainted_by"], 5)
            with self.assertRaises(RpcError) as e:
                s.attach(9, force=True)
            self.assertIn("domains 5, 6, 7 and 8, which still live", e.exception.data["reason"])
            self.assertIn("end one of these", e.exception.data["next"])
            s.attach(8, force=True)  # it is one of them: nothing new to remember
            s.detach(8, force=True)
            for domid in (8, 5, 7):
                s.sim("domain-destroy", domid=domid)
                s.settle()
                self.assertTrue(s.show()["tainted"])
            self.assertEqual(s.show()["tainted_by"], 6)
            for verb in ("reset", "release"):
                with self.assertRaises(RpcError) as e:
                    s.call(verb, dev=NIC)
                self.assertIn("domain 6, which still lives", e.exception.data["reason"])
            s.attach(6)  # its own again
            s.detach(6, force=True)
            s.sim("domain-destroy", domid=6)
            s.settle()
            self.assertFalse(s.show()["tainted"])
            s.follow(9)
            s.attach(9, wait=5)

    def test_h7_of_a_neighbour_in_the_same_page(self):
        with Sim(devices=neighbours("page"), domains=TWO) as s:
            s.claim(NIC2)
            taint(s)
            with self.assertRaises(RpcError) as e:
                s.attach(6, NIC2)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn(NIC, e.exception.data["reason"])
            self.assertFalse(s.call("why", dev=NIC2)["attachable"])
            s.sim("domain-destroy", domid=5)
            s.wait_for("its end", lambda: s.call("why", dev=NIC2)["attachable"])


class AtTheSameTime(unittest.TestCase):
    def test_h12_two_attaches_do_not_split_a_group(self):
        with Sim(devices=neighbours("requester"), domains=TWO) as s:
            s.follow(5)
            s.follow(6)
            s.claim()
            s.claim(NIC2)
            s.sim("store-hold", on=True)
            first = s.rpc.start("attach", guest="5", dev=NIC, wait=5)
            other = Rpc(s.control_path)
            second = other.start("attach", guest="6", dev=NIC2, wait=5)
            watcher = Rpc(s.control_path)
            s.wait_for("both", lambda: all(
                watcher.call("why", dev=d)["reasons"][0]["code"] == "busy" for d in (NIC, NIC2)))
            s.sim("store-hold", on=False)
            refused = 0
            for rpc, serial in ((s.rpc, first), (other, second)):
                try:
                    rpc.finish(serial)
                except RpcError as e:
                    refused += e.data["code"] == "refused"
                rpc.close()
            watcher.close()
            s.rpc = Rpc(s.control_path)
            self.assertEqual(refused, 1)


class Appearing(unittest.TestCase):
    def test_what_came_back_while_its_guest_had_it_is_seen(self):
        with Sim(config={"devices": [{"bdf": NIC}]}, violations=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.unplug()
            s.wait_for("it", lambda: s.state() == "failed")
            s.plug()
            s.settle()
            s.detach(5, force=True)
            s.wait_for("it", lambda: s.state() == "present")


class Removed(unittest.TestCase):
    """H1: what crashes the host when the guest ends is said until then, whatever the guest does."""

    def code(self, s):
        return s.call("why", dev=NIC)["reasons"][0]["code"]

    def test_h1_a_guest_that_reconnects_does_not_hide_it(self):
        with Sim(violations=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.unplug()
            s.wait_for("it", lambda: s.state() == "failed")
            s.follow(5, on=False)
            for state, backend in ((5, (5,)), (6, (6,)), (1, (2, 3))):
                s.sim("state", domid=5, state=state)
                s.wait_for("the answer", lambda: s.be_state(5) in backend)
            s.settle()
            self.assertEqual(self.code(s), "removed-in-use")
            self.assertEqual(s.state(), "failed")

    def test_h1_removed_in_the_middle_of_a_reset_by_the_guest(self):
        with_flr = device("e1000e", patch=[[0xE4, 4, 0x10008000], [0xD2, 2, 0x8A]])
        with Sim(devices=[with_flr], violations=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.sim("set", job_delay_ms=300)
            s.config_write(5, 0xE8, 2, s.config_read(5, 0xE8, 2) | 0x8000)
            s.wait_for("the reset", lambda: s.state() == "resetting")
            s.unplug()
            s.wait_for("its end", lambda: s.state() == "failed")
            s.settle()
            self.assertEqual(self.code(s), "removed-in-use")


class Reserved(unittest.TestCase):
    def test_h4_what_a_dead_domain_left_behind_is_no_reservation(self):
        with Sim(domains=TWO, clean=True) as s:
            s.follow(5)
            s.claim()
            s.write_node(s.reservation(), "6")
            with self.assertRaises(RpcError) as e:
                s.attach(5, wait=5)
            self.assertIn("taken", e.exception.data["reason"])
            s.sim("domain-destroy", domid=6)
            s.write_node(s.reservation(), "6")
            s.attach(5, wait=5)
            self.assertEqual(s.read_node(s.reservation()), "5")
            s.detach(5)


class Closed(unittest.TestCase):
    def test_each_close_is_seen_for_half_a_second(self):
        with Sim() as s:
            s.connect()
            s.follow(5, on=False)
            for _ in range(10):  # until one is looked at in time
                for state, backend in ((5, 5), (6, 6), (1, 3)):
                    s.sim("state", domid=5, state=state)
                    s.wait_for("the answer", lambda: s.be_state(5) == backend)
                time.sleep(0.35)
                began = time.monotonic()
                s.sim("state", domid=5, state=6)
                s.wait_for("the answer", lambda: s.be_state(5) == 6)
                time.sleep(0.3)
                seen = s.be_state(5)
                if time.monotonic() - began < 0.5:
                    break
            self.assertEqual(seen, 6, "the timer of the close before does not count")
            s.wait_for("another beginning", lambda: s.be_state(5) == 2)


class Chatter(unittest.TestCase):
    def test_resets_that_fail_do_not_fill_the_log(self):
        with Sim() as s:
            s.connect()
            s.fault("job_reset", "EIO", count=100000)
            s.follow(5, on=False)
            for _ in range(80):
                for state, backend in ((5, 5), (6, 6), (1, 3)):
                    s.sim("state", domid=5, state=state)
                    s.wait_for("the answer", lambda: s.be_state(5) == backend)
            self.assertLess(s.stderr().count("reset failed"), 70)


if __name__ == "__main__":
    unittest.main()
