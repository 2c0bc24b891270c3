# SPDX-License-Identifier: MIT
"""why: each code, whether it blocks, and that what blocks is indeed refused."""
import re
import unittest

from simlib import *

HERE = os.path.dirname(os.path.abspath(__file__))
NIC2 = "0000:00:05.1"


def reasons(s, bdf=NIC):
    return s.call("why", dev=bdf)["reasons"]


def codes(s, bdf=NIC):
    return [r["code"] for r in reasons(s, bdf)]


def reason(s, code, bdf=NIC):
    return next((r for r in reasons(s, bdf) if r["code"] == code), None)


def configured(**more):
    return {"devices": [{"bdf": NIC, **more}]}


def near(*shares, **more):
    first = device("e1000e", neighbours=[{"bdf": NIC2, "shares": list(shares), "driver": "ahci"}],
                   **more)
    return [first, moved(device("e1000e", driver="ahci"), NIC2)]


# code: (devices, configuration, blocks, words): a device that is present; then attach --claim is
# refused if it blocks, and done if it does not.
PRESENT = {
    "wrong-identity": (None, configured(device="0x10d4"), True, "8086:10d3"),
    "used-by-host": ([device("e1000e", uses=["root"], uses_text="/ is on sda1")], configured(),
                     True, "/ is on sda1"),
    "pluggable": ([device("e1000e", port="0000:00:1c.0")], configured(), True, "0000:00:1c.0"),
    "virtual-function": ([device("e1000e", virtual_function=True,
                                 physical_function="0000:00:04.0")], configured(), True,
                         "0000:00:04.0"),
    "has-virtual-functions": ([device("e1000e", virtual_functions=2)], configured(), True, "2 "),
    "assign-denied": (None, configured(assign="deny"), True, "denies"),
    "assign-warned": (None, configured(assign="warn"), True, "warns"),
    "shares-requester": (near("requester"), configured(), True, "driver ahci"),
    "shares-page": (near("page"), configured(), True, "driver ahci"),
    "shares-line": (near("line"), configured(), False, "XSA-461"),
    "shares-reset": (near("reset"), configured(), False, NIC2),
    "unclaimed": (None, configured(), False, "driver e1000e"),
}


class Present(unittest.TestCase):
    def test_each_code_and_what_attach_does_then(self):
        for code, (devices, config, blocks, words) in PRESENT.items():
            with self.subTest(code=code), Sim(devices=devices, config=config) as s:
                s.settle()
                if code == "wrong-identity":
                    with self.assertRaises(RpcError):
                        s.claim()
                r = reason(s, code)
                self.assertIsNotNone(r, codes(s))
                self.assertEqual(r["blocks"], blocks)
                self.assertIn(words, r["text"])
                self.assertTrue(r["next"])
                self.assertEqual(any(x["blocks"] for x in reasons(s)), blocks)
                s.follow(5)
                if blocks:
                    with self.assertRaises(RpcError) as e:
                        s.attach(5, claim=True, wait=5)
                    self.assertEqual(e.exception.data["code"], "refused")
                else:
                    s.attach(5, claim=True, wait=5)

    def test_forced_at_claim_they_are_only_told(self):
        for more, code in (({"uses": ["root"]}, "used-by-host"),
                           ({"port": "0000:00:1c.0"}, "pluggable"),
                           ({"virtual_functions": 2}, "has-virtual-functions")):
            with self.subTest(code=code), Sim(devices=[device("e1000e", **more)]) as s:
                s.claim(force=True)
                self.assertFalse(reason(s, code)["blocks"])
                s.follow(5)
                s.attach(5, wait=5)

    def test_the_operators_allow_unblocks_neighbours(self):
        with Sim(devices=near("requester"), config=configured(assign="allow")) as s:
            s.settle()
            self.assertFalse(reason(s, "shares-requester")["blocks"])


