# SPDX-License-Identifier: MIT
"""Slots: listed by the configuration, by the file of saved ones, or by a verb; claimed when there."""
import unittest

from simlib import *

NIC2 = "0000:00:05.1"
LATE = "0000:00:08.0"


def slots(s):
    return {x["address"]: x for x in s.call("slot.list")["slots"]}


def add(s, address, **more):
    return s.call("slot.add", address=address, **more)


def remove(s, address, **more):
    return s.call("slot.remove", address=address, **more)


def saved(s):
    return s.sim("saved-slots")["slots"]


def states(s):
    return {d["address"]: d["state"] for d in s.call("list")["devices"]}


def two(**more):
    first = device("e1000e", **more)
    return [first, moved(first, NIC2)]


class Add(unittest.TestCase):
    def test_claims_what_is_there_and_waits_for_what_is_not(self):
        with Sim(clean=True) as s:
            add(s, NIC)
            self.assertEqual(s.state(), "claimed", "done when it is claimed")
            add(s, LATE)
            self.assertEqual(states(s)[LATE], "absent")
            self.assertEqual(slots(s)[NIC], {"address": NIC, "origin": "verb", "devices": 1,
                                             "claimed": 1})
            self.assertEqual(slots(s)[LATE]["devices"], 0)
            self.assertIsNone(saved(s))

    def test_a_star_claims_all_that_are_there_and_shows_no_others(self):
        with Sim(devices=two() + [device("nvme")], clean=True) as s:
            add(s, "0000:00:05.*")
            self.assertEqual(states(s), {NIC: "claimed", NIC2: "claimed"})
            add(s, "00:*.*")
            self.assertEqual(states(s), {NIC: "claimed", NIC2: "claimed", DISK: "claimed"})
            self.assertEqual(slots(s)["0000:00:*.*"]["claimed"], 3)

    def test_a_star_leaves_bridges_out(self):
        bridge = device("e1000e", "0000:00:1c.0", patch=[[0x0A, 2, 0x0604]])
        with Sim(devices=[device("e1000e"), moved(bridge, "0000:00:1c.0")]) as s:
            add(s, "0000:00:*.*")
            self.assertEqual(s.state(), "claimed")
            self.assertEqual(s.dev("0000:00:1c.0")["driver"], "e1000e")

    def test_one_that_refuses_undoes_the_list(self):
        with Sim(devices=[device("e1000e", uses=["root"])], clean=True) as s:
            with self.assertRaises(RpcError) as e:
                add(s, NIC, save=True)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertEqual(slots(s), {})
            self.assertIsNone(saved(s))
            self.assertEqual(s.dev()["driver"], "e1000e")

    def test_of_many_the_first_failure_is_told_once_and_the_others_are_claimed(self):
        devices = two()
        devices[0]["uses"] = ["root"]
        with Sim(devices=devices, clean=True) as s:
            with self.assertRaises(RpcError) as e:
                add(s, "0000:00:05.*", save=True)
            self.assertEqual(e.exception.data["device"], NIC)
            self.assertEqual(s.state(NIC2), "claimed")
            self.assertEqual(slots(s)["0000:00:05.*"]["origin"], "saved")
            self.assertEqual(saved(s), ["0000:00:05.*"])

    def test_again_is_success(self):
        with Sim(clean=True) as s:
            add(s, NIC)
            add(s, NIC)
            self.assertEqual(list(slots(s)), [NIC])

    def test_at_once_from_several(self):
        with Sim(devices=two() + [device("nvme")], scenario={"job_delay_ms": 20},
                 clean=True) as s:
            serials = [s.rpc.start("slot.add", address=a, save=True)
                       for a in (NIC, NIC2, DISK, NIC)]
            for serial in serials:
                s.rpc.finish(serial)
            self.assertEqual(sorted(saved(s)), sorted([NIC, NIC2, DISK]))


class Save(unittest.TestCase):
    def test_only_saved_ones_are_in_the_file(self):
        with Sim(config={"slots": ["0000:00:1f.0"]}, clean=True) as s:
            add(s, NIC)
            add(s, LATE, save=True)
            self.assertEqual(saved(s), [LATE])
            self.assertEqual(slots(s)[LATE]["origin"], "saved")
            add(s, NIC, save=True)
            self.assertEqual(saved(s), [NIC, LATE])
            add(s, "0000:00:1f.0", save=True)
            self.assertEqual(saved(s), [NIC, LATE], "the configuration has it already")

    def test_a_failure_undoes_the_change_and_says_so(self):
        with Sim(clean=True) as s:
            s.fault("job_save_slots", "EROFS")
            with self.assertRaises(RpcError) as e:
                add(s, NIC, save=True)
            self.assertEqual(e.exception.data["code"], "host-error")
            self.assertIn("the list is as before", e.exception.data["reason"])
            self.assertEqual(slots(s), {})
            add(s, NIC)
            s.fault("job_save_slots", "EROFS")
            with self.assertRaises(RpcError):
                add(s, NIC, save=True)
            self.assertEqual(slots(s)[NIC]["origin"], "verb", "as before: listed, not saved")
            add(s, NIC, save=True)
            s.fault("job_save_slots", "EROFS")
            with self.assertRaises(RpcError):
                remove(s, NIC, save=True)
            self.assertEqual(slots(s)[NIC]["origin"], "saved")
            self.assertEqual(saved(s), [NIC])


