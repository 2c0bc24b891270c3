# SPDX-License-Identifier: MIT
"""Operations in flight when the daemon dies: H9, H10, H15 (the engine's part: unit.pci.again)."""
import re
import unittest

from simlib import *

PM, MSI, MSIX, EXP = 0xC8, 0xD0, 0xA0, 0xE0  # of e1000e
PMCSR, DEVCTL, FLR = PM + 4, EXP + 8, 0x8000
OPEN, PLUGGED = 0x4C, 0x54  # bytes of no capability: opened by a quirk; a plugin's besides
MASTER, INTX_DISABLE = 4, 0x400

QUIRK = {"fields": [{"at": hex(OPEN), "size": 4, "write": "0xffffffff", "why": "a window"},
                    {"at": hex(PLUGGED), "size": 4, "write": "0xffffffff", "why": "a mailbox"}],
         "plugin": {"name": "guard", "params": {"write": "invert"},
                    "registers": [{"at": hex(PLUGGED), "size": 4, "mask": "0x0000ffff"}]}}


def nic(**more):
    """An e1000e with FLR, 8 vectors of MSI, and registers that are lost in D3hot."""
    patch = [[EXP + 4, 4, 0x10008000], [MSI + 2, 2, 0x86]]
    return device("e1000e", patch=patch, **more)


def sim(**more):
    return Sim(devices=[nic()], domains=[domain(5, "netvm"), domain(6)], supervise=True,
               quirks=[QUIRK], **more)


def read(offset, size):
    return {"cmd": READ, "offset": offset, "size": size}


def write(offset, size, value):
    return {"cmd": WRITE, "offset": offset, "size": size, "value": value}


def msix(*entries):
    return {"cmd": ENABLE_MSIX, "value": len(entries), "entries": list(entries)}


MSI_ON, MSI_OFF, MSIX_OFF = {"cmd": ENABLE_MSI}, {"cmd": DISABLE_MSI}, {"cmd": DISABLE_MSIX}
ROW = {"cmd": ENABLE_MULTI_MSI, "value": 4}
SLEEP, WAKE = write(PMCSR, 2, 3), write(PMCSR, 2, 0)

# name: (operations before, the one that is cut off, operations after that undo all)
OPERATIONS = {
    "read": ([], read(4, 2), []),
    "read of a shadow": ([], read(0x10, 4), []),
    "write of hardware": ([], write(EXP + 8, 2, 0x2010), [write(EXP + 8, 2, 0x2810)]),
    "write of a shadow": ([], write(0x0D, 1, 0x40), [write(0x0D, 1, 0)]),
    "command": ([], write(4, 2, 0x547), [write(4, 2, 3)]),
    "size of a BAR": ([], write(0x10, 4, 0xFFFFFFFF), [write(0x10, 4, 0)]),
    "sleep": ([], SLEEP, [WAKE]),
    "wake": ([SLEEP], WAKE, []),
    "wake with MSI-X": ([msix(0, 1), SLEEP], WAKE, [MSIX_OFF]),
    "MSI on": ([], MSI_ON, [MSI_OFF]),
    "MSI off": ([MSI_ON], MSI_OFF, []),
    "MSI on again": ([MSI_ON], MSI_ON, [MSI_OFF]),
    "row of MSI on": ([], ROW, [MSI_OFF]),
    "row of MSI off": ([ROW], MSI_OFF, []),
    "MSI-X on": ([], msix(2, 0, 1), [MSIX_OFF]),
    "MSI-X off": ([msix(0, 3)], MSIX_OFF, []),
    "MSI-X on again": ([msix(0, 1)], msix(0, 1, 4), [MSIX_OFF]),
    "MSI-X off asleep": ([msix(0, 1), SLEEP], MSIX_OFF, []),
    "refused": ([MSI_ON], msix(0), [MSI_OFF]),
    "no such device": ([], {**read(0, 4), "devfn": 8}, []),
    "open register": ([], write(OPEN, 4, 0x12345678), [write(OPEN, 4, 0)]),
    "plugin's register": ([], write(PLUGGED, 4, 0x12345678), [write(PLUGGED, 4, 0)]),
    "reset": ([msix(0, 1)], write(DEVCTL, 2, FLR | 0x2810), [MSIX_OFF]),
}
ONCE = {"open register": OPEN, "plugin's register": PLUGGED}


