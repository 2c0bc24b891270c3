# SPDX-License-Identifier: MIT
"""Where a guest sees its devices: vpci, slot, passthrough."""
import unittest

from simlib import *

NIC1, FAR = "0000:00:05.1", "0001:02:1f.7"
IDS, DISK_IDS = 0x10D38086, 0x00101B36


def cards():
    """A card of two functions, a disk, and a device on a bus of a second segment."""
    return [device("e1000e"), moved(device("e1000e"), NIC1), device("nvme"),
            moved(device("nvme"), FAR)]


def vdevs(s, domid=5):
    """The virtual addresses, by physical address."""
    count = int(s.read_node(s.be(domid, "num_devs")))
    return {s.read_node(s.be(domid, "dev-%d" % i)): s.read_node(s.be(domid, "vdev-%d" % i))
            for i in range(count)}


def roots(s, domid=5):
    count = int(s.read_node(s.be(domid, "root_num")))
    return [s.read_node(s.be(domid, "root-%d" % i)) for i in range(count)]


def with_topology(topology, **more):
    return Sim(devices=cards(), clean=True,
               config={"guests": [{"name": "netvm", "topology": topology}]}, **more)


class Topology(unittest.TestCase):
    def give(self, s, *devices):
        s.follow(5)
        for bdf in devices:
            s.attach(5, bdf, claim=True, wait=5)

    def take(self, s, *devices):
        for bdf in devices:
            s.detach(5, bdf)

    def test_vpci_keeps_the_functions_of_a_device_together(self):
        with with_topology("vpci") as s:
            self.give(s, NIC, DISK, NIC1, FAR)
            self.assertEqual(vdevs(s), {NIC: "0000:00:00.00", DISK: "0000:00:01.00",
                                        NIC1: "0000:00:00.01", FAR: "0000:00:02.07"})
            self.assertEqual(roots(s), ["0000:00"])
            self.assertEqual(s.config_read(5, 0, devfn=1), IDS)
            self.take(s, NIC, DISK, NIC1, FAR)

    def test_slot_gives_each_function_a_slot(self):
        with with_topology("slot") as s:
            self.give(s, NIC, NIC1, FAR)
            self.assertEqual(vdevs(s), {NIC: "0000:00:00.00", NIC1: "0000:00:01.00",
                                        FAR: "0000:00:02.00"})
            self.assertEqual(roots(s), ["0000:00"])
            self.assertEqual(s.config_read(5, 0, devfn=0x10), DISK_IDS)
            self.assertEqual(s.op(5, READ, 1, offset=0, size=4)["err"], NOT_FOUND)
            self.assertEqual(s.call("guests")["guests"][0]["topology"], "slot")
            self.take(s, NIC, NIC1, FAR)

    def test_passthrough_shows_the_hosts_addresses(self):
        with with_topology("passthrough") as s:
            self.give(s, NIC)
            self.assertEqual(roots(s), ["0000:00"])
            self.give(s, FAR)  # its bus is published with it
            self.assertEqual(roots(s), ["0000:00", "0001:02"])
            self.assertEqual(s.sim("front", domid=5)["roots"], ["0000:00", "0001:02"])
            self.assertEqual(vdevs(s), {NIC: "0000:00:05.00", FAR: "0001:02:1f.07"})
            self.assertEqual(s.config_read(5, 0, devfn=0x28), IDS)
            there = {"domain": 1, "bus": 2, "devfn": 0xFF}
            self.assertEqual(s.op(5, READ, offset=0, size=4, **there)["value"], DISK_IDS)
            self.assertEqual(s.op(5, ENABLE_MSIX, value=1, entries=[0], **there)["err"], 0)
            self.assertEqual(s.dev(FAR)["vectors"], 1)
            # a root is never taken back, and its bus is empty then
            s.detach(5, FAR)
            s.settle()
            self.assertEqual(roots(s), ["0000:00", "0001:02"])
            self.assertEqual(s.op(5, READ, offset=0, size=4, **there)["err"], NOT_FOUND)
            self.assertEqual(s.config_read(5, 0, devfn=0x28), IDS)
            self.take(s, NIC)

    def test_hostile_addresses_find_nothing(self):
        """Each word is compared whole: no bit of it is cut off, in any topology."""
        words = [0, 1, 2, 5, 0x28, 0x7F, 0xFF, 0x100, 0x102, 0x128, 0x1FF, 0xFFFF, 0x10000,
                 0x10001, 0x10002, 0x7FFFFFFF, 0x80000001, 0xFFFFFF28, 0xFFFFFFFF]
        with with_topology("passthrough") as s:
            self.give(s, NIC, FAR)
            right = {(0, 0, 0x28): IDS, (1, 2, 0xFF): DISK_IDS}
            bad = 0
            for dom in words:
                for bus in words:
                    for devfn in (0, 0x28, 0xFF, 0x128, 0x1FF, 0xFFFFFF28):
                        answer = s.op(5, READ, devfn, offset=0, size=4, domain=dom, bus=bus)
                        want = right.get((dom, bus, devfn))
                        self.assertEqual(answer["err"], NOT_FOUND if want is None else 0,
                                         (dom, bus, devfn))
                        if want is not None:
                            self.assertEqual(answer["value"], want)
                        elif (dom, bus) not in ((0, 0), (1, 2)) or devfn > 255:
                            bad += 1
            stats = s.call("stats")
            self.assertEqual(stats.get("counters", stats)["bad_ops"], bad)
            self.take(s, NIC, FAR)

    def test_a_full_bus_is_a_defined_error(self):
        devices = [moved(device("nvme"), "0000:%02x:00.0" % (i + 1), by=0x100000 * i)
                   for i in range(33)]
        with Sim(devices=devices, clean=True) as s:
            for i in range(33):
                bdf = "0000:%02x:00.0" % (i + 1)
                if i < 32:
                    s.attach(5, bdf, claim=True)
                    continue
                with self.assertRaises(RpcError) as e:
                    s.attach(5, bdf, claim=True)
                self.assertEqual(e.exception.data["code"], "limit")
                self.assertFalse(s.dev(bdf)["claimed"])
            # one goes, and its place is the next one's
            s.detach(5, "0000:08:00.0")
            s.attach(5, bdf, claim=True)
            self.assertEqual(vdevs(s)[bdf], "0000:00:07.00")
            s.sim("domain-destroy", domid=5)
            s.wait_for("all devices", lambda: all(s.state(d["bdf"]) == "claimed" for d in devices))

    def test_addresses_are_the_same_after_a_reconnect(self):
        for topology in ("vpci", "slot", "passthrough"):
            with self.subTest(topology), with_topology(topology) as s:
                self.give(s, NIC, DISK, NIC1, FAR)
                s.detach(5, DISK)  # a hole in the order
                before = vdevs(s), roots(s)
                s.follow(5, on=False)
                s.sim("state", domid=5, state=1)
                s.wait_for("open again", lambda: s.be_state(5) in (2, 3))
                s.sim("publish", domid=5, fresh=True)
                s.wait_for("connection", lambda: s.be_state(5) == 4)
                self.assertEqual((vdevs(s), roots(s)), before)
                s.sim("state", domid=5, state=4)
                s.follow(5)
                self.take(s, NIC, NIC1, FAR)

    def test_a_reload_changes_the_topology_of_the_next_guest_only(self):
        with with_topology("slot") as s:
            self.give(s, NIC)
            s.config["guests"][0]["topology"] = "passthrough"
            s.write_config()
            s.reload()
            self.give(s, NIC1)
            self.assertEqual(vdevs(s), {NIC: "0000:00:00.00", NIC1: "0000:00:01.00"})
            self.take(s, NIC, NIC1)
            s.settle()
            self.give(s, NIC1)
            self.assertEqual(vdevs(s), {NIC1: "0000:00:05.01"})
            self.take(s, NIC1)


if __name__ == "__main__":
    unittest.main()
