# SPDX-License-Identifier: MIT
"""Devices that come and go under a guest that runs: with it, without it, and against it."""
import unittest

from simlib import *

NIC1 = "0000:00:05.1"
IDS, DISK_IDS = 0x10D38086, 0x00101B36
MASTER = 4


def three():
    return [device("e1000e"), moved(device("e1000e"), NIC1), device("nvme")]


class Hotplug(unittest.TestCase):
    """A connected guest with NIC; what else it is to have is claimed."""

    def begin(self, s, *more):
        for bdf in more:
            s.claim(bdf)
        s.connect(5, NIC)

    def rest(self, s, *devices):
        """The guest follows again, and everything comes back in order."""
        s.follow(5)
        s.settle()
        self.assertEqual((s.be_state(5), s.fe_state(5)), (4, 4))
        for bdf in devices:
            s.detach(5, bdf)

    def refused(self, s, code, pending):
        with self.assertRaises(RpcError) as e:
            s.rpc.finish(pending)
        self.assertEqual(e.exception.data["code"], code, e.exception)
        return e.exception.data

    def nodes(self, s):
        return {k.rsplit("/", 1)[1]: v["value"]
                for k, v in s.sim("store-dump", path=s.be(5))["nodes"].items()}

    def test_attaches_queued_at_one_guest_each_complete(self):
        with Sim(devices=three(), clean=True) as s:
            for bdf in (NIC, NIC1, DISK):
                s.claim(bdf)
            s.follow(5)
            pending = [s.rpc.start("attach", guest="5", dev=d, wait=5) for d in (NIC, NIC1, DISK)]
            for p in pending:
                s.rpc.finish(p)
            s.settle()
            self.assertEqual(self.nodes(s)["num_devs"], "3")
            self.assertEqual(s.config_read(5, 0, devfn=1), IDS)
            self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
            pending = [s.rpc.start("detach", guest="5", dev=d) for d in (NIC, DISK, NIC1)]
            for p in pending:
                s.rpc.finish(p)

    def test_attach_and_detach_queued_together(self):
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, NIC1, DISK)
            s.attach(5, DISK, wait=5)
            pending = [s.rpc.start("detach", guest="5", dev=NIC),
                       s.rpc.start("attach", guest="5", dev=NIC1, wait=5),
                       s.rpc.start("detach", guest="5", dev=DISK)]
            for p in pending:
                s.rpc.finish(p)
            s.settle()
            self.assertEqual(self.nodes(s)["dev-0"], NIC1)
            s.detach(5, NIC1)

    def test_nodes_of_a_handshake(self):
        """What a strict frontend sees at each of its steps."""
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, DISK)
            s.follow(5, on=False)
            pending = s.rpc.start("attach", guest="5", dev=DISK)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            nodes = self.nodes(s)
            self.assertEqual((nodes["state-1"], nodes["dev-1"], nodes["num_devs"]),
                             ("1", DISK, "2"))
            self.assertNotIn("vdev-1", nodes)
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            nodes = self.nodes(s)
            self.assertEqual((nodes["state-1"], nodes["vdev-1"]), ("3", "0000:00:01.00"))
            s.sim("state", domid=5, state=4)
            s.rpc.finish(pending)
            self.assertEqual(s.be_state(5), 4)
            pending = s.rpc.start("detach", guest="5", dev=NIC)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            nodes = self.nodes(s)
            self.assertEqual((nodes["state-0"], nodes["vdev-0"], nodes["state-1"]),
                             ("5", "0000:00:00.00", "3"))
            self.assertEqual(s.config_read(5, 0), IDS, "it has not let go yet")
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.rpc.finish(pending)
            nodes = self.nodes(s)
            self.assertEqual((nodes["num_devs"], nodes["dev-0"], nodes["vdev-0"]),
                             ("1", DISK, "0000:00:01.00"))
            self.assertNotIn("dev-1", nodes)
            self.assertFalse(s.show(NIC)["tainted"])
            self.rest(s, DISK)

    # --- never ---

    def test_attach_that_is_never_answered_is_undone(self):
        for answers in ((), (7,)):  # nothing at all; nothing after Reconfigured
            with self.subTest(answers), Sim(devices=three(), clean=True,
                                            config={"limits": {"attach_timeout_ms": 300}}) as s:
                self.begin(s, DISK)
                s.follow(5, on=False)
                pending = s.rpc.start("attach", guest="5", dev=DISK)
                for state in answers:
                    s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
                    s.sim("state", domid=5, state=state)
                    s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
                self.refused(s, "timeout", pending)
                self.assertEqual(s.state(DISK), "claimed")
                s.settle()
                nodes = self.nodes(s)
                self.assertEqual(nodes["num_devs"], "1")
                self.assertNotIn("dev-1", nodes)
                self.assertEqual(s.op(5, READ, 8, offset=0, size=4)["err"], NOT_FOUND)
                self.assertEqual(s.config_read(5, 0), IDS, "the first one goes on")
                # the guest wakes up
                if answers:
                    s.wait_for("its way back", lambda: s.be_state(5) in (4, 8))
                s.sim("state", domid=5, state=4)
                s.wait_for("Connected", lambda: s.be_state(5) == 4)
                s.follow(5)
                s.attach(5, DISK, wait=5, force=True)
                self.rest(s, DISK, NIC)

    def test_detach_that_is_never_answered(self):
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, DISK)
            s.attach(5, DISK, wait=5)
            s.follow(5, on=False)
            for _ in range(3):
                self.refused(s, "timeout", s.rpc.start("detach", guest="5", dev=DISK))
                self.assertEqual((s.be_state(5), self.nodes(s)["state-1"]), (4, "3"))
                self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
            s.detach(5, DISK, force=True)
            self.assertTrue(s.show(DISK)["tainted"])
            self.assertEqual(s.config_read(5, 0), IDS)
            s.settle()
            self.assertEqual((s.be_state(5), self.nodes(s)["num_devs"]), (4, "1"))
            self.rest(s, NIC)

    def test_guest_that_has_let_go_but_does_not_connect_again(self):
        """7 is the guest's consent; without its 4 the device is back all the same, untainted."""
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, DISK)
            s.attach(5, DISK, wait=5)
            s.follow(5, on=False)
            pending = s.rpc.start("detach", guest="5", dev=DISK)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            s.sim("state", domid=5, state=7)
            s.rpc.finish(pending)
            self.assertEqual(s.state(DISK), "claimed")
            self.assertFalse(s.show(DISK)["tainted"])
            s.sim("state", domid=5, state=4)
            s.wait_for("Connected", lambda: s.be_state(5) == 4)
            self.rest(s, NIC)

    # --- late ---

    def test_late_answer_is_led_back_and_nothing_is_stuck(self):
        with Sim(devices=three(), clean=True,
                 config={"limits": {"attach_timeout_ms": 200, "detach_timeout_ms": 200}}) as s:
            self.begin(s, DISK)
            s.follow(5, on=False)
            self.refused(s, "timeout", s.rpc.start("attach", guest="5", dev=DISK))
            self.assertEqual(s.be_state(5), 4)
            s.sim("state", domid=5, state=7)
            s.wait_for("an answer to the late one", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.wait_for("Connected", lambda: s.be_state(5) == 4)
            s.follow(5)
            s.attach(5, DISK, wait=5, force=True)
            s.follow(5, on=False)
            self.refused(s, "timeout", s.rpc.start("detach", guest="5", dev=DISK))
            s.sim("state", domid=5, state=7)
            s.wait_for("an answer to the late one", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.wait_for("Connected", lambda: s.be_state(5) == 4)
            self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS, "it found the device again")
            self.rest(s, DISK, NIC)

    def test_an_answer_to_an_earlier_question_is_no_consent(self):
        """A 7 from before is not believed to be the guest's word about another device."""
        with Sim(devices=three(), clean=True,
                 config={"limits": {"attach_timeout_ms": 200, "detach_timeout_ms": 200}}) as s:
            self.begin(s, DISK)
            s.follow(5, on=False)
            self.refused(s, "timeout", s.rpc.start("attach", guest="5", dev=DISK))
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            self.refused(s, "timeout", s.rpc.start("detach", guest="5", dev=NIC))
            self.assertEqual(s.state(NIC), "assigned")
            self.assertEqual(s.config_read(5, 0), IDS)
            s.detach(5, NIC, force=True)
            self.assertTrue(s.show(NIC)["tainted"])

    # --- wrongly ---

    def test_states_out_of_order(self):
        """Whatever it answers: 4 without 7, 8, 3, 2, numbers that are none, closing."""
        cases = ((4,), (8, 4), (9, 99), (3,), (2,), (1,), (5, 6), (6,), (7, 8), (7, 3), (7, 1),
                 (7, 5), (8, 7), (4, 4, 7, 7, 4))
        for verb in ("attach", "detach"):
            for case in cases:
                with self.subTest(verb=verb, case=case), \
                        Sim(devices=three(), clean=True,
                            config={"limits": {"attach_timeout_ms": 250,
                                               "detach_timeout_ms": 250}}) as s:
                    self.begin(s, DISK)
                    if verb == "detach":
                        s.attach(5, DISK, wait=5)
                    s.follow(5, on=False)
                    pending = s.rpc.start(verb, guest="5", dev=DISK)
                    s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
                    for state in case:
                        s.sim("state", domid=5, state=state)
                        s.settle()
                    try:
                        s.rpc.finish(pending)
                    except RpcError as e:
                        self.assertEqual(e.data["code"], "timeout", e)
                    self.come_back(s)
                    self.assertIn(s.be_state(5), (4,))
                    for bdf in (NIC, DISK):
                        if s.state(bdf) == "assigned":
                            s.detach(5, bdf, force=True)
                    self.assertEqual((s.state(NIC), s.state(DISK)), ("claimed", "claimed"))

    def come_back(self, s):
        """The frontend is loaded anew."""
        s.settle()
        s.sim("unpublish", domid=5)
        s.sim("state", domid=5, state=6)
        s.wait_for("Closed", lambda: s.be_state(5) == 6)
        s.sim("state", domid=5, state=1)
        s.wait_for("open", lambda: s.be_state(5) in (2, 3))
        s.sim("publish", domid=5)
        s.wait_for("connection", lambda: s.be_state(5) == 4)
        self.assertEqual(s.config_read(5, 0), IDS)

    def test_directory_rewritten_by_its_guest(self):
        """A guest that writes junk over its own directory in the middle of a handshake."""
        with Sim(devices=three(), clean=True,
                 config={"limits": {"attach_timeout_ms": 30000}}) as s:
            self.begin(s, DISK)
            s.follow(5, on=False)
            pending = s.rpc.start("attach", guest="5", dev=DISK)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            for node, value in (("state", "x" * 2000), ("backend", "/local/domain/0/backend/pci/5/0"),
                                ("pci-op-ref", "999999"), ("event-channel", "junk"),
                                ("magic", "8"), ("state", "7 "), ("state", "-7"), ("state", "")):
                s.write_node(s.fe(5, node), value, domid=5)
                s.settle()
                self.assertEqual(s.be_state(5), 7)
            # what it says while it names another backend is not said to us
            s.sim("state", domid=5, state=7)
            s.settle()
            self.assertEqual(s.be_state(5), 7)
            s.write_node(s.fe(5, "backend"), s.be(5), domid=5)
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.rpc.finish(pending)
            self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
            s.detach(5, DISK, force=True)
            s.detach(5, NIC, force=True)

    def test_directory_removed_in_the_middle(self):
        for path in (Sim.fe(5), Sim.be(5)):
            for verb in ("attach", "detach"):
                with self.subTest(path=path, verb=verb), Sim(devices=three()) as s:
                    self.begin(s, DISK)
                    if verb == "detach":
                        s.attach(5, DISK, wait=5)
                    s.follow(5, on=False)
                    pending = s.rpc.start(verb, guest="5", dev=DISK)
                    s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
                    s.remove_node(path)
                    try:
                        s.rpc.finish(pending)
                    except RpcError as e:
                        self.assertIn(e.data["code"], ("timeout", "wrong-state", "xen-error"))
                    for bdf in (NIC, DISK):
                        if s.state(bdf) == "assigned":
                            s.rpc.start("detach", guest="5", dev=bdf, force=True)
                    s.wait_for("both", lambda: s.state(NIC) == s.state(DISK) == "claimed")
                    s.assert_clean()

    # --- who is not there, or goes ---

    def test_attach_to_a_guest_whose_frontend_is_unloaded(self):
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, DISK)
            s.follow(5, on=False)
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.be_state(5) == 6)
            s.attach(5, DISK)
            self.assertEqual(s.state(DISK), "assigned")
            self.come_back(s)
            self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
            s.sim("state", domid=5, state=4)
            self.rest(s, DISK, NIC)

    def test_frontend_that_connects_while_a_second_device_comes(self):
        """It connects between the nodes of the second device and its being ready."""
        with Sim(devices=three(), clean=True) as s:
            s.claim(NIC)
            s.claim(DISK)
            s.attach(5, NIC)
            s.settle()
            self.assertEqual(s.be_state(5), 3)
            s.sim("set", job_delay_ms=150)
            s.clear_log()
            pending = s.rpc.start("attach", guest="5", dev=DISK, wait=5)
            s.wait_for("its reset", lambda: s.log("job_reset.start"))
            s.follow(5)
            s.rpc.finish(pending)
            s.settle()
            self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
            self.rest(s, DISK, NIC)

    def test_guest_dies_in_the_middle(self):
        for verb in ("attach", "detach"):
            for how in ("domain-destroy", "domain-shutdown"):
                with self.subTest(verb=verb, how=how), Sim(devices=three()) as s:
                    self.begin(s, DISK)
                    if verb == "detach":
                        s.attach(5, DISK, wait=5)
                    s.follow(5, on=False)
                    pending = s.rpc.start(verb, guest="5", dev=DISK)
                    s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
                    s.sim(how, domid=5)
                    try:
                        s.rpc.finish(pending)
                    except RpcError as e:
                        self.assertEqual(e.data["code"], "wrong-state")
                    s.wait_for("both", lambda: s.state(NIC) == s.state(DISK) == "claimed")
                    s.assert_clean()

    def test_shared_grants_go_with_the_last_of_two_functions(self):
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, NIC1)
            s.attach(5, NIC1, wait=5)
            line = [p for p in s.leaks()["permissions"] if p["kind"] == "irq"]
            self.assertTrue(line)
            s.detach(5, NIC)
            self.assertEqual([p for p in s.leaks()["permissions"] if p["kind"] == "irq"], line)
            s.detach(5, NIC1)

    def test_fifty_rounds_leave_nothing(self):
        with Sim(devices=three(), clean=True) as s:
            self.begin(s, DISK)
            before = s.sim("store-dump", path="")["nodes"]
            for i in range(50):
                s.attach(5, DISK, wait=5)
                self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
                self.assertEqual(s.enable_msix(5, [0, 1], devfn=8)["err"], 0)
                self.assertEqual(s.config_read(5, 0), IDS)
                if i % 2:
                    s.detach(5, DISK)
                else:
                    s.follow(5, on=False)
                    s.detach(5, DISK, force=True)
                    s.follow(5)
            s.settle()
            self.assertEqual(s.sim("store-dump", path="")["nodes"], before)
            s.detach(5, NIC)