def post(s, op, **more):
    return s.op(5, **{**op, **more})


def answer_of(s, op):
    answer = post(s, op)
    assert answer["done"], (op, answer, s.stderr()[-3000:])
    return answer["err"], answer["value"], answer["vectors"]


def settle(s):
    """Nothing is under way, in this life of the daemon or in the next."""
    s.wait_for("the device", lambda: s.tried(s.state) == "assigned")
    s.settle()


def hardware(s):
    """Registers, but those that a write of once may leave, and what is mapped."""
    s.settle()
    size = 0x100
    image = bytearray(b"".join(
        s.sim("device-read", device=NIC, offset=at, size=4)["value"].to_bytes(4, "little")
        for at in range(0, size, 4)))
    return bytes(image), sorted((p["pirq"], bool(p["device"])) for p in s.leaks()["pirqs"])


def without(image, at):
    return image if at is None else image[:at] + bytes(4) + image[at + 4:]


class Replay(unittest.TestCase):
    """Each operation, cut off before and after each call that the daemon makes for it."""

    def expected(self, s, before, op, after):
        """Answer, hardware and number of calls, when nothing is cut off."""
        for o in before:
            self.assertEqual(answer_of(s, o)[0], 0)
        settle(s)
        s.clear_log()
        answer = answer_of(s, op)
        settle(s)
        state = hardware(s)
        for o in after:
            self.assertEqual(answer_of(s, o)[0], 0, o)
        settle(s)
        return answer, state

    def cut(self, s, name, nth, when, expected):
        """True when there was such a call."""
        before, op, after = OPERATIONS[name]
        once = ONCE.get(name)
        for o in before:
            self.assertEqual(answer_of(s, o)[0], 0)
        settle(s)
        s.clear_log()
        s.die_at("*", nth, when=when)
        lives = s.lives_seen
        answer = answer_of(s, op)
        settle(s)
        s.sim("fault-clear")
        died = s.restarts > lives
        if died:
            s.wait_restarted()
        settle(s)
        text = "%s, %s call %d: %s" % (name, when, nth,
                                       [e["call"] for e in s.log("world.daemon_dies")])
        self.assertEqual(answer, expected[0], text)
        image, pirqs = hardware(s)
        self.assertEqual(pirqs, expected[1][1], text)
        self.assertEqual(without(image, once).hex(" ", 4),
                         without(expected[1][0], once).hex(" ", 4), text)
        if once:
            writes = [e for e in s.log("cycle_write") if e["offset"] == once]
            self.assertLessEqual(len(writes), 1, text)
        if "sleep" not in name:
            self.assertEqual(answer_of(s, op)[0], expected[0][0], text + ": a second time")
        settle(s)
        for o in after:
            self.assertEqual(answer_of(s, o)[0], 0, text)
        settle(s)
        return died

    def operation(self, name):
        with sim() as s:
            s.connect()
            deaths = 0
            expected = self.expected(s, *OPERATIONS[name])
            for nth in range(1, 200):
                died = [self.cut(s, name, nth, when, expected) for when in ("before", "after")]
                deaths += sum(died)
                if not any(died):
                    break
            self.assertGreater(deaths, 0)
            s.detach(5)
            s.assert_clean()
            return deaths


for each in OPERATIONS:
    def one(self, name=each):
        self.operation(name)
    setattr(Replay, "test_H9_H10_" + re.sub(r"\W+", "_", each), one)


ENABLES = (ENABLE_MSI, ENABLE_MULTI_MSI, ENABLE_MSIX)
GIVE_UP = {"do": "post", "domid": 5, "offset": 0, "hex": "00000000", "notify": False}


def other(op):
    """The guest gives up and posts another operation."""
    return {"do": "post", "domid": 5, "offset": 4, "flags": 1, "hex": op}


def guest(s, domid=5):
    return [g for g in s.call("guests")["guests"] if g["domid"] == domid][0]


def vectors(s):
    return sorted(p["pirq"] for p in s.leaks()["pirqs"] if p["device"])


