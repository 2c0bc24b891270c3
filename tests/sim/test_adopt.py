# SPDX-License-Identifier: MIT
"""The next daemon: guests of the one before are served again, what it had begun is done or undone."""
import unittest

from simlib import *
from xllib import *

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

    def test_a_graceful_end_is_as_invisible(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            for _ in range(3):
                s.restart_gracefully()
                s.settle()
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual((s.state(), s.show()["vectors"]), ("assigned", 1))
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


def damage(s, pattern):
    """Flips a byte of each place of the journal that has PATTERN: both copies of a part."""
    path = os.path.join(s.config["state_dir"], JOURNAL)
    with open(path, "r+b") as f:
        data = f.read()
        at = data.find(pattern)
        assert at >= 0, "nothing like that in the journal"
        while at >= 0:
            f.seek(at)
            f.write(bytes([data[at] ^ 0x55]))
            at = data.find(pattern, at + 1)


def taken_back(case, s, state):
    s.wait_for("its return", lambda: s.state() == state)
    s.settle()
    case.assertEqual(codes(s)[0], "journal-lost")
    leaks = s.leaks()
    for kind in ("pirqs", "permissions", "ports", "pages"):
        case.assertEqual([x for x in leaks[kind] if x["domid"] == 5], [])
    case.assertEqual(s.dev()["owner"], DOMID_IO)
    case.assertTrue(s.show()["tainted"])
    case.assertFalse(s.dev()["command"] & 7)
    case.assertIsNone(s.read_node(s.be(5, "state")))
    case.assertIsNone(s.read_node(s.reservation()))


class Lost(unittest.TestCase):
    def test_each_part_of_a_devices_record(self):
        image = struct.pack("<HH", 0x8086, 0x10D3)
        for part, pattern, state in (("facts", None, "failed"), ("device", b"e1000e\0", "failed"),
                                     ("shadow", struct.pack("<II", 0xFFFE0000, 0xFFFE0000),
                                      "claimed")):
            with self.subTest(part=part), Sim(supervise=True) as s:
                s.connect()
                s.enable_msix(5, [0, 1])
                for bar in (0x10, 0x14):
                    s.config_write(5, bar, 4, 0xFFFFFFFF)
                s.settle()
                head = image + b"".join(struct.pack("<I", s.sim("device-read", device=NIC, offset=o,
                                                                size=4)["value"])
                                        for o in (8, 12)) if part == "facts" else None
                damage(s, pattern or head[4:])
                again(s)
                taken_back(self, s, state)
                if state == "failed":
                    s.sim("domain-destroy", domid=5)
                    s.settle()
                    s.release()
                    s.claim()
                    self.assertEqual(codes(s), ["ready"])
                else:
                    s.attach(5, wait=5)
                    self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_a_guests_record(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            damage(s, b"netvm\0")
            again(s)
            taken_back(self, s, "claimed")

    def test_one_guests_loss_is_not_the_others(self):
        with Sim(supervise=True, devices=[device("e1000e"), device("nvme")],
                 domains=[domain(5, "netvm"), domain(6, "diskvm")]) as s:
            s.connect()
            s.connect(6, DISK)
            vectors = s.enable_msix(6, [0])["vectors"]
            damage(s, b"netvm\0")
            again(s)
            taken_back(self, s, "claimed")
            self.assertEqual(s.show(DISK)["vectors"], len(vectors))
            self.assertEqual(s.config_read(6, 8), s.sim("device-read", device=DISK, offset=8,
                                                        size=4)["value"])

    def test_the_whole_journal(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            lose_journal(s)
            again(s)
            taken_back(self, s, "failed")

    def test_also_when_a_claim_came_first(self):
        """Devices that are listed are claimed at the start, while xenstore is still asked."""
        with Sim(supervise=True, config={"slots": [NIC]}) as s:
            s.wait_for("the claim", lambda: s.state() == "claimed")
            s.connect()
            lose_journal(s)
            s.sim("set", job_delay_ms=300)
            s.sim("store-hold", on=True)
            s.clear_log()
            s.kill9()
            s.wait_for("the next daemon", lambda: s.restarts == 1)
            s.wait_for("the claim", lambda: s.log("job_probe.start"))
            s.sim("store-hold", on=False)
            s.wait_restarted()
            taken_back(self, s, "failed")



class Phases(unittest.TestCase):
    """What was begun, one of each kind; every step of all is tried in test_restart.py."""

    def test_an_attach_is_undone_and_its_guest_may_have_seen_it(self):
        with Sim(supervise=True, clean=True) as s:
            s.follow(5)
            s.claim()
            s.die_at("allow_memory", when="after")
            self.assertIsNone(s.tried(s.attach, 5))
            s.wait_restarted()
            s.wait_for("its return", lambda: s.state() == "claimed")
            self.assertTrue(s.show()["tainted"])
            s.attach(5, wait=5)
            s.detach(5)

    def test_H10_what_was_unmapped_before_it_was_said_is_not_unmapped_again(self):
        """Xen gives its number to another device of the guest's before the detach goes on."""
        with Sim(supervise=True, devices=[device("e1000e"), device("nvme")]) as s:
            s.connect()
            s.connect(5, DISK)
            s.settle()
            before = s.enable_msix(5, [0, 1, 2])["vectors"]
            s.die_at("unmap_pirq", 2, when="after")  # the first is the line
            s.meanwhile({"do": "store-hold", "on": True})
            s.rpc.start("detach", guest="5", dev=NIC, force=True)
            s.wait_for("the next daemon", lambda: s.restarts == 1)
            after = s.enable_msix(5, [0, 1], devfn=8)["vectors"]
            self.assertIn(after[0], before, "the same number again")
            s.sim("store-hold", on=False)
            s.wait_restarted()
            s.wait_for("its return", lambda: s.state() == "claimed")
            s.settle()
            self.assertEqual((s.dev()["vectors"], s.dev(DISK)["vectors"]), (0, 2))

    def test_a_question_to_the_guest_is_taken_back(self):
        for devices, state in (([device("e1000e")], 5), ([device("e1000e"), device("nvme")], 7)):
            with self.subTest(state=state), Sim(supervise=True, devices=devices) as s:
                for d in devices:
                    s.connect(5, d["bdf"])
                s.follow(5, on=False)
                s.rpc.start("detach", guest="5", dev=NIC)
                s.wait_for("the question", lambda: s.be_state(5) == state)
                again(s)
                s.wait_for("its end", lambda: s.be_state(5) == 4)
                s.settle()
                self.assertEqual((s.state(), s.read_node(s.be(5, "state-0"))), ("assigned", "3"))
                self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_a_question_that_was_answered_is_not(self):
        with Sim(supervise=True, devices=[device("e1000e"), device("nvme")]) as s:
            s.connect()
            s.connect(5, DISK)
            s.follow(5, on=False)
            s.rpc.start("detach", guest="5", dev=NIC)
            s.wait_for("the question", lambda: s.be_state(5) == 7)
            s.meanwhile({"do": "store-write", "path": s.fe(5, "state"), "value": "7"})
            s.kill9()
            s.wait_restarted()
            s.wait_for("the word", lambda: s.be_state(5) == 8)
            s.sim("state", domid=5, state=4)
            s.wait_for("its return", lambda: s.state() == "claimed")
            s.settle()
            self.assertFalse(s.show()["tainted"])
            self.assertEqual((s.be_state(5), s.state(DISK)), (4, "assigned"))

    def test_the_verb_reset_is_repeated(self):
        with Sim(supervise=True, clean=True) as s:
            s.claim()
            s.die_at("job_reset.start", when="after")
            self.assertIsNone(s.tried(s.call, "reset", dev=NIC))
            s.wait_restarted()
            s.wait_for("its end", lambda: s.state() == "claimed" and codes(s) == ["ready"])
            log = s.log()
            dies = find(log, "world.daemon_dies", rc=None)
            self.assertGreater(find(log, "job_reset", dies), dies)

    def test_a_connected_frontend_is_told_of_what_is_new(self):
        with Sim(supervise=True, devices=[device("e1000e"), device("nvme")], clean=True) as s:
            s.connect()
            s.claim(DISK)
            s.script(5, {"backend": 7, "write": None, "count": 1})
            s.rpc.start("attach", guest="5", dev=DISK)
            s.wait_for("the question", lambda: s.be_state(5) == 7)
            s.script(5)
            s.meanwhile({"do": "store-write", "path": s.be(5, "state"), "value": "4"})
            s.kill9()
            s.wait_restarted()
            s.wait_for("the device", lambda: s.read_node(s.be(5, "vdev-1")))
            s.wait_for("the connection", lambda: s.be_state(5) == 4)
            s.settle()
            s.detach(5, DISK)
            s.detach(5)


class H11(unittest.TestCase):
    TOUCHING = ("unmap_pirq", "map_msi", "map_gsi", "allow_ports", "allow_memory", "allow_irq",
                "device_deassign", "page_map", "port_bind")

    def test_H11_a_number_that_is_used_again_is_left_alone(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.clear_log()
            s.meanwhile({"do": "domain-destroy", "domid": 5},
                        {"do": "domain-create", "domid": 5, "name": "another"},
                        {"do": "store-write", "path": s.fe(5, "state"), "value": "1"})
            again(s)
            s.wait_for("its return", lambda: s.state() == "claimed")
            s.settle()
            self.assertEqual([e for e in s.log(*self.TOUCHING) if e["domid"] == 5], [])
            self.assertEqual(s.read_node(s.fe(5, "state")), "1", "the other one's nodes stay")
            self.assertIsNone(s.read_node(s.be(5, "state")))
            self.assertIsNone(guest(s))
            self.assertFalse(s.show()["tainted"])
            s.remove_node(s.fe(5))
            s.follow(5)
            s.attach(5, wait=5)
            s.detach(5)

    def test_H11_a_domain_that_is_gone(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.meanwhile({"do": "domain-destroy", "domid": 5})
            again(s)
            s.wait_for("its return", lambda: s.state() == "claimed")

    def test_H11_another_boot_of_the_host(self):
        with Sim(keep=True) as s:
            s.connect()
            s.reboot()
            s.settle()
            self.assertEqual(s.call("guests")["guests"], [])
            self.assertIn("of another boot", s.stderr())


class H2(unittest.TestCase):
    def test_H2_one_that_ended_while_nobody_was_there(self):
        for reason in ("poweroff", "crash"):
            with self.subTest(reason=reason), Sim(supervise=True, clean=True) as s:
                s.connect()
                pirqs = {v["vector"] if isinstance(v, dict) else v
                         for v in s.enable_msix(5, [0, 1])["vectors"]}
                s.clear_log()
                s.meanwhile({"do": "domain-shutdown", "domid": 5, "reason": reason})
                again(s)
                s.wait_for("its return", lambda: s.state() == "claimed")
                s.settle()
                self.assertEqual({e["pirq"] for e in s.log("unmap_pirq")} & pirqs, pirqs)
                assert_before(s.log(), "unmap_pirq", "job_reset")

    def test_H20_a_suspended_one_goes_on(self):
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.meanwhile({"do": "domain-shutdown", "domid": 5, "reason": "suspend"})
            again(s)
            self.assertEqual(s.state(), "assigned")
            s.sim("domain-resume", domid=5, follow=True)
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5)


class H20(unittest.TestCase):
    """Each pair of states that a new process may find. Whatever it was, the guest's driver can be
    loaded again and works, or its device is back."""

    def found(self, backend, frontend, ring):
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.follow(5, on=False)
            commands = [{"do": "store-write", "path": s.be(5, "state"), "value": str(backend)},
                        {"do": "store-write", "path": s.fe(5, "state"), "value": str(frontend)}]
            if frontend == 0:
                commands[1] = {"do": "store-remove", "path": s.fe(5)}
            if not ring:
                commands.insert(0, {"do": "unpublish", "domid": 5})
            s.meanwhile(*commands)
            again(s)
            if frontend == 0:
                s.wait_for("its return", lambda: s.state() == "claimed")
                s.settle()
                s.assert_clean()
                return
            s.sim("state", domid=5, state=6)
            s.settle()
            s.load(5)
            s.wait_for("the connection", lambda: (s.be_state(5), s.fe_state(5)) == (4, 4))
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.show()["vectors"], 0, "as a fresh guest finds it")
            s.detach(5)
            s.settle()
            s.assert_clean()

    def test_H20_each_pair_of_states_with_its_ring(self):
        for backend in range(2, 9):
            for frontend in range(9):
                with self.subTest(backend=backend, frontend=frontend):
                    self.found(backend, frontend, True)

    def test_H20_each_pair_of_states_without(self):
        for backend in range(2, 9):
            for frontend in range(9):
                with self.subTest(backend=backend, frontend=frontend):
                    self.found(backend, frontend, False)

    def test_H20_connected_with_another_ring(self):
        """4/3: it began anew, with a page of its own, while nobody was there."""
        with Sim(supervise=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.follow(5, on=False)
            s.meanwhile({"do": "unpublish", "domid": 5}, {"do": "publish", "domid": 5})
            again(s)
            s.wait_for("a fresh device", lambda: s.show()["vectors"] == 0)
            s.follow(5)
            s.wait_for("the connection", lambda: (s.be_state(5), s.fe_state(5)) == (4, 4))
            s.settle()
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_H20_our_nodes_are_gone(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.meanwhile({"do": "store-remove", "path": s.be(5)})
            again(s)
            self.assertEqual(s.state(), "assigned", "only dom0 removes them: it keeps what it has")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            s.detach(5, force=True)
            self.assertEqual(s.state(), "claimed")

    def test_H20_its_frontend_is_anothers(self):
        with Sim(supervise=True) as s:
            s.connect()
            s.meanwhile({"do": "store-write", "path": s.fe(5, "backend"), "value": "/elsewhere"},
                        {"do": "store-write", "path": s.fe(5, "state"), "value": "1"})
            again(s)
            self.assertEqual(s.state(), "assigned")
            self.assertEqual(s.config_read(5, 0), 0x10D38086)


class Rules(unittest.TestCase):
    FIELD = {"at": "0x60", "size": 4, "virtual": "0xffffffff", "why": "a test"}

    def test_what_stays_virtual_keeps_the_guests_value(self):
        first = [{"fields": [{**self.FIELD, "value": "0x11111111"}]}]
        second = [{"fields": [{**self.FIELD, "value": "0x22222222"},
                              {**self.FIELD, "at": "0x6c", "value": "0x33333333"}]}]
        with Sim(supervise=True, quirks=first) as s:
            s.connect()
            self.assertEqual(s.config_read(5, 0x60), 0x11111111)
            s.config_write(5, 0x60, 4, 0xABCDEF01)
            s.config_write(5, 0x10, 4, 0xFFFFFFFF)
            length = s.config_read(5, 0x10)
            s.write_quirks(second)
            again(s)
            self.assertEqual(s.config_read(5, 0x60), 0xABCDEF01)
            self.assertEqual(s.config_read(5, 0x6C), 0x33333333)
            self.assertEqual(s.config_read(5, 0x10), length, "a BAR that is being sized stays so")
            s.enable_msix(5, [0])  # the device is on record anew, and a register: not all of them
            s.config_write(5, 0x60, 4, 0x600DF00D)
            again(s)
            self.assertEqual(s.config_read(5, 0x60), 0x600DF00D)
            self.assertEqual(s.config_read(5, 0x6C), 0x33333333)
            self.assertEqual(s.config_read(5, 0x10), length)

    def test_taint_and_failure_survive(self):
        with Sim(supervise=True, domains=[domain(5, "netvm"), domain(6)]) as s:
            s.connect()
            s.follow(5, on=False)
            s.detach(5, force=True)
            again(s)
            self.assertTrue(s.show()["tainted"])
            with self.assertRaises(RpcError):
                s.attach(6)
            s.sim("device-set", device=NIC, dies_in_reset=True)
            s.sim("domain-destroy", domid=5)
            s.settle()
            with self.assertRaises(RpcError):
                s.call("reset", dev=NIC)
            cause = s.show()["cause"]
            again(s)
            self.assertEqual((s.state(), s.show()["cause"]), ("failed", cause))

    def test_the_baseline_is_that_of_claim(self):
        """XSA-337: what a guest changed is not taken for what the device is."""
        with Sim(supervise=True, clean=True) as s:
            s.connect()
            s.sim("device-write", device=NIC, offset=0x0C, size=1, value=0x40, raw=True)
            again(s)
            s.detach(5)
            self.assertEqual(s.sim("device-read", device=NIC, offset=0x0C, size=1)["value"], 0)


class XlGuests(unittest.TestCase):
    """Guests whose nodes the toolstack makes."""

    def test_it_goes_on_and_the_toolstack_works(self):
        with Xl(supervise=True, devices=[device("e1000e"), device("nvme")]) as s:
            s.running(NIC)
            s.assignable(DISK)
            s.enable_msix(5, [0, 1])
            seen = s.addresses()
            s.clear_log()
            again(s)
            self.assertEqual(s.addresses(), seen)
            self.assertEqual((s.state(), s.show()["vectors"], s.show()["adopted"]),
                             ("assigned", 2, True))
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.log("job_reset", "cycle_write", "store_write", "job_claim.start"), [])
            s.add(5, DISK)
            s.wait_for("the second one", lambda: DISK in s.addresses())
            s.connected()
            self.assertEqual(s.remove(5, NIC)["rc"], 0)
            s.wait_for("its return", lambda: s.state(NIC) == "present")
            s.settle()
            s.back(NIC)

    def test_XSA_120_decode_stays_on_when_it_is_made_fresh_after_a_restart(self):
        """It came with decode off: the baseline of the next process has it on all the same."""
        with Xl(supervise=True) as s:
            s.running(NIC)
            s.remove(5, NIC)
            s.wait_for("its return", lambda: s.state(NIC) == "present")
            s.settle()
            self.assertEqual(s.dev()["command"] & 3, 0)
            s.add(5, NIC)
            s.connected()
            again(s)
            s.follow(5, on=False)
            s.sim("state", domid=5, state=6)
            s.wait_for("Closed", lambda: s.xstate() == 6)
            s.sim("unpublish", domid=5)
            s.sim("state", domid=5, state=1)
            s.wait_for("open again", lambda: s.xstate() in (2, 3))
            s.follow(5)
            s.sim("publish", domid=5)
            s.connected()
            self.assertGreater(s.show(NIC)["resets"], 0)
            self.assertEqual(s.dev()["command"] & 3, 3)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)

    def test_also_when_xl_mode_is_off_by_now(self):
        with Xl(supervise=True) as s:
            s.running(NIC)
            s.config["backend"] = {"kinds": ["pcibackd"]}
            s.write_config()
            again(s)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(s.remove(5, NIC)["rc"], 0)
            s.wait_for("its return", lambda: s.state(NIC) == "present")

    def test_what_the_toolstack_did_meanwhile(self):
        """The daemon that it told of it dies before it has read a word."""
        for what, bdf, after in (("attach", DISK, {NIC, DISK}), ("detach", NIC, set())):
            with self.subTest(what=what), \
                    Xl(supervise=True, devices=[device("e1000e"), device("nvme")]) as s:
                s.running(NIC)
                s.assignable(DISK)
                other = Lines(s.sim_path)
                s.sim("store-hold", on=True)
                other.send({"do": "xl-" + what, "domid": 5, "device": bdf})
                s.kill9()
                s.wait_for("the next daemon", lambda: s.restarts == 1)
                s.sim("store-hold", on=False)
                s.wait_restarted()
                self.assertEqual(other.receive()["rc"], 0)
                s.wait_for("the outcome", lambda: set(s.addresses()) == after)
                s.settle()
                other.close()
                if what == "detach":
                    s.wait_for("its return", lambda: s.state(NIC) == "present")
                    s.settle()
                    s.back(NIC)

    def test_its_end_while_nobody_was_there(self):
        with Xl(supervise=True) as s:
            s.running(NIC)
            s.enable_msix(5, [0, 1])
            s.meanwhile({"do": "domain-destroy", "domid": 5, "toolstack": True})
            again(s)
            s.gone()
            s.back(NIC)


class Gap(unittest.TestCase):
    def test_a_hundred_guests(self):
        count = 100
        devices = [moved(device("e1000e", irq=24 + n % 8), "%04x:00:05.0" % n, -n * 0x100000)
                   for n in range(count)]
        for n, d in enumerate(devices):
            d["resources"] = [r if r[2] & 0x200 else [0, 0, 0] for r in d["resources"]]
        domains = [domain(n + 1) for n in range(count)]
        with Sim(supervise=True, devices=devices, domains=domains) as s:
            for n in range(count):
                s.connect(n + 1, devices[n]["bdf"])
            again(s)
            s.wait_for("the line", lambda: "%d guests served again in" % count in s.stderr())
            line = s.stderr()[s.stderr().index("%d guests served again" % count):].split("\n")[0]
            print(line)
            self.assertLess(int(line.split(" in ")[1].split(" ms")[0]), 1000)
            for n in range(0, count, 7):
                self.assertEqual(s.config_read(n + 1, 0), 0x10D38086)


if __name__ == "__main__":
    unittest.main()