class Reconnect(unittest.TestCase):
    """Modules that are unloaded and loaded, kexec, a frontend that starts over without a word."""

    def fresh(self, s, resets, vectors=True):
        self.assertGreater(s.dev()["resets"], resets)
        self.assertEqual(s.dev()["vectors"], 0)
        self.assertFalse(s.dev()["command"] & MASTER)
        self.assertEqual(s.config_read(5, 0), IDS)
        self.assertEqual(s.config_read(5, 0x0D, 1), 0, "shadows are a fresh guest's")

    def use(self, s):
        s.enable_msix(5, [0, 1])
        s.config_write(5, 4, 2, 7)
        s.config_write(5, 0x0D, 1, 0x40)
        self.assertEqual(s.config_read(5, 0x0D, 1), 0x40)
        s.follow(5, on=False)
        return s.dev()["resets"]

    def reconnected(self, s):
        s.wait_for("connection", lambda: s.be_state(5) == 4 and not s.leaks()["pages"] == [])
        s.settle()
        s.sim("state", domid=5, state=4)

    def test_module_unloaded_and_loaded(self):
        with Sim(clean=True) as s:
            s.connect()
            for _ in range(3):
                s.follow(5)
                s.settle()
                resets = self.use(s)
                s.sim("state", domid=5, state=5)
                s.wait_for("Closing", lambda: s.be_state(5) == 5)
                s.sim("state", domid=5, state=6)
                s.wait_for("Closed", lambda: s.be_state(5) == 6)
                s.sim("unpublish", domid=5)
                s.sim("state", domid=5, state=1)
                s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
                s.sim("publish", domid=5)
                self.reconnected(s)
                self.fresh(s, resets)
            s.detach(5, force=True)

    def test_kexec_out_of_the_blue(self):
        """1, 2, or at once 3, with a new page and a new port, while we are Connected."""
        for states in ((1,), (2,), (1, 2), ()):
            with self.subTest(states), Sim(clean=True) as s:
                s.connect()
                resets = self.use(s)
                old = s.sim("front", domid=5)
                s.sim("publish", domid=5, fresh=True, state=None)
                for state in states:
                    s.sim("state", domid=5, state=state)
                    s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
                s.sim("publish", domid=5)
                s.wait_for("fresh devices", lambda: s.dev()["resets"] > resets)
                self.reconnected(s)
                new = s.sim("front", domid=5)
                self.assertNotEqual((old["ref"], old["port"]), (new["ref"], new["port"]))
                self.fresh(s, resets)
                leaks = s.leaks()
                self.assertEqual((len(leaks["ports"]), len(leaks["pages"])), (1, 1))
                s.detach(5, force=True)

    def test_initialised_again_with_the_same_numbers(self):
        """A second kernel may happen to get the same grant and the same port."""
        with Sim(clean=True) as s:
            s.connect()
            resets = self.use(s)
            s.sim("publish", domid=5)
            s.wait_for("fresh devices", lambda: s.dev()["resets"] > resets)
            self.reconnected(s)
            self.fresh(s, resets)
            s.detach(5, force=True)

    def test_second_reconnect_during_the_first(self):
        for first in ((1,), (1, 3), (3,)):
            with self.subTest(first), Sim(clean=True) as s:
                s.connect()
                resets = self.use(s)
                s.sim("set", job_delay_ms=200)
                s.sim("publish", domid=5, fresh=True, state=None)
                for state in first:
                    s.sim("state", domid=5, state=state)
                s.wait_for("its reset", lambda: s.state() == "resetting")
                s.sim("publish", domid=5, fresh=True, state=None)
                s.sim("state", domid=5, state=1)
                time.sleep(0.02)
                s.sim("publish", domid=5)
                self.reconnected(s)
                self.fresh(s, resets)
                leaks = s.leaks()
                self.assertEqual((len(leaks["ports"]), len(leaks["pages"])), (1, 1))
                s.detach(5, force=True)

    def test_reconnect_while_a_device_is_attached(self):
        """The guest starts over instead of answering: the new kernel finds both, fresh."""
        for seen in (False, True):  # has the old kernel seen the device already?
            with self.subTest(seen=seen), Sim(devices=three(), clean=True) as s:
                s.connect()
                s.claim(DISK)
                resets = self.use(s)
                pending = s.rpc.start("attach", guest="5", dev=DISK, wait=5)
                s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
                if seen:
                    s.sim("state", domid=5, state=7)
                    s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
                    self.assertEqual(s.enable_msix(5, [0], devfn=8)["err"], 0)
                s.sim("publish", domid=5, fresh=True, state=None)
                s.sim("state", domid=5, state=1)
                s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
                s.sim("publish", domid=5)
                s.rpc.finish(pending)
                self.reconnected(s)
                self.fresh(s, resets)
                self.assertEqual(s.dev(DISK)["vectors"], 0)
                self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
                s.detach(5, DISK, force=True)
                s.detach(5, NIC, force=True)

    def test_reconnect_instead_of_letting_go(self):
        for only in (True, False):
            with self.subTest(only=only), Sim(devices=three(), clean=True) as s:
                s.connect()
                if not only:
                    s.attach(5, DISK, claim=True, wait=5)
                self.use(s)
                pending = s.rpc.start("detach", guest="5", dev=NIC)
                s.wait_for("the question", lambda: s.be_state(5) in (5, 7))
                s.sim("publish", domid=5, fresh=True, state=None)
                s.sim("state", domid=5, state=1)
                s.rpc.finish(pending)
                self.assertEqual(s.state(NIC), "claimed")
                s.settle()
                if not only:
                    self.assertIn(s.be_state(5), (2, 3))
                    s.sim("publish", domid=5)
                    self.reconnected(s)
                    self.assertEqual(s.config_read(5, 0, devfn=8), DISK_IDS)
                    self.assertEqual(s.op(5, READ, 0, offset=0, size=4)["err"], NOT_FOUND)
                    s.detach(5, DISK, force=True)

    def test_guest_dies_while_its_devices_are_made_fresh(self):
        with Sim(devices=three(), clean=True) as s:
            s.connect()
            s.claim(DISK)
            self.use(s)
            pending = s.rpc.start("attach", guest="5", dev=DISK, wait=5)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            s.sim("set", job_delay_ms=150)
            s.clear_log()
            s.sim("state", domid=5, state=1)
            s.wait_for("two resets", lambda: len(s.log("job_reset.start")) == 2)
            s.sim("domain-destroy", domid=5)
            with self.assertRaises(RpcError):
                s.rpc.finish(pending)
            s.wait_for("both", lambda: s.state(NIC) == s.state(DISK) == "claimed")

    def test_reset_that_fails_while_a_device_is_attached(self):
        with Sim(devices=three()) as s:
            s.connect()
            s.claim(DISK)
            self.use(s)
            pending = s.rpc.start("attach", guest="5", dev=DISK, wait=5)
            s.wait_for("Reconfiguring", lambda: s.be_state(5) == 7)
            s.sim("state", domid=5, state=7)
            s.wait_for("Reconfigured", lambda: s.be_state(5) == 8)
            s.fault("job_reset", "ETIMEDOUT", count=2)
            s.sim("state", domid=5, state=1)
            with self.assertRaises(RpcError) as e:
                s.rpc.finish(pending)
            self.assertEqual(e.exception.data["code"], "host-error", e.exception)
            self.assertEqual(s.state(DISK), "failed")
            leaks = s.leaks()["permissions"]
            s.rpc.start("detach", guest="5", dev=NIC, force=True)
            s.wait_for("its end", lambda: s.show(NIC)["state"] in ("failed", "claimed"))
            s.settle()
            self.assertEqual(s.leaks()["permissions"], [], leaks)


if __name__ == "__main__":
    unittest.main()