class H9(unittest.TestCase):
    def test_H9_an_operation_that_ends_two_processes_is_fenced(self):
        devices = [nic(), device("nvme")]
        with Sim(devices=devices, domains=[domain(5, "netvm"), domain(6)], supervise=True) as s:
            s.connect()
            s.follow(6)
            s.claim(DISK)
            s.attach(6, DISK, wait=5)
            pirqs = s.enable_msix(5, [0, 1])["vectors"]
            s.die_at("cycle_read", count=2)
            answer = s.op(5, READ, offset=4, size=2)
            self.assertEqual((answer["done"], answer["err"]), (True, OP_FAILED))
            s.wait_restarted(2)
            self.assertEqual(s.restarts, s.lives_seen + 2)
            s.clear_log()
            for op in (read(0, 4), read(0x10, 4), write(4, 2, 7), MSIX_OFF, msix(0)):
                self.assertEqual(answer_of(s, op)[0], OP_FAILED)
            self.assertEqual(s.log("cycle_read", "cycle_write", "map_msi", "unmap_pirq"), [])
            self.assertEqual(vectors(s), sorted(pirqs), "they are its own until it lets go")
            self.assertEqual(s.config_read(6, 0) & 0xFFFF, 0x1B36, "others are served")
            self.assertEqual((guest(s)["fenced"], guest(s, 6)["fenced"]), (True, False))
            self.assertGreaterEqual(guest(s)["counters"]["fenced_ops"], 6)
            why = s.call("why", dev=NIC)["reasons"][0]
            self.assertEqual((why["code"], why["blocks"]), ("fenced", True))
            self.assertIn("ended two processes", s.stderr())
            s.restart_gracefully()
            self.assertTrue(guest(s)["fenced"], "the next process knows of it, too")
            self.assertEqual(answer_of(s, read(0, 4))[0], OP_FAILED)
            s.detach(5)
            s.attach(5, wait=5)
            self.assertEqual(s.config_read(5, 0), 0x10D38086, "it ends with its last device")

    def test_H9_one_death_is_no_fence_nor_are_many_at_different_operations(self):
        with sim() as s:
            s.connect()
            for n in range(6):
                s.die_at("cycle_read")
                self.assertEqual(answer_of(s, read(4, 2))[0], 0)
                s.wait_restarted()
            self.assertFalse(guest(s)["fenced"])
            self.assertEqual(guest(s)["counters"]["fenced_ops"], 0)

    def test_H9_who_dies_while_it_waits_does_not_die_of_it(self):
        """A device on its way from D3hot: the daemon is killed in each of three waits."""
        slow = {"device": {"d3_delay_ms": 300}}
        with Sim(devices=[nic()], quirks=[slow], supervise=True) as s:
            s.connect()
            answer_of(s, SLEEP)
            s.clear_log()
            s.sim("post", domid=5, offset=4, flags=1, hex=pack_op(WRITE, offset=PMCSR, size=2))
            for _ in range(4):
                s.wait_for("its wake", lambda: s.log("cycle_write"))
                s.clear_log()
                s.kill9()
                s.wait_for("the next", lambda: s.restarts > s.lives_seen)
            self.assertEqual(s.flags(5) & 1, 1)
            s.wait_for("its answer", lambda: s.flags(5) & 1 == 0)
            settle(s)
            self.assertFalse(guest(s)["fenced"])
            self.assertEqual(s.sim("device-read", device=NIC, offset=0x10)["value"], 0xFEA20000)

    def test_H9_gracefully_ended_in_the_middle(self):
        for name in ("wake", "reset"):
            before, op, _ = OPERATIONS[name]
            with self.subTest(name), sim() as s:
                s.connect()
                s.sim("set", job_delay_ms=30)
                for o in before:
                    answer_of(s, o)
                s.sim("post", domid=5, offset=4, flags=1,
                      hex=pack_op(op["cmd"], offset=op["offset"], size=2, value=op["value"]))
                for _ in range(3):
                    s.restart_gracefully()
                s.wait_for("its answer", lambda: s.flags(5) & 1 == 0)
                settle(s)
                self.assertFalse(guest(s)["fenced"])
                self.assertEqual(s.config_read(5, 0), 0x10D38086)
                self.assertEqual(s.dev()["command"] & 3, 3)

    def test_H9_nobody_waits_any_more(self):
        """The guest gives up while no daemon runs, or even asks for something else: interrupts that
        it does not know of are unmapped, and a device in between two states comes out of it."""
        again = pack_op(READ, offset=0)
        for name in ("MSI on", "row of MSI on", "MSI-X on", "MSI-X on again", "MSI off",
                     "MSI-X off", "MSI-X off asleep", "wake with MSI-X", "wake"):
            before, op, after = OPERATIONS[name]
            for then in (GIVE_UP, other(again)):
                with self.subTest(name, then=then["offset"]), sim() as s:
                    s.connect()
                    answer_of(s, MSI_ON) # so that it is known where pirqs begin
                    answer_of(s, MSI_OFF)
                    for nth in range(1, 60):
                        for o in before:
                            self.assertEqual(answer_of(s, o)[0], 0)
                        settle(s)
                        s.fault("*", nth=nth, action=then)
                        s.die_at("*", nth, when="after")
                        lives = s.lives_seen
                        answer = s.op(5, wait_ms=3000, **op)
                        s.wait_for("its end", lambda: s.flags(5) & 1 == 0)
                        settle(s)
                        self.assertEqual(s.config_read(5, 0), 0x10D38086)
                        s.sim("fault-clear")
                        if s.restarts == lives:
                            break
                        s.wait_restarted()
                        gone = not before or op in (MSI_OFF, MSIX_OFF)
                        text = "%s, call %d" % (name, nth)
                        told = answer["value"] or any(answer["vectors"])
                        if then is GIVE_UP and gone and not (told and op["cmd"] in ENABLES):
                            self.assertEqual(vectors(s), [], text)
                        for o in after or [MSI_OFF, MSIX_OFF]:
                            self.assertEqual(answer_of(s, o)[0], 0, text)
                        settle(s)
                        self.assertEqual(vectors(s), [], text)
                        self.assertEqual(s.sim("device-read", device=NIC, offset=0x10)["value"],
                                         0xFEA20000, text)
                        if nth % 2 == 0:  # who does that three times is fenced
                            s.detach(5)
                            s.attach(5, wait=5)
                    self.assertGreater(nth, 3)
                    s.detach(5)
                    s.assert_clean()

    def test_H9_deaths_at_random_while_guests_work(self):
        """No operation fails, and nobody is fenced: a death from outside is no guest's doing."""
        with sim() as s:
            s.connect()
            s.loop(5, [{**read(0, 4), "expect": 0x10D38086}, write(4, 2, 0x547),
                       {**read(4, 2), "expect": 0x547}, msix(0, 1, 2), read(0x10, 4), MSIX_OFF,
                       write(4, 2, 3), {**read(4, 2), "expect": 3}])
            for n in range(40):
                time.sleep(0.003 * (n % 7))
                s.kill9()
                s.wait_restarted()
            report = s.loop_end(5)
            self.assertEqual((report["failed"], report["timeouts"]), (0, 0), report)
            self.assertGreater(report["done"], 100)
            self.assertFalse(guest(s)["fenced"])
            settle(s)
            s.detach(5)
            s.assert_clean()