class Remove(unittest.TestCase):
    def test_releases_nothing(self):
        with Sim(clean=True) as s:
            add(s, NIC)
            remove(s, NIC)
            self.assertEqual(slots(s), {})
            self.assertEqual(s.state(), "claimed")

    def test_forgets_an_absent_one(self):
        with Sim(clean=True) as s:
            add(s, LATE)
            remove(s, LATE)
            self.assertEqual(states(s), {})

    def test_not_listed(self):
        with Sim(clean=True) as s:
            with self.assertRaises(RpcError) as e:
                remove(s, NIC)
            self.assertEqual(e.exception.data["code"], "not-found")

    def test_the_configurations_own_is_refused(self):
        with Sim(config={"slots": [NIC]}, clean=True) as s:
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")
            with self.assertRaises(RpcError) as e:
                remove(s, NIC, save=True)
            self.assertEqual(e.exception.data["code"], "refused")
            self.assertIn("reload", e.exception.data["next"])
            self.assertIn(NIC, slots(s))

    def test_a_saved_one_without_save_stays_in_the_file(self):
        with Sim(clean=True) as s:
            add(s, NIC, save=True)
            remove(s, NIC)
            self.assertEqual(slots(s), {})
            add(s, LATE, save=True)
            self.assertEqual(saved(s), [NIC, LATE])
            remove(s, NIC, save=True)
            self.assertEqual(saved(s), [LATE])


class Reload(unittest.TestCase):
    def test_what_a_verb_listed_survives(self):
        with Sim(clean=True) as s:
            add(s, LATE)
            s.reload()
            self.assertEqual(slots(s)[LATE]["origin"], "verb")
            s.config["slots"] = [LATE]
            s.write_config()
            s.reload()
            self.assertEqual(slots(s)[LATE]["origin"], "config")
            s.config["slots"] = []
            s.write_config()
            s.reload()
            self.assertEqual(slots(s)[LATE]["origin"], "verb")

    def test_what_the_configuration_lists_no_more_is_taken_off_but_not_released(self):
        with Sim(config={"slots": [NIC, LATE]}, clean=True) as s:
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")
            s.config["slots"] = []
            s.write_config()
            s.reload()
            self.assertEqual(slots(s), {})
            self.assertEqual(states(s), {NIC: "claimed"})

    def test_a_new_star_takes_only_what_was_not_listed_before(self):
        """What was released on purpose, although it is listed, stays released."""
        with Sim(devices=two(), config={"slots": [NIC]}, clean=True) as s:
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")
            s.release()
            s.config["slots"] = [NIC, "0000:00:05.*"]
            s.write_config()
            s.reload()
            s.wait_for("the other", lambda: states(s).get(NIC2) == "claimed")
            s.settle()
            self.assertEqual(s.state(), "present")


class Star(unittest.TestCase):
    def test_costs_one_job_and_those_of_what_is_there(self):
        with Sim(devices=two() + [device("nvme")], config={"slots": ["0000:00:*.*"]},
                 clean=True) as s:
            s.wait_for("all", lambda: list(states(s).values()) == ["claimed"] * 3)
            s.settle()
            self.assertEqual(len(s.log("job_list")), 1)
            self.assertEqual({e["device"] for e in s.log("job_probe.start")}, {NIC, NIC2, DISK})
            add(s, "0000:01:*.*")
            self.assertEqual(len(s.log("job_list")), 2)
            self.assertEqual({e["device"] for e in s.log("job_probe.start")}, {NIC, NIC2, DISK})

    def test_a_list_that_is_late_is_asked_for_again(self):
        with Sim(config={"slots": ["0000:00:*.*"]}, start=False, clean=True) as s:
            s.scenario["do"] = [{"do": "fault", "call": "job_list", "errno": "ETIMEDOUT"}]
            s.start()
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")

    def test_a_verb_says_that_it_cannot_list(self):
        with Sim(clean=True) as s:
            s.fault("job_list", "EIO")
            with self.assertRaises(RpcError) as e:
                add(s, "0000:00:*.*")
            self.assertEqual(e.exception.data["code"], "host-error")
            self.assertEqual(slots(s), {}, "the list is as before")


