# SPDX-License-Identifier: MIT
"""Taking a device from a guest that does not help, and what is left when a step of that fails.

The order is H7's for a guest that lives, H2's for one that is dead; both are asserted with the calls
that hypervisor and hardware recorded. Then every call of every way to give and take a device fails in
turn, and one function says what must be true at rest, whatever failed.
"""
import os
import time
import unittest

from simlib import *
from test_death import faultable

MASTER, DECODE, INTX_OFF = 4, 3, 0x400
SEEN = 0x06  # a register that only the guest of these tests reads


def unmap_msi(entry):
    return entry["call"] == "unmap_pirq" and entry["pirq"] >= 48


def revocation(entry):
    return entry["call"] in ("allow_memory", "allow_ports", "allow_irq") and not entry["allow"]


def command_at(log, end):
    """What COMMAND was written to, last, before END."""
    values = [e["value"] for e in log[:end]
              if e["call"] == "cycle_write" and e["offset"] == 4 and e["rc"] == 0]
    return values[-1] if values else None


def last(log, wanted):
    return max(i for i, e in enumerate(log) if e["rc"] == 0 and matches(e, wanted))


def take_by_detach(s):
    s.detach(5, force=True)


def take_by_release(s):
    s.release(force=True)


class Order(unittest.TestCase):
    """H7, step by step."""

    def revoked(self, take, dump="e1000e", enable=True):
        """The log of a forced revocation from a guest that uses the device and answers nothing."""
        with Sim(devices=[device(dump, NIC)]) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            if enable:
                s.enable_msix(5, [0, 1, 2])
            s.follow(5, on=False)
            s.clear_log()
            take(s)
            s.settle()
            return s.log()

    def test_H7_order_of_revocation(self):
        for take in (take_by_detach, take_by_release):
            with self.subTest(take=take.__name__):
                log = self.revoked(take)
                assert_before(log, revocation, command_write(clear=MASTER))
                quiet = find(log, command_write(clear=MASTER, set_=INTX_OFF))
                self.assertLess(quiet, find(log, unmap_msi), "DMA stops before the interrupts go")
                for i, e in enumerate(log):
                    if unmap_msi(e):
                        self.assertEqual(command_at(log, i) & DECODE, DECODE,
                                         "MSI-X is unmapped with decode on")
                off = find(log, command_write(clear=DECODE | MASTER), last(log, unmap_msi))
                self.assertGreater(off, last(log, unmap_msi))
                assert_order(log[off:], "job_reset.start", "job_reset",
                             {"call": "device_deassign", "domid": 5},
                             {"call": "device_assign", "domid": DOMID_IO})

    def test_H17_the_line_stays_off_after_the_unmap(self):
        log = self.revoked(take_by_detach)
        self.assertTrue(command_at(log, find(log, "job_reset.start")) & INTX_OFF,
                        "Xen's unmap turns INTx on again")
        self.assertGreater(find(log, command_write(set_=INTX_OFF), last(log, unmap_msi)), 0)

    def test_H7_what_a_reset_turns_on_is_off_before_the_device_is_deassigned(self):
        """The kernel's reset restores the COMMAND that it saved."""
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0])
            s.follow(5, on=False)
            s.sim("device-set", device=NIC, after_reset=[[4, 2, 7]])
            s.clear_log()
            s.detach(5, force=True)
            log = s.log()
            assert_order(log, "job_reset", command_write(clear=MASTER | DECODE),
                         {"call": "device_deassign", "domid": 5})
            self.assertEqual(s.dev()["command"] & (MASTER | DECODE), 0)

    @staticmethod
    def reads(s):
        return [e for e in s.log("cycle_read") if e["offset"] == SEEN]

    def test_H7_nothing_is_answered_once_the_permissions_go(self):
        """A request that arrives with the first revocation gets no register of the device."""
        for other in (False, True):
            with self.subTest(other=other), \
                    Sim(devices=[device("e1000e"), device("nvme")], clean=True) as s:
                s.connect()
                if other:
                    s.claim(DISK)
                    s.attach(5, DISK, wait=5)
                    s.settle()
                s.follow(5, on=False)
                s.clear_log()
                s.config_read(5, SEEN, 2)
                self.assertEqual(len(self.reads(s)), 1, "it is read from the device otherwise")
                s.clear_log()
                s.fault("allow_memory", action={
                    "do": "post", "domid": 5, "offset": 4, "flags": 1,
                    "hex": pack_op(READ, offset=SEEN, size=2, value=0x11223344)})
                s.detach(5, force=True)
                s.settle()
                self.assertEqual(self.reads(s), [])
                if other:  # its page is still there: it is told that there is no such device
                    s.wait_for("the answer", lambda: not s.flags(5) & 1)
                    answer = s.sim("peek", domid=5, offset=4, length=36)["hex"]
                    self.assertEqual(answer[8:16], "ffffffff", "not found")
                    s.detach(5, DISK, force=True)

    def test_H7_device_that_sleeps_is_woken_before_its_vectors_go(self):
        with Sim(clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.follow(5, on=False)
            s.sim("device-write", device=NIC, offset=0xCC, size=2, value=3, raw=False)
            s.clear_log()
            s.detach(5, force=True)
            log = s.log()
            awake = find(log, lambda e: e["call"] == "cycle_write" and e["offset"] == 0xCC and
                         e["value"] & 3 == 0)
            self.assertTrue(0 <= awake < find(log, unmap_msi))

    def test_H7_without_xenstored(self):
        """Its nodes wait; the device does not. When xenstored is back, a guest can have it again."""
        for take in (take_by_detach, take_by_release):
            with self.subTest(take=take.__name__), Sim() as s:
                s.connect()
                s.enable_msix(5, [0])
                s.follow(5, on=False)
                s.sim("store-kill")
                s.clear_log()
                try:
                    take(s)
                except RpcError as e:
                    self.assertIn(e.data["code"], ("xen-error", "timeout"), e)
                s.settle()
                at_rest(s, ("store_remove", True))
                self.assertIsNone(s.show()["owner"], "the guest has it no more")
                s.sim("store-return")
                s.settle()
                s.sim("domain-destroy", domid=5)
                s.settle()
                s.remove_node(s.reservation())
                s.sim("domain-create", domid=6)
                s.claim()
                s.attach(6)

    def test_H2_order_at_the_death_of_a_guest(self):
        with Sim(clean=True) as s:
            s.connect()
            s.config_write(5, 4, 2, 7)
            s.enable_msix(5, [0, 1])
            s.clear_log()
            s.sim("domain-destroy", domid=5)
            s.wait_for("the device", lambda: s.state() == "claimed")
            s.settle()
            log = s.log()
            first_write = find(log, lambda e: e["call"] == "cycle_write")
            self.assertEqual(first_write, find(log, command_write(clear=MASTER)))
            assert_before(log, command_write(clear=MASTER, set_=0), "job_reset.start")
            assert_before(log, unmap_msi, "job_reset.start")
            assert_before(log, "job_reset", "page_unmap")
            assert_before(log, "job_reset", "port_unbind")
            assert_order(log, "page_unmap", "world.domain_gone")

    def test_H2_not_assignable_before_the_page_is_gone(self):
        """Another guest that asks at any moment gets it only after the number is free (H2)."""
        with Sim(domains=[domain(5), domain(6)], scenario={"job_delay_ms": 20}, clean=True) as s:
            s.connect()
            s.enable_msix(5, [0, 1])
            s.follow(6)
            s.clear_log()
            s.sim("domain-destroy", domid=5)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                try:
                    s.attach(6, wait=5)
                    break
                except RpcError as e:
                    self.assertEqual(e.data["code"], "wrong-state", e)
            log = s.log()
            assert_before(log, unmap_msi, {"call": "device_assign", "domid": 6})
            s.detach(6)


class Taint(unittest.TestCase):
    TWO = [domain(5, "netvm"), domain(6, "diskvm")]

    def taken(self, s, take=take_by_detach):
        s.connect()
        s.follow(5, on=False)
        take(s)

    def refused(self, s, **more):
        with self.assertRaises(RpcError) as e:
            s.attach(6, **more)
        self.assertEqual(e.exception.data["code"], "refused")
        self.assertIn("domain 5", e.exception.data["reason"])
        self.assertTrue(e.exception.data["next"])

    def test_H7_another_guest_waits_for_the_end_of_the_first(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            self.assertTrue(s.show()["tainted"])
            self.refused(s)
            s.sim("domain-destroy", domid=5)
            s.settle()
            self.assertFalse(s.show()["tainted"])
            s.follow(6)
            s.attach(6, wait=5)
            s.detach(6)

    def test_H7_an_end_that_is_only_a_shutdown_counts(self):
        """Its vcpus run no more; but a suspended guest may come back."""
        for reason, waits in (("suspend", True), ("poweroff", False), ("crash", False)):
            with self.subTest(reason=reason), Sim(domains=self.TWO, clean=True) as s:
                self.taken(s)
                s.sim("domain-shutdown", domid=5, reason=reason)
                s.settle()
                self.assertEqual(s.show()["tainted"], waits)
                if waits:
                    self.refused(s)
                    continue
                s.attach(6)
                s.detach(6)

    def test_H7_zombie_cannot_touch_it_and_does_not_taint(self):
        with Sim(devices=[device("e1000e"), device("nvme")], domains=self.TWO, clean=True) as s:
            self.taken(s)
            s.sim("domain-destroy", domid=5, toolstack=False)
            s.settle()
            s.attach(6)
            s.detach(6)

    def test_H7_the_same_guest_may_have_it_again(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            s.sim("unpublish", domid=5)
            s.follow(5)
            s.attach(5, wait=5)
            s.settle()
            s.detach(5)

    def test_H7_number_that_is_used_again_is_another_guest(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            s.sim("domain-destroy", domid=5)
            s.settle()
            s.sim("domain-create", domid=5, name="netvm")
            s.follow(6)
            s.attach(6, wait=5)
            s.detach(6)

    def test_H7_force_gives_it_on(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            s.follow(6)
            s.attach(6, wait=5, force=True)
            self.assertEqual(s.dev()["owner"], 6)
            s.detach(6)

    def test_H7_policy_gives_it_on(self):
        with Sim(domains=self.TWO, clean=True,
                 config={"devices": [{"bdf": NIC, "reassign_while_alive": True}]}) as s:
            self.taken(s)
            self.assertTrue(s.show()["tainted"], "it is said all the same")
            s.follow(6)
            s.attach(6, wait=5)
            s.detach(6)

    def test_H7_release_is_refused_as_well(self):
        """A driver of the host would turn decode on, under the eyes of the first guest."""
        with Sim(domains=self.TWO) as s:
            self.taken(s)
            with self.assertRaises(RpcError) as e:
                s.release()
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.dev()["command"] & DECODE, 0)
            s.release(force=True)
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_H7_a_forced_release_says_what_the_guest_may_still_do(self):
        """The operator overrides the guest; that its mapping outlives that, he has to know."""
        text = "domain 5, which still lives, may have it mapped"
        with Sim(domains=self.TWO) as s:
            s.connect()
            s.follow(5, on=False)
            s.clear_log()
            shown = s.release(force=True)["device"]
            self.assertTrue(shown["tainted"])
            self.assertIn(text, shown["cause"])
            self.assertIn(text, s.stderr())
            log = s.log()
            # Nothing of it is the guest's any more before the host's driver gets it.
            assert_before(log, revocation, {"call": "job_release"})
            assert_before(log, {"call": "device_deassign", "domid": 5}, {"call": "job_release"})
            assert_order(log, "job_reset", {"call": "device_deassign", "domid": DOMID_IO},
                         {"call": "job_release"})
        with Sim(domains=self.TWO) as s:
            s.connect()
            s.detach(5)
            self.assertFalse("mapped" in (s.release()["device"] or {"cause": ""})["cause"])
            self.assertFalse("mapped" in s.stderr())

    def test_H7_taint_outlives_a_release(self):
        """The guest's mapping does, too."""
        for take in (take_by_release, lambda s: (take_by_detach(s), take_by_release(s))):
            with Sim(domains=self.TWO, clean=True) as s:
                self.taken(s, take)
                s.claim()
                self.assertTrue(s.show()["tainted"])
                self.refused(s)
                s.sim("domain-destroy", domid=5)
                s.settle()
                s.attach(6)
                s.detach(6)

    def test_H7_why_says_it(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            reasons = s.call("why", dev=NIC)["reasons"]
            taint = [r for r in reasons if r["code"] == "tainted"]
            self.assertEqual(len(taint), 1, reasons)
            self.assertTrue(taint[0]["blocks"])
            self.assertIn("5", taint[0]["text"])

    def test_H7_decode_stays_off_while_it_is_tainted(self):
        with Sim(domains=self.TWO, clean=True) as s:
            self.taken(s)
            self.refused(s)
            with self.assertRaises(RpcError) as e:
                s.call("reset", dev=NIC)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.dev()["command"] & (DECODE | MASTER), 0)

    def test_a_guest_that_took_part_does_not_taint(self):
        with Sim(domains=self.TWO, clean=True) as s:
            s.connect()
            s.detach(5)
            self.assertFalse(s.show()["tainted"])
            s.follow(6)
            s.attach(6, wait=5)
            s.detach(6)

    def test_H7_failed_attach_taints_if_the_guest_had_permissions(self):
        with Sim(domains=self.TWO, clean=True) as s:
            s.claim()
            s.fault("allow_irq", "EPERM")
            with self.assertRaises(RpcError):
                s.attach(5)
            self.assertTrue(s.show()["tainted"])
            self.refused(s)


# --- every call fails in turn ---

# What only the hypervisor can take back. When it refuses, the device has to be `failed`.
ONLY_XEN = ("unmap_pirq", "device_deassign", "allow_memory", "allow_ports", "allow_irq")
# What only xenstored can take back: the guest's or the operator's business then.
ONLY_STORE = ("store_remove", "store_prune", "store_write", "store_perms", "store_mkdir",
              "store_expect")
HASTY = {"limits": {"detach_timeout_ms": 100}}
# What is waited for, and may not come in time: jobs, and a request's first step.
WAITED = ("job_probe", "job_claim", "job_release", "job_reset", "job_open", "store_read",
          "store_expect", "store_remove")
UNFAILING = ("port_unbind", "page_unmap", "port_unmask", "port_notify")
CODES = ("not-found", "wrong-state", "refused", "timeout", "host-error", "xen-error", "limit",
         "internal")


def ranges_of(scenario_device):
    """[(kind, first, last)] of what a guest needs for it."""
    out = []
    for start, end, flags in scenario_device["resources"]:
        if end:
            io = flags & 0x100
            out.append(("ports" if io else "memory", start >> (0 if io else 12),
                        end >> (0 if io else 12)))
    return out


def holds(leaks, scenario_device, domid=None):
    """Permissions of a domain (None: any) that reach this device."""
    return [p for p in leaks["permissions"]
            if (domid is None or p["domid"] == domid) and
            (any(p["kind"] == kind and p["first"] <= end and first < p["first"] + p["count"]
                 for kind, first, end in ranges_of(scenario_device)) or
             (p["kind"] == "irq" and p["first"] == scenario_device["irq"]))]


def at_rest(s, failed=("", True), dev=None, held=True):
    """What is true of a device (of the scenario) whenever no verb has it. FAILED: the call that was made
    to fail and whether it was to grant: what only that call takes back may be left, but then the
    device is `failed`, with a cause, or nobody believes it to be anybody's. HELD: the last guest got
    permissions and did not let go: while it lives the device is tainted."""
    dev = dev or s.scenario["devices"][0]
    bdf = dev["bdf"]
    leaks, view = s.leaks(), s.show(bdf)
    hardware = leaks["devices"][bdf]
    alive = {d["domid"] for d in leaks["domains"] if not d["dying"] and not d["shutdown"]}
    text = json.dumps({"view": view, "hardware": hardware, "failed": failed}, indent=1)
    call, allow = failed

    assert view["state"] != "resetting", text
    assert not hardware["resetting"] or call == "job_reset", text
    if view["state"] == "failed":
        assert view["cause"], "failed without a cause: " + text
    if view["owner"]:  # `failed` as well: its guest reads all ones until it is detached
        domid = view["owner"]["domid"]
        assert hardware["owner"] == domid, text
        assert s.read_node(s.reservation(bdf)) == str(domid), text
        return
    permissions = holds(leaks, dev)
    pirqs = [p for p in leaks["pirqs"] if p["device"] == bdf]
    owner = hardware["owner"] if hardware["owner"] not in (0, DOMID_IO) else None
    if permissions or pirqs or owner:
        kept = json.dumps({"permissions": permissions, "pirqs": pirqs, "owner": owner})
        assert call in ONLY_XEN and (not allow or call in ("unmap_pirq", "device_deassign")), \
            "left behind: %s\n%s" % (kept, text)
        assert view["state"] == "failed" and view["cause"], "kept, but not failed: " + kept + text
    if call not in ONLY_STORE:
        nodes = s.sim("store-dump", path="")["nodes"]
        left = [p for p, n in nodes.items()
                if "/dev-" in p and n["value"] == bdf and "/backend/" in p]
        assert not left, "nodes left: %s\n%s" % (left, text)
        assert not s.read_node(s.reservation(bdf)), "reservation left\n" + text
    if held and 5 in alive and view["state"] != "present":
        assert view["tainted"], "not tainted: " + text
    if view["state"] == "claimed":
        if call == "device_assign" and not view["quarantined"]:
            assert view["cause"], "no quarantine, and nobody says it: " + text
        else:
            assert hardware["owner"] == DOMID_IO and view["quarantined"], "no quarantine: " + text
        assert hardware["claimed"] and hardware["open"] == 1, text
    if view["state"] in ("claimed", "failed") and not call.startswith("cycle") and \
            not hardware["resetting"]:
        assert not hardware["command"] & MASTER, "bus mastering: " + text
        if view["tainted"]:
            assert not hardware["command"] & DECODE, "decode while tainted: " + text
    if view["state"] in ("present", "absent") and call == "job_release":
        assert view["cause"], "its driver is not back, and nobody says it: " + text
    elif view["state"] in ("present", "absent"):
        assert not hardware["claimed"] and hardware["open"] == 0, text
        assert hardware["owner"] == 0, text
        assert not hardware["prepared"] or call == "msix_release", text


class EveryCall(unittest.TestCase):
    """Each call of ACT fails once, with an error and by not coming back in time."""

    def calls(self, prepare, act):
        with Sim(config=HASTY) as s:
            prepare(s)
            s.settle()
            s.clear_log()
            act(s)
            s.settle()
            return [(e["call"], e.get("allow", True)) for e in faultable(s.log())]

    def each(self, prepare, act, held=True, errors=("EIO", "ETIMEDOUT"), thin=1):
        """THIN: of the many steps of store requests and the many cycles every so many-th."""
        calls = self.calls(prepare, act)
        self.assertGreaterEqual(len(calls), 20)
        thin = 1 if os.environ.get("PCIBACKD_SIM_ALL") else thin
        for errno in errors:
            for nth, failed in enumerate(calls, 1):
                if failed[0] in UNFAILING or (errno == "ETIMEDOUT" and failed[0] not in WAITED):
                    continue
                if nth % thin and failed[0].startswith(("store_", "cycle_")):
                    continue
                with self.subTest(errno=errno, nth=nth, call=failed[0]), \
                        Sim(violations=True, config=HASTY) as s:
                    self.one(s, prepare, act, errno, nth, failed, held)

    def one(self, s, prepare, act, errno, nth, failed, held):
        prepare(s)
        s.settle()
        s.fault("*", errno, nth=nth)
        try:
            act(s)
        except RpcError as e:
            self.assertIn(e.data.get("code"), CODES, e)
            self.assertTrue(e.data.get("reason"), e)
        s.wait_for("rest", lambda: s.state() != "resetting")
        s.settle()
        s.sim("fault-clear")
        failed = self.hit(s)
        if failed[0] not in ONLY_XEN + ("msix_release",):
            s.assert_no_violations()
        at_rest(s, failed, held=held and self.granted(s))
        self.end(s, failed)

    def hit(self, s):
        """The call that failed: merged reads may have made it another than the nth of the first time."""
        log = s.log()
        at = find(log, "fault")
        if at < 0:
            return ("", True)
        name = log[at]["of"]
        entry = next((e for e in log[at:] if e["call"] == name), {})
        return (name, entry.get("allow", True))

    def granted(self, s):
        return any(e["allow"] and e["rc"] == 0 and e["domid"] == 5
                   for e in s.log("allow_memory", "allow_ports", "allow_irq"))

    def end(self, s, failed):
        """Whatever it was: when the guest is gone, nothing of it is left, and force brings the device
        back."""
        if any(d["domid"] == 5 for d in s.leaks()["domains"]):
            s.sim("domain-destroy", domid=5)
        s.wait_for("the guest's end", lambda: not s.leaks()["domains"])
        s.wait_for("rest", lambda: s.state() in ("claimed", "failed", "present"))
        s.settle()
        leaks = s.leaks()
        for kind in ("permissions", "pirqs", "ports", "pages"):
            self.assertEqual(leaks[kind], [], kind)
        if s.dev()["resetting"]:
            return  # the kernel never comes back: nobody may touch it any more
        if s.state() == "failed" or not s.show()["quarantined"]:
            s.release(force=True)
        if s.state() == "present":
            s.claim()
        at_rest(s, held=False, failed=failed if failed[0] in ONLY_STORE else ("", True))
        if failed[0] in ONLY_STORE:
            return
        s.sim("domain-create", domid=6, name="next")
        s.follow(6)
        s.attach(6, wait=5)
        s.settle()
        self.assertEqual(s.config_read(6, 0), 0x10D38086)
        s.detach(6)
        s.assert_clean()

    def connected(self, s):
        s.connect()
        s.enable_msix(5, [0, 1])

    def mute(self, s):
        self.connected(s)
        s.follow(5, on=False)

    def died(self, s):
        s.sim("domain-destroy", domid=5)
        s.wait_for("the device", lambda: s.state() in ("claimed", "failed"), timeout=10)

    def test_attach(self):
        self.each(lambda s: (s.follow(5), s.claim()), lambda s: s.attach(5, wait=2),
                  thin=2)  # all of them: test_faults

    def test_detach(self):
        self.each(self.connected, lambda s: s.detach(5), held=False)

    def test_forced_detach(self):
        self.each(self.mute, take_by_detach)

    def test_forced_release(self):
        self.each(self.mute, take_by_release)

    def test_death(self):
        self.each(self.connected, self.died)

    def test_reconnect(self):
        def again(s):
            s.unload(5)
            end = time.monotonic() + 1.5  # a store that fails once may leave it at Closed
            while time.monotonic() < end and s.be_state(5) not in (2, 3):
                time.sleep(0.02)
            if s.be_state(5) in (2, 3):
                s.load(5)
                s.settle()
        self.each(self.connected, again, held=False, errors=("EIO",), thin=3)


if __name__ == "__main__":
    unittest.main()