class H10(unittest.TestCase):
    def test_H10_the_first_pirq_of_all_is_an_orphan(self):
        """Nobody knows yet where they begin."""
        for name in ("MSI on", "row of MSI on", "MSI-X on"):
            _, op, after = OPERATIONS[name]
            for then in (None, GIVE_UP):
                with self.subTest(name, then=then), sim(violations=True) as s:
                    s.connect()
                    if then:
                        s.fault("map_*", action=then)
                    s.die_at("map_*", when="after")
                    answer = post(s, op)
                    self.assertEqual(answer["err"], 0)
                    s.wait_restarted()
                    settle(s)
                    self.assertEqual(len(vectors(s)), s.show()["vectors"])
                    self.assertEqual(len(vectors(s)) == 0, then is not None)
                    # For an instant there are two of the same: that is how the first is found.
                    self.assertEqual([v["text"] for v in s.leaks()["violations"]
                                      if "(H10)" not in v["text"]], [])
                    answer_of(s, op)
                    self.assertEqual(len(vectors(s)), s.show()["vectors"])
                    for o in after:
                        answer_of(s, o)
                    s.detach(5)
                    s.assert_clean()

    def test_H10_those_of_another_device_are_spared(self):
        with Sim(devices=[nic(), device("nvme")], supervise=True) as s:
            s.connect()
            s.claim(DISK)
            s.attach(5, DISK, wait=5)
            s.settle()
            theirs = s.enable_msix(5, [0, 1, 2], devfn=8)["vectors"]
            self.assertEqual(len(theirs), 3)
            for nth in range(1, 6):
                s.die_at("map_msi", nth, when="after")
                mine = s.enable_msix(5, [0, 1, 2, 3, 4])
                self.assertEqual(mine["err"], 0)
                s.wait_restarted()
                self.assertEqual(vectors(s), sorted(theirs + mine["vectors"]))
                s.disable_msix(5)
                self.assertEqual(vectors(s), sorted(theirs))

    def test_H10_the_line_is_spared(self):
        """It is a pirq too, but a GSI: a sweep that goes on below all messages must not reach it."""
        with sim() as s:
            s.connect()
            lines = [p["pirq"] for p in s.leaks()["pirqs"]]
            self.assertTrue(lines)
            for _ in range(2):
                s.die_at("map_msi", 2, when="after")
                self.assertEqual(s.enable_msix(5, [0, 1])["err"], 0)
                s.wait_restarted()
                s.disable_msix(5)
                self.assertEqual([p["pirq"] for p in s.leaks()["pirqs"]], lines)
            self.assertEqual([e for e in s.log("unmap_pirq") if e["pirq"] in lines], [])


