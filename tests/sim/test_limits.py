# SPDX-License-Identifier: MIT
"""Each limit holds, says so by name, and nobody who is served already is hurt by it."""
import unittest

from simlib import *

NIC1 = "0000:00:05.1"
NIC2 = "0000:00:05.2"


def nics(*bdfs):
    return [moved(device("e1000e"), bdf, 0x100000 * i) for i, bdf in enumerate(bdfs)]


def state(s, bdf):
    """Also of a device that nobody has spoken of yet."""
    return {d["address"]: d["state"] for d in s.call("list")["devices"]}.get(bdf)


class Devices(unittest.TestCase):
    def test_claim_beyond_it_is_refused_and_release_makes_room(self):
        with Sim(devices=nics(NIC, NIC1), config={"limits": {"devices": 1}}) as s:
            s.claim(NIC)
            with self.assertRaises(RpcError) as refused:
                s.claim(NIC1)
            self.assertEqual(refused.exception.data["code"], "limit")
            self.assertIn("limits.devices", refused.exception.data["next"])
            self.assertEqual(s.call("stats")["limits"]["devices"]["used"], 1)
            s.claim(NIC)  # what is known needs no room
            s.release(NIC)
            s.claim(NIC1)

    def test_what_the_configuration_lists_beyond_it_is_left_alone_with_a_line(self):
        with Sim(devices=nics(NIC, NIC1), config={
                "limits": {"devices": 1}, "slots": ["0000:00:05.*"],
                "devices": [{"name": "a", "bdf": NIC}, {"name": "b", "bdf": NIC1}]}) as s:
            s.wait_for("the first", lambda: state(s, NIC) == "claimed")
            self.assertEqual([d["address"] for d in s.call("list")["devices"]], [NIC])
            self.assertIn("1 devices are known already, which is the limit", s.stderr())

    def test_one_that_is_plugged_in_beyond_it_is_left_alone(self):
        with Sim(devices=nics(NIC, NIC1), config={
                "limits": {"devices": 1}, "slots": ["0000:00:05.*"]}) as s:
            s.unplug(NIC1)
            s.plug(NIC1)
            s.wait_for("a line", lambda: "%s: left alone" % NIC1 in s.stderr() or
                       "known already" in s.stderr())
            self.assertEqual(len(s.call("list")["devices"]), 1)

    def test_what_an_earlier_run_had_is_taken_up_whatever_the_limit(self):
        with Sim(devices=nics(NIC, NIC1), keep=True) as s:
            s.claim(NIC)
            s.claim(NIC1)
            s.config["limits"]["devices"] = 1
            s.restart()
            for bdf in (NIC, NIC1):
                s.wait_for(bdf, lambda bdf=bdf: state(s, bdf) == "claimed")


if __name__ == "__main__":
    unittest.main()