class Others(unittest.TestCase):
    def test_absent(self):
        with Sim(devices=[], config=configured()) as s:
            s.settle()
            self.assertEqual(codes(s), ["absent"])

    def test_ready(self):
        with Sim() as s:
            s.claim()
            self.assertEqual(codes(s), ["ready"])
            answer = s.call("why", dev=NIC)
            self.assertTrue(answer["attachable"])

    def test_refused_claim(self):
        with Sim(devices=[device("e1000e", patch=[[0x0A, 2, 0x0604]])], config=configured()) as s:
            s.settle()
            with self.assertRaises(RpcError):
                s.claim()
            self.assertEqual(codes(s)[0], "refused-claim")
            self.assertIn("bridge", reason(s, "refused-claim")["text"])

    def test_busy_with_which_verb_and_step(self):
        with Sim(scenario={"job_delay_ms": 300}) as s:
            s.claim()
            other = Rpc(s.control_path)
            serial = other.start("reset", dev=NIC)
            r = s.wait_for("the verb", lambda: reason(s, "busy"))
            self.assertEqual(codes(s)[0], "busy")
            self.assertRegex(r["text"], r"reset is under way \(step: \w+\)")
            self.assertTrue(r["blocks"])
            other.finish(serial)
            other.close()
            self.assertEqual(codes(s), ["ready"])

    def test_assigned(self):
        with Sim() as s:
            s.connect()
            self.assertEqual(codes(s)[0], "assigned")
            self.assertIn("domain 5 (netvm)", reason(s, "assigned")["text"])

    def test_tainted_and_by_policy(self):
        for allowed in (False, True):
            with self.subTest(allowed=allowed), \
                    Sim(domains=[domain(5, "netvm"), domain(6)],
                        config=configured(reassign_while_alive=allowed)) as s:
                s.connect()
                s.follow(5, on=False)
                s.follow(6)
                s.detach(5, force=True)
                r = reason(s, "tainted")
                self.assertEqual(r["blocks"], not allowed)
                self.assertIn("domain 5", r["text"])
                self.assertEqual(s.call("why", dev=NIC)["attachable"], allowed)
                if allowed:
                    s.attach(6, wait=5)
                    continue
                with self.assertRaises(RpcError):
                    s.attach(6, wait=5)
                with self.assertRaises(RpcError):
                    s.call("reset", dev=NIC)
                s.sim("domain-destroy", domid=5)
                s.settle()
                self.assertEqual(codes(s), ["ready"])
                self.assertFalse(s.show()["tainted"])
                self.assertIn("no longer tainted", s.stderr())

    def test_the_guest_it_was_taken_from_may_have_it_again(self):
        with Sim() as s:
            s.connect()
            s.follow(5, on=False)
            s.detach(5, force=True)
            self.assertIn("to that domain again", reason(s, "tainted")["next"])
            s.follow(5)
            s.attach(5, wait=5)
            self.assertIsNone(reason(s, "tainted"))

    def test_assignment_that_waits_and_one_that_was_refused(self):
        assignments = [{"guest": "netvm", "devices": [NIC]}]
        for domains, words in (([], "waits for the guest"),
                               ([domain(5, "netvm", hvm=True)], "HVM")):
            with self.subTest(words), Sim(domains=domains, config={
                    **configured(), "assignments": assignments}) as s:
                s.wait_for("the outcome", lambda: words in (reason(s, "assignment") or {"text": ""})["text"])
                r = reason(s, "assignment")
                self.assertFalse(r["blocks"])
                self.assertIn("netvm", r["text"])

    def test_assignment_that_was_done_and_undone(self):
        with Sim(config={"assignments": [{"guest": "netvm", "devices": [NIC]}]}) as s:
            s.follow(5)
            s.wait_for("the assignment", lambda: s.state() == "assigned")
            s.settle()
            self.assertIsNone(reason(s, "assignment"))
            s.detach(5)
            self.assertIn("starts anew", reason(s, "assignment")["text"])

    def test_no_quarantine(self):
        with Sim() as s:
            s.fault("device_assign", "ENODEV")
            s.claim()
            self.assertEqual(codes(s)[0], "quarantine-missing")
            self.assertIn("IOMMU", reason(s, "quarantine-missing")["text"])

    def test_quirks_are_named(self):
        for assign, code in (("warn", "assign-warned"), ("deny", "assign-denied")):
            quirk = {"id": "careful", "reason": "it bites", "device": {"assign": assign}}
            with self.subTest(assign=assign), Sim(quirks=[quirk]) as s:
                s.claim()
                r = reason(s, code)
                self.assertIn("quirk careful", r["text"])
                self.assertEqual(r["blocks"], assign == "deny")

    def test_no_reset(self):
        for policy, blocks in (("best-effort", False), ("required", True)):
            with self.subTest(policy=policy), \
                    Sim(devices=[device("e1000e", reset="")], config=configured(reset=policy)) as s:
                s.claim()
                self.assertEqual(reason(s, "no-reset")["blocks"], blocks)

    def test_unknown_device(self):
        with Sim() as s:
            with self.assertRaises(RpcError) as e:
                s.call("why", dev="0000:77:00.0")
            self.assertEqual(e.exception.data["code"], "not-found")


class Codes(unittest.TestCase):
    def test_each_code_is_asked_for_by_some_test(self):
        with open(os.path.join(HERE, "../../core/backend/why.c")) as f:
            text = f.read()
        table = text[text.index("} checks[] = {"):]
        listed = re.findall(r'\{ "([a-z-]+)", \w+ \}', table)
        self.assertGreater(len(listed), 25)
        tests = "".join(open(os.path.join(HERE, "test_%s.py" % n)).read()
                        for n in ("why", "claim", "life", "adopt", "replay"))
        hard = {"more-neighbours", "unreserved", "note", "claim-failed", "failed"}
        for code in set(listed) - hard:
            self.assertIn('"%s"' % code, tests)


if __name__ == "__main__":
    unittest.main()
