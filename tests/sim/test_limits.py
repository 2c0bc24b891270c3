# SPDX-License-Identifier: MIT
"""Each limit holds, says so by name, and nobody who is served already is hurt by it."""
import resource
import unittest

from simlib import *

NIC1 = "0000:00:05.1"


def nics(first, second):
    return [device("e1000e", first), moved(device("e1000e"), second)]


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


class Descriptors(unittest.TestCase):
    """Each claimed device has one open: what a process is allowed at first is fewer than `devices`."""

    def test_the_daemon_takes_all_that_it_may_have(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        try:
            with Sim() as s:
                now = resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertGreater(hard, 256, "this cannot be tested here")
        self.assertEqual(now, (hard, hard))


class Guests(unittest.TestCase):
    def refused(self, s, limit, *args):
        with self.assertRaises(RpcError) as refused:
            s.attach(*args)
        self.assertEqual(refused.exception.data["code"], "limit")
        self.assertIn("limits." + limit, refused.exception.data["next"])

    def test_one_guest_more_is_refused_and_the_first_is_served(self):
        with Sim(devices=nics(NIC, NIC1), domains=[domain(5), domain(6)], clean=True,
                 config={"limits": {"guests": 1}}) as s:
            s.connect()
            s.claim(NIC1)
            self.refused(s, "guests", 6, NIC1)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.call("stats")["limits"]["guests"]["used"], 1)
            s.detach(5)
            s.attach(6, NIC1)
            s.detach(6, NIC1, force=True)

    def test_one_device_more_is_refused_and_the_first_works(self):
        with Sim(devices=nics(NIC, NIC1), clean=True,
                 config={"limits": {"devices_per_guest": 1}}) as s:
            s.connect()
            s.claim(NIC1)
            self.refused(s, "devices_per_guest", 5, NIC1)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.call("stats")["limits"]["devices_per_guest"]["used"], 1)
            s.detach(5)

    def test_a_guest_that_comes_and_goes_has_so_many_lines_of_the_log(self):
        with Sim(config={"limits": {"guest_log_lines": 6}}) as s:
            s.connect()
            before = len(s.stderr().splitlines())
            for _ in range(10):
                s.unload(5)
                s.load(5)
                s.wait_for("connection", lambda: s.be_state(5) == 4)
            self.assertLessEqual(len(s.stderr().splitlines()) - before, 6)

    def test_events_about_nothing_are_listened_to_ever_less(self):
        with Sim(config={"limits": {"spurious_backoff_max_ms": 200}}) as s:
            s.connect()
            begin = time.monotonic()
            while time.monotonic() - begin < 1:
                s.sim("notify", domid=5)
            # 2 at once, then after 1, 2, 4 ... 128, 200 ms and every 200 ms
            count = s.call("stats")["counters"]["spurious_events"]
            elapsed = time.monotonic() - begin
            self.assertLessEqual(count, 12 + elapsed / 0.2)
            self.assertGreaterEqual(count, 8)


if __name__ == "__main__":
    unittest.main()