class Late(unittest.TestCase):
    """Jobs that are not done in time say nothing of the device, and pass."""

    def late(self, count=1, **config):
        s = Sim(config=config, start=False, clean=True)
        s.scenario["do"] = [{"do": "fault", "call": "job_probe", "errno": "ETIMEDOUT",
                              "count": count}]
        return s

    def test_a_listed_device_is_tried_again(self):
        for slot in (NIC, "0000:00:*.*"):
            with self.subTest(slot=slot), self.late(2, slots=[slot]) as s:
                s.start()
                s.wait_for("the warning", lambda: "tried again" in s.stderr())
                self.assertEqual(states(s).get(NIC, "absent"), "absent")
                s.wait_for("the device", lambda: states(s).get(NIC) == "claimed", 10)
                self.assertEqual(s.stderr().count("tried again"), 1)

    def test_what_an_earlier_run_had_is_tried_again(self):
        with Sim(keep=True, clean=True) as s:
            s.claim(force=True)
            s.restart(do=[{"do": "fault", "call": "job_probe", "errno": "ETIMEDOUT"}])
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")

    def test_one_that_only_has_a_policy_is_looked_at_again(self):
        with self.late(devices=[{"bdf": NIC}]) as s:
            s.start()
            s.wait_for("the device", lambda: states(s).get(NIC) == "present")

    def test_an_absent_one_does_not_become_present(self):
        with Sim() as s:
            s.fault("job_probe", "ETIMEDOUT")
            with self.assertRaises(RpcError) as e:
                s.claim(LATE)
            self.assertEqual(e.exception.data["code"], "timeout")
            self.assertNotEqual(states(s).get(LATE), "present")

    def test_one_that_the_operator_took_meanwhile_is_left_alone(self):
        with self.late(slots=[NIC]) as s:
            s.start()
            s.wait_for("the warning", lambda: "tried again" in s.stderr())
            s.claim()
            s.release()
            time.sleep(1.3)
            s.settle()
            self.assertEqual(s.state(), "present")


class Start(unittest.TestCase):
    def test_an_address_without_a_device_is_told_and_stops_nothing(self):
        with Sim(config={"slots": [LATE, NIC]}, clean=True) as s:
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")
            s.wait_for("the other", lambda: states(s).get(LATE) == "absent")
            self.assertIn(LATE + ": listed, but not in the machine", s.stderr())

    def test_a_star_without_a_device_is_silent(self):
        with Sim(config={"slots": ["0000:07:*.*"]}, clean=True) as s:
            s.settle()
            self.assertEqual(states(s), {})
            self.assertFalse("0000:07" in s.stderr())


class End(unittest.TestCase):
    def test_in_the_middle_of_everything(self):
        """Nothing leaks, and who waits is answered."""
        with Sim(config={"slots": [NIC, "0000:00:*.*"], "devices": [{"bdf": DISK}]},
                 scenario={"job_delay_ms": 200}) as s:
            serial = s.rpc.start("slot.add", address="0000:01:*.*", save=True)
            s.wait_for("the lists", lambda: len(s.log("job_list.start")) > 1)
            s.process.terminate()
            with self.assertRaises((RpcError, EOFError)):
                s.rpc.finish(serial)
            s.process.wait(20)


class HotAdd(unittest.TestCase):
    def test_a_listed_device_is_claimed_when_it_appears(self):
        for slot in (LATE, "0000:00:08.*", "0000:00:*.*"):
            with self.subTest(slot=slot), \
                    Sim(devices=[moved(device("e1000e", present=False), LATE)], clean=True) as s:
                add(s, slot)
                s.plug(LATE, bind_ms=200)
                s.wait_for("the device", lambda: states(s).get(LATE) == "claimed")
                self.assertEqual(s.dev(LATE)["owner"], DOMID_IO)

    def test_one_that_is_not_listed_is_not(self):
        with Sim(devices=[moved(device("e1000e", present=False), LATE)], clean=True) as s:
            s.plug(LATE)
            s.settle()
            self.assertEqual(states(s), {})
            self.assertEqual(s.dev(LATE)["driver"], "e1000e")

    def test_one_that_was_released_is_not_taken_by_a_second_add(self):
        """`udevadm trigger` says "add" of everything."""
        with Sim(config={"slots": [NIC]}, clean=True) as s:
            s.wait_for("the device", lambda: states(s).get(NIC) == "claimed")
            s.release()
            s.sim("uevent", what="add", device=NIC)
            s.settle()
            self.assertEqual(s.state(), "present")
            self.assertEqual(s.dev()["driver"], "e1000e")


if __name__ == "__main__":
    unittest.main()
