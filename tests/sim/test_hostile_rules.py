# SPDX-License-Identifier: MIT
"""Rules that advisories ask for and that no flood shows: nodes' permissions, what is revoked, what
fails half-way, and that only two functions ever look into a guest's page."""
import glob
import re
import unittest

from simlib import *

SOURCE = os.path.join(HERE, "..", "..")
HUGE = 0x1234500000000  # far above 4 GiB


class Nodes(unittest.TestCase):
    def test_XSA_57_nobody_but_dom0_writes_what_dom0_believes(self):
        """Of all nodes that we make the guest owns its frontend's directory alone, and may read its
        backend's; no other domain may read either."""
        with Sim(domains=[domain(5), domain(6)]) as s:
            s.claim()
            before = set(s.sim("store-dump", path="")["nodes"])
            s.attach(5)
            s.follow(5)
            s.wait_for("connection", lambda: s.be_state(5) == 4)
            nodes = s.sim("store-dump", path="")["nodes"]
            made = {path: node["perms"] for path, node in nodes.items() if path not in before}
            self.assertIn(s.be(5, "state"), made)
            for path, perms in made.items():
                owner, *readers = perms.split(",")
                if path.startswith(s.fe(5)):
                    self.assertEqual((owner, readers), ("5", ["r0"]) if readers else ("5", []),
                                     path)
                else:
                    self.assertEqual(owner, "0", path)
                    self.assertIn(readers, ([], ["r5"]), path)
            for path in (s.be(5, "state"), s.be(5, "dev-0"), s.be(5), s.reservation(),
                         s.be(5, "new"), "/local/domain/0/backend/pcibackd/6/0/state"):
                for domid in (5, 6):
                    with self.assertRaises(SimError):
                        s.write_node(path, "x", domid=domid)

    def test_XSA_350_CVE_2021_26932_nothing_half_mapped(self):
        """A page or port that cannot be had leaves neither."""
        for call, errnos in (("page_map", ("EIO", "ENOMEM", "EINVAL", "ENOSPC")),
                             ("port_bind", ("EIO", "ENOSPC", "EINVAL", "ESRCH"))):
            for errno in errnos:
                with self.subTest(call=call, errno=errno), Sim(clean=True) as s:
                    s.claim()
                    s.attach(5)
                    s.settle()
                    s.fault(call, errno)
                    s.sim("publish", domid=5)
                    s.wait_for("refusal", lambda: s.be_state(5) in (5, 6))
                    s.settle()
                    self.assertEqual((s.leaks()["ports"], s.leaks()["pages"]), ([], []))
                    s.begin_anew(5)
                    self.assertEqual(s.config_read(5, 0), 0x10D38086)
                    s.detach(5, force=True)


class Revocation(unittest.TestCase):
    def far(self):
        dev = device("nvme")
        dev["resources"] = [[HUGE, HUGE + 0x3FFF, 0x140204]]
        return dev

    def test_XSA_476_what_is_revoked_is_what_was_granted(self):
        """Also above 4 GiB, where a frame number does not fit into 20 bits."""
        for end in (lambda s: s.detach(5, DISK), lambda s: s.detach(5, DISK, force=True),
                    lambda s: s.release(DISK, force=True),
                    lambda s: s.remove_node(s.fe(5), domid=5)):
            with self.subTest(), Sim(devices=[self.far()]) as s:
                s.connect(5, DISK)
                calls = [e for e in s.log("allow_memory", "allow_ports", "allow_irq") if e["allow"]]
                granted = {(e["call"], e["first"], e["count"]) for e in calls}
                self.assertIn(("allow_memory", HUGE >> 12, 4), granted)
                s.clear_log()
                end(s)
                s.wait_for("its return", lambda: s.leaks()["permissions"] == [])
                revoked = {(e["call"], e["first"], e["count"])
                           for e in s.log("allow_memory", "allow_ports", "allow_irq")
                           if not e["allow"]}
                self.assertEqual(revoked, granted)

    def test_XSA_449_an_assignment_that_fails_is_a_failure(self):
        for errno in ("EBUSY", "ENODEV", "EIO", "EINVAL"):
            with self.subTest(errno), Sim(clean=True) as s:
                s.claim()
                s.fault("device_assign", errno)
                with self.assertRaises(RpcError):
                    s.attach(5)
                s.settle()
                self.assertEqual(s.leaks()["permissions"], [])
                self.assertEqual(s.dev()["owner"], DOMID_IO)


class Page(unittest.TestCase):
    """A guest's page is memory that changes at any moment: only proto/pciif.c may load from it."""
    ALLOWED = re.compile(r"pb_page_(has_request|take|asks|answer)\(g->page\b|page_(un)?map\(|"
                         r"!g->page\b|\bg->page = NULL;|\(g->page( &&|\))|&g->page\)|"
                         r"return g->page && |= g->page != NULL|if \(g->page\b|g->page \?")

    def test_T7_XSA_155_only_pciif_looks_into_the_page(self):
        seen = 0
        for path in sorted(glob.glob(os.path.join(SOURCE, "core", "*", "*.c"))):
            with open(path) as f:
                lines = f.read().split("\n")
            for n, line in enumerate(lines):
                rest = line.strip()
                if "->page" not in rest:
                    continue
                seen += 1
                for found in re.finditer(r"\w+->page\b", rest):
                    context = rest[max(0, found.start() - 24):found.end() + 12]
                    self.assertRegex(context, self.ALLOWED,
                                     "%s:%d: %s" % (os.path.relpath(path, SOURCE), n + 1, rest))
        self.assertGreater(seen, 5)

    def test_T7_XSA_155_pciif_takes_each_word_once(self):
        with open(os.path.join(SOURCE, "core", "proto", "pciif.c")) as f:
            text = f.read()
        take = text.split("void pb_page_take(")[1].split("\n}\n")[0]
        self.assertIn("const volatile uint32_t *from", take)
        ranges = re.findall(r"for \(unsigned i = (\w+); i < ([^;]+); i\+\+\)\n\s+to\[i\] = from\[i\];", take)
        self.assertEqual(take.count("from["), len(ranges))
        self.assertEqual(ranges[0][0], "0")
        for before, after in zip(ranges, ranges[1:]):
            self.assertEqual(after[0], before[1], "no word is in two of them")
        self.assertNotIn("memcpy", text, "a compiler may load twice what memcpy copies once")


if __name__ == "__main__":
    unittest.main()