class Reset(unittest.TestCase):
    def test_H5_H6_a_reset_by_the_guest_is_done_again(self):
        """At least once: until the end of the second one its guest reads all ones, and finds its
        interrupts restored."""
        with sim() as s:
            s.connect()
            pirqs = s.enable_msix(5, [0, 1])["vectors"]
            s.sim("device-set", device=NIC, reset_ms=600)
            s.clear_log()
            s.die_at("job_reset.start", when="after")
            self.assertEqual(s.config_write(5, DEVCTL, 2, FLR), 0)
            s.wait_restarted()
            self.assertEqual(s.config_read(5, 0), 0xFFFFFFFF)
            parked = s.config_write(5, 4, 2, 7)
            self.assertEqual(parked, 0)
            settle(s)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)
            self.assertEqual(len(s.log("job_reset.start")), 2)
            self.assertEqual(vectors(s), sorted(pirqs))
            self.assertTrue(s.log("msi_restore"))
            self.assertTrue(s.sim("device-read", device=NIC, offset=MSIX + 2, size=2)["value"] &
                            0x8000)
            self.assertEqual(s.config_read(5, 4, 2), 7)
            self.assertEqual(s.show()["guest_resets"], 1)
            s.detach(5)
            s.assert_clean()

    def test_H9_what_waits_for_a_reset_is_carried_out_once(self):
        """A write that was parked when the daemon died."""
        with sim() as s:
            s.connect()
            s.sim("device-set", device=NIC, reset_ms=120)
            self.assertEqual(s.config_write(5, DEVCTL, 2, FLR), 0)
            s.sim("post", domid=5, offset=4, flags=1,
                  hex=pack_op(WRITE, offset=OPEN, size=4, value=0x11223344))
            s.clear_log()
            s.kill9()
            s.wait_for("its answer", lambda: s.flags(5) & 1 == 0)
            settle(s)
            self.assertEqual([e["value"] for e in s.log("cycle_write") if e["offset"] == OPEN],
                             [0x11223344])


class H15(unittest.TestCase):
    def test_H15_the_first_event_after_an_adoption_is_not_spurious(self):
        for poll in (0, 50):
            with self.subTest(poll=poll), sim(config={"backend": {"busy_poll_us": poll}}) as s:
                s.connect()
                for n in range(4):
                    s.kill9()
                    s.wait_restarted()
                    settle(s)
                    self.assertEqual(guest(s)["counters"]["spurious_events"], 0)
                    self.assertEqual(s.config_read(5, 0), 0x10D38086)
                    settle(s)
                    self.assertEqual(guest(s)["counters"]["spurious_events"], 0)

    def test_H15_an_event_of_a_port_that_is_nobodys_after_the_restart(self):
        with sim() as s:
            s.connect()
            s.kill9()
            s.wait_restarted()
            s.sim("stray", port=400)
            settle(s)
            self.assertEqual(s.config_read(5, 0), 0x10D38086)


if __name__ == "__main__":
    unittest.main()
