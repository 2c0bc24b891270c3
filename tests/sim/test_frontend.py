# SPDX-License-Identifier: MIT
"""The handshake of the two ends, with frontends that behave and frontends that do not."""
import unittest

from simlib import *

LEGAL = (2, 3, 4, 5, 6, 7, 8)


def de_bruijn(symbols, length):
    """A cyclic sequence that holds every word of LENGTH over SYMBOLS exactly once."""
    k = len(symbols)
    word, found = [0] * (k * length), []

    def extend(t, p):
        if t > length:
            if length % p == 0:
                found.extend(word[1:p + 1])
            return
        word[t] = word[t - p]
        extend(t + 1, p)
        for j in range(word[t - p] + 1, k):
            word[t] = j
            extend(t + 1, t)

    extend(1, 1)
    sequence = found + found[:length - 1]
    return [symbols[i] for i in sequence]


class Frontend(unittest.TestCase):
    def rest(self, s):
        """Renewing the device takes pauses: wait until nothing has changed for a while."""
        def still():
            seen = {(s.state(), s.be_state(5), s.settle() or time.sleep(0.02)) for _ in range(5)}
            return len(seen) == 1 and seen.pop()[0] == "assigned"
        s.wait_for("rest", still)

    def test_frontend_state_matrix(self):
        """Every state after every two others: the daemon lives, its own state is legal."""
        with Sim(clean=True) as s:
            s.claim()
            s.attach(5)
            s.settle()
            s.sim("publish", domid=5, state=None)
            for i, state in enumerate(de_bruijn(list(range(1, 9)), 3)):
                s.sim("state", domid=5, state=state)
                s.settle()
                self.assertTrue(s.alive())
                self.assertIn(s.be_state(5), LEGAL, i)
            self.rest(s)
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.be_state(5) == 6)
            s.sim("unpublish", domid=5)
            s.sim("state", domid=5, state=1)
            s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
            s.sim("publish", domid=5)
            s.wait_for("connection", lambda: s.be_state(5) == 4)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5, force=True)

    def test_states_without_waiting_in_between(self):
        with Sim(clean=True) as s:
            s.claim()
            s.attach(5)
            s.settle()
            s.sim("publish", domid=5, state=None)
            for state in de_bruijn(list(range(1, 9)), 3):
                s.sim("state", domid=5, state=state)
            self.rest(s)
            self.assertIn(s.be_state(5), LEGAL)
            s.detach(5, force=True)

    def test_unknown_after_any_two_states(self):
        """State 0, or none: the frontend is gone, and its devices are taken back."""
        with Sim(clean=True) as s:
            s.claim()
            for a in range(1, 9):
                for b in range(1, 9):
                    s.attach(5)
                    s.sim("publish", domid=5, fresh=True, state=None)
                    s.sim("state", domid=5, state=a)
                    s.settle()
                    s.sim("state", domid=5, state=b)
                    s.settle()
                    s.sim("state", domid=5, state=0)
                    s.wait_for("the device", lambda: s.state() == "claimed")
                    s.assert_clean()

    def test_closing_frontend_finds_closed_and_the_device_stays(self):
        with Sim(clean=True) as s:
            s.connect()
            s.follow(5, on=False)
            s.sim("state", domid=5, state=5)
            s.wait_for("Closing", lambda: s.be_state(5) == 5)
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.be_state(5) == 6)
            s.settle()
            leaks = s.leaks()
            self.assertEqual((leaks["pages"], leaks["ports"]), ([], []))
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.dev()["owner"], 5)
            s.detach(5)

    def test_frontend_comes_back_after_closing(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.config_write(5, 4, 2, 7)
            s.follow(5, on=False)
            resets = s.dev()["resets"]
            s.sim("state", domid=5, state=5)
            s.settle()
            s.sim("state", domid=5, state=6)
            s.settle()
            s.sim("unpublish", domid=5)
            s.sim("state", domid=5, state=1)
            s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
            self.assertGreater(s.dev()["resets"], resets)
            self.assertEqual(s.dev()["vectors"], 0)
            self.assertEqual(s.read_node(s.be(5, "vdev-0")), "0000:00:00.00")
            s.sim("publish", domid=5)
            s.wait_for("connection", lambda: s.be_state(5) == 4)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.enable_msix(5, [0])["err"], 0)
            s.follow(5)
            s.detach(5, force=True)

    def test_closed_frontend_that_is_loaded_again(self):
        """Linux's pcifront publishes at once and closes for good if it sees Closed then: it must find InitWait."""
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(2):
                s.sim("state", domid=5, state=6)
                s.wait_for("Closed", lambda: s.be_state(5) == 6)
                s.wait_for("InitWait, with the frontend still closed", lambda: s.be_state(5) == 2)
                s.sim("publish", domid=5)
                s.wait_for("connection", lambda: s.be_state(5) == 4)
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertGreater(s.dev()["resets"], 2)
            s.sim("state", domid=5, state=6)
            s.wait_for("InitWait", lambda: s.be_state(5) == 2)
            s.detach(5)

    def test_own_7_is_not_overwritten_by_a_late_4(self):
        """The toolstack's Reconfiguring survives a spurious event of a connected frontend."""
        with Sim(devices=[device("e1000e"), device("nvme")], clean=True) as s:
            s.connect()
            s.follow(5, on=False)
            s.claim(DISK)
            pending = s.rpc.start("attach", guest="5", dev=DISK)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            for _ in range(3):
                s.sim("state", domid=5, state=4)
                s.settle()
                self.assertEqual(s.be_state(5), 7)
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.rpc.finish(pending)
            self.assertEqual(s.be_state(5), 4)
            s.follow(5)
            s.detach(5, NIC)
            s.detach(5, DISK)

    def test_removed_backend_directory_is_never_recreated(self):
        with Sim() as s:
            s.connect()
            s.follow(5, on=False)
            s.remove_node("/local/domain/0/backend/pcibackd/5")
            s.settle()
            for state in (5, 6, 1, 3, 4, 7):
                s.sim("state", domid=5, state=state)
                s.settle()
                self.assertIsNone(s.read_node(s.be(5, "state")))
            s.detach(5, force=True)
            s.assert_clean()


