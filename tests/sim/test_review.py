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


if __name__ == "__main__":
    unittest.main()
