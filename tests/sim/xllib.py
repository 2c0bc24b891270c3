# SPDX-License-Identifier: MIT
"""simlib for xl mode: guests whose nodes libxl makes (sim_toolstack.c is libxl)."""
from simlib import *

CLOSED, CONNECTED = 6, 4


class Xl(Sim):
    def __init__(self, devices=None, config=None, **more):
        config = {"backend": {"kinds": ["pcibackd", "pci"]}, **(config or {})}
        super().__init__(devices=devices, config=config, **more)
        self.bdfs = [d["bdf"] for d in self.scenario["devices"]]

    @staticmethod
    def xbe(domid, node=""):
        return "/local/domain/0/backend/pci/%d/0" % domid + ("/" + node if node else "")

    def xstate(self, domid=5):
        return int(self.read_node(self.xbe(domid, "state")) or 0)

    def node(self, name, domid=5):
        return self.read_node(self.xbe(domid, name))

    def error(self, name="", domid=5):
        return self.read_node("/local/domain/0/error/backend/pci/%d/0/%serror" %
                              (domid, name + "/" if name else "")) or ""

    def xl(self, do, domid=5, **more):
        return self.sim("xl-" + do, domid=domid, **more)

    def add(self, domid=5, bdf=NIC, **more):
        answer = self.xl("attach", domid, device=bdf, **more)
        assert answer["rc"] == 0, answer
        return answer

    def remove(self, domid=5, bdf=NIC, **more):
        return self.xl("detach", domid, device=bdf, **more)

    def assignable(self, *bdfs):
        for bdf in bdfs or self.bdfs:
            self.sim("xl-assignable-add", device=bdf)

    def create(self, domid=5, *bdfs, follow=True):
        """xl create with pci=[BDFS]; the guest runs afterwards."""
        for bdf in bdfs:
            self.add(domid, bdf, starting=True)
        if follow:
            self.follow(domid)

    def connected(self, domid=5):
        self.wait_for("the frontend's connection",
                      lambda: self.xstate(domid) == CONNECTED and self.fe_state(domid) == CONNECTED)
        self.settle()

    def running(self, *bdfs, domid=5, **more):
        self.assignable(*bdfs)
        self.create(domid, *bdfs, **more)
        self.connected(domid)

    def addresses(self, domid=5):
        """{device: its virtual devfn}"""
        found = {}
        for n in range(int(self.node("num_devs", domid) or 0)):
            vdev = self.node("vdev-%d" % n, domid)
            if vdev:
                slot, function = vdev.split(":")[2].split(".")
                found[self.node("dev-%d" % n, domid)] = int(slot, 16) << 3 | int(function, 16)
        return found

    def state_of(self, bdf, domid=5):
        for n in range(int(self.node("num_devs", domid) or 0)):
            if self.node("dev-%d" % n, domid) == bdf:
                return int(self.node("state-%d" % n, domid))
        return None

    def gone(self, domid=5):
        """Nothing of the guest's is left, and its devices wait for the next one."""
        self.wait_for("the end of the record", lambda: not any(
            g["domid"] == domid for g in self.call("guests")["guests"]))
        self.settle()
        leaks = self.leaks()
        for kind in ("pirqs", "ports", "pages"):
            assert not [x for x in leaks[kind] if x["domid"] == domid], leaks[kind]
        nodes = [n for n in leaks["nodes"] if "/%d/" % domid in n or n.endswith("/%d" % domid)]
        assert not nodes, nodes

    def back(self, *bdfs):
        """They are xl's again: closed by us, quiet."""
        for bdf in bdfs:
            dev = self.dev(bdf)
            assert dev["open"] == 0, dev
            assert dev["vectors"] == 0 and not dev["command"] & 4, dev
            assert self.state(bdf) == "present", self.show(bdf)


def eight():
    devices = [device("e1000e", bdf="0000:04:00.0", irq=24)]
    for n in range(1, 8):
        before = devices[-1]["resources"]
        devices.append({**devices[0], "bdf": "0000:04:%02x.0" % n, "resources": [
            [a + (0x40 if f & 0x100 else 0x100000), b + (0x40 if f & 0x100 else 0x100000), f]
            for a, b, f in before]})
    return devices