class Xenstore(unittest.TestCase):
    """Requests that fail once: a frontend that waits for our answer says nothing else meanwhile."""
    def wait_state(self, s, *states):
        s.wait_for("backend state %s" % (states,), lambda: s.be_state(5) in states)

    def close(self, s):
        s.follow(5, on=False)
        for state in (5, 6):
            s.sim("state", domid=5, state=state)
            self.wait_state(s, state)

    def open(self, s):
        self.wait_state(s, 2, 3)
        s.sim("publish", domid=5)
        self.wait_state(s, 4)
        s.sim("state", domid=5, state=4)
        s.settle()
        self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def at_once(self, s):
        self.close(s)
        s.sim("unpublish", domid=5)
        s.sim("state", domid=5, state=1)
        self.open(s)

    def after_a_rest(self, s):
        self.close(s)
        s.sim("unpublish", domid=5)
        self.open(s)

    def out_of_the_blue(self, s):
        s.follow(5, on=False)
        s.sim("publish", domid=5, fresh=True, state=None)
        s.sim("state", domid=5, state=1)
        self.open(s)

    def each(self, reconnect, least):
        with Sim(clean=True) as s:
            s.connect()
            s.clear_log()
            reconnect(s)
            calls = [e["call"] for e in s.log() if e["call"].startswith("store_")]
            self.assertGreater(len(calls), least)
            for nth, call in enumerate(calls, 1):
                with self.subTest(nth=nth, call=call):
                    s.fault("store_*", "EIO", nth=nth)
                    reconnect(s)
                    s.sim("fault-clear")
            s.detach(5, force=True)

    def test_each_request_of_a_reconnect_fails_once(self):
        self.each(self.at_once, 40)

    def test_each_request_of_a_reconnect_after_a_rest_fails_once(self):
        self.each(self.after_a_rest, 40)

    def test_each_request_of_a_reconnect_out_of_the_blue_fails_once(self):
        self.each(self.out_of_the_blue, 25)

    def test_repeats_have_growing_pauses_and_an_end(self):
        with Sim(clean=True) as s:
            s.connect()
            self.close(s)
            s.sim("unpublish", domid=5)
            self.wait_state(s, 2, 3)
            s.clear_log()
            s.fault("store_*", "EIO", count=100000)
            s.sim("publish", domid=5)
            time.sleep(1.2)
            self.assertIn(len(s.log("fault")), range(3, 11), "two requests each time")
            time.sleep(6.5)
            count = len(s.log("fault"))
            self.assertLess(count, 16)
            time.sleep(1)
            self.assertEqual(len(s.log("fault")), count, "given up")
            self.assertEqual(s.stderr().count("again and again"), 1)
            s.sim("fault-clear")
            self.open(s)
            s.detach(5, force=True)

    def test_nodes_that_are_not_ours_any_more_are_left_alone(self):
        with Sim(clean=True) as s:
            s.connect()
            s.settle()
            s.clear_log()
            s.fault("store_expect", "ECANCELED")
            s.sim("state", domid=5, state=5)
            time.sleep(0.5)
            self.assertEqual(len(s.log("store_expect")), 1)
            s.detach(5, force=True)


if __name__ == "__main__":
    unittest.main()
