# SPDX-License-Identifier: MIT
"""What the real backend tells is as the schemas describe it, whatever state devices are in."""
import glob
import os
import unittest

import jsonschema

from simlib import *

SCHEMAS = os.path.join(HERE, "..", "..", "schemas")


def load_schemas():
    store = {}
    for path in glob.glob(os.path.join(SCHEMAS, "*.schema.json")):
        with open(path) as f:
            schema = json.load(f)
        store[schema["$id"]] = schema
    return store


STORE = load_schemas()


def validator_of(name):
    """The library has changed how other documents are found."""
    schema = STORE["urn:pcibackd:" + name]
    try:
        from referencing import Registry, Resource
    except ImportError:
        resolver = jsonschema.RefResolver(schema["$id"], schema, store=STORE)
        return jsonschema.Draft202012Validator(schema, resolver=resolver)
    registry = Registry().with_resources((u, Resource.from_contents(c)) for u, c in STORE.items())
    return jsonschema.Draft202012Validator(schema, registry=registry)


FREE = "0000:00:09.0"


class Faces(unittest.TestCase):
    def ask(self, s, method, **params):
        """The result, if request and reply are as described."""
        result = s.call(method, **params)
        for name, value in (("request", {"jsonrpc": "2.0", "method": method, "params": params}),
                            ("reply-" + method, {"jsonrpc": "2.0", "id": 1, "result": result})):
            found = ["%s: %s" % (e.json_path, e.message)
                     for e in validator_of(name).iter_errors(value)]
            self.assertEqual(found, [], method)
        return result

    def ask_all(self, s):
        devices = self.ask(s, "list")["devices"]
        for d in devices:
            self.assertEqual(self.ask(s, "show", dev=d["address"])["device"]["state"], d["state"])
            why = self.ask(s, "why", dev=d["address"])
            who = "%s (%s)" % (d["address"], d["name"]) if d["name"] else d["address"]
            self.assertTrue(why["answer"].startswith("%s is %s" % (who, d["state"])), why)
            self.assertEqual(why["attachable"], d["state"] == "claimed" and
                             not any(r["blocks"] for r in why["reasons"]))
        for method in ("guests", "stats", "slot.list", "version", "quirks.list"):
            self.ask(s, method)
        return {d["address"]: d for d in devices}

    def test_every_state(self):
        nic = device("e1000e", path="0000:00:1c.0/00.0", port="0000:00:1c.0", neighbours=[
            {"bdf": DISK, "shares": ["line", "reset"], "driver": "nvme"},
            {"bdf": FREE, "shares": ["page"]}])
        disk = device("nvme", uses=["root", "disk"], uses_text="/ is on nvme0n1p2")
        with Sim(devices=[nic, disk], config={"devices": [{"bdf": NIC}, {"bdf": DISK},
                                                           {"bdf": FREE, "name": "free"}]}) as s:
            s.wait_for("a look at both", lambda: s.state(NIC) == s.state(DISK) == "present")
            all_of = self.ask_all(s)
            self.assertEqual(all_of[FREE]["state"], "absent")
            self.assertEqual(all_of[NIC]["path"], "0000:00:1c.0/00.0")
            self.assertEqual([n["shares"] for n in all_of[NIC]["neighbours"]],
                             [["reset", "line"], ["page"]])
            self.assertEqual(all_of[DISK]["uses"], ["root", "disk"])
            self.assertRaises(RpcError, s.claim, DISK)  # what the host needs
            self.ask(s, "claim", dev=NIC, force=True)
            self.ask_all(s)
            s.follow(5)
            self.ask(s, "attach", guest="netvm", dev=NIC, force=True, wait=5)
            self.assertEqual(self.ask_all(s)[NIC]["owner"]["domid"], 5)
            s.follow(5, on=False)
            self.ask(s, "detach", guest=5, dev=NIC, force=True)
            taken = self.ask_all(s)[NIC]
            self.assertEqual((taken["tainted"], taken["tainted_by"]), (True, 5))
            self.ask(s, "release", dev=NIC, force=True)
            self.ask_all(s)

    def test_one_that_failed_and_is_sound_again(self):
        with Sim(config={"devices": [{"bdf": NIC, "reset": "required"}]}) as s:
            s.claim()
            s.fault("job_reset", "EIO")
            self.assertRaises(RpcError, s.call, "reset", dev=NIC)
            self.assertEqual(self.ask_all(s)[NIC]["state"], "failed")
            self.ask(s, "reset", dev=NIC)
            self.assertEqual(self.ask_all(s)[NIC]["state"], "claimed")

    def test_slots_that_are_saved_and_listed_again(self):
        with Sim(keep=True, config={"slots": ["0000:00:05.0"]}) as s:
            os.makedirs(s.config_path.replace(".json", ".d"), exist_ok=True)
            self.assertEqual(self.ask(s, "slot.add", address="06:*.*", save=True)["slot"],
                             {"address": "0000:06:*.*", "origin": "saved", "devices": 0, "claimed": 0})
            self.ask(s, "slot.add", address="0000:07:00.*")
            self.assertEqual([x["origin"] for x in self.ask(s, "slot.list")["slots"]],
                             ["config", "saved", "verb"])
            s.restart()
            s.wait_for("the slots", lambda: len(self.ask(s, "slot.list")["slots"]) == 2)
            self.assertEqual({x["address"]: x["origin"] for x in self.ask(s, "slot.list")["slots"]},
                             {"0000:00:05.0": "config", "0000:06:*.*": "saved"})
            self.assertEqual(self.ask(s, "slot.remove", address="6:*.*", save=True),
                             {"address": "0000:06:*.*", "slot": None})
            with self.assertRaises(RpcError) as refused:
                s.call("slot.remove", address="00:05.0")
            self.assertEqual(refused.exception.data["code"], "refused")
            s.restart()
            s.wait_for("the slots", lambda: len(self.ask(s, "slot.list")["slots"]) == 1)


if __name__ == "__main__":
    unittest.main()
