# SPDX-License-Identifier: MIT
"""The schemas agree with the daemon: on configurations good and bad, requests and replies."""
import glob
import json
import os
import re
import subprocess
import unittest

import jsonschema

import fakelib
from fakelib import Daemon

CONFIGS = os.path.join(fakelib.HERE, "configs")

# What only the daemon finds: two entries that conflict, hexadecimal numbers out of range, keys that
# are repeated (a parser keeps the last one).
BEYOND_SCHEMAS = {"address-twice", "name-twice", "guest-twice", "vendor-hex-too-large",
                  "limit-hex-too-large", "duplicate-key", "duplicate-key-in-device",
                  "path-to-another-function", "path-is-another-address",
                  "path-too-long-when-written-out", "assignment-unknown-name", "assignment-twice",
                  "assignment-twice-by-name", "assignment-twice-to-one-guest"}


def load_schemas():
    store = {}
    for path in glob.glob(os.path.join(fakelib.SOURCE, "schemas", "*.schema.json")):
        with open(path) as f:
            schema = json.load(f)
        jsonschema.Draft202012Validator.check_schema(schema)
        name = os.path.basename(path)[:-len(".schema.json")]
        assert schema["$id"] == "urn:pcibackd:" + name, path
        store[schema["$id"]] = schema
    return store


STORE = load_schemas()


def errors(name, value):
    schema = STORE["urn:pcibackd:" + name]
    resolver = jsonschema.RefResolver(schema["$id"], schema, store=STORE)
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver)
    return ["%s: %s" % (e.json_path, e.message) for e in validator.iter_errors(value)]


def corpus(kind):
    paths = sorted(glob.glob(os.path.join(CONFIGS, kind, "*.json")))
    assert paths, "no files in configs/" + kind
    return [(os.path.basename(p)[:-len(".json")], p) for p in paths]


def check_config(path):
    return subprocess.run([fakelib.PCIBACKD, "--check-config", "--config", path],
                          capture_output=True, timeout=fakelib.PATIENCE_S)


class Config(unittest.TestCase):
    def test_good_files_please_daemon_and_schema(self):
        for name, path in corpus("good"):
            with self.subTest(name):
                done = check_config(path)
                self.assertEqual(done.returncode, 0)
                # the machine that runs this need not have these directories and quirks
                self.assertRegex(done.stderr, rb"\A(warn: configuration: /disable/.*\n"
                                 rb"|warn: .*: there is no such directory\n)*\Z")
                self.assertRegex(done.stdout.decode(), r"\A%s: valid, 1 file read\n"
                                 r"\d+ quirks? from \d+ files?\n\Z" % re.escape(path))
                with open(path) as f:
                    self.assertEqual(errors("config", json.load(f)), [])

    def test_bad_files_get_the_expected_message(self):
        for name, path in corpus("bad"):
            with self.subTest(name):
                with open(path[:-len(".json")] + ".expect") as f:
                    expected = f.read().rstrip("\n").replace("FILE", path)
                done = check_config(path)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stderr.decode(errors="replace"),
                                 "err: %s%s; correct it and try again\n" % (path, expected))
                self.assertEqual(done.stdout, b"")

    def test_bad_files_displease_the_schema(self):
        for name, path in corpus("bad"):
            with self.subTest(name):
                with open(path, "rb") as f:
                    text = f.read()
                try:
                    value = json.loads(text)
                except ValueError:
                    self.assertTrue(name.startswith("syntax-"), "not JSON, so name it syntax-")
                    continue
                self.assertFalse(name.startswith("syntax-"))
                self.assertEqual(errors("config", value) == [], name in BEYOND_SCHEMAS)

    def test_defaults_of_the_schema_are_the_daemons(self):
        with Daemon() as d:
            limits = d.start().ask("stats")["result"]["limits"]
        schema = STORE["urn:pcibackd:config"]["properties"]["limits"]["properties"]
        self.assertEqual({k: v["value"] for k, v in limits.items()},
                         {k: v["default"] for k, v in schema.items()})
        for name, limit in schema.items():
            self.assertEqual(limit["description"].lower(), limits[name]["help"].lower() + ".")
            bounds = limit["anyOf"][0]
            for value, fine in ((bounds["minimum"], True), (bounds["maximum"], True),
                                (bounds["minimum"] - 1, False), (bounds["maximum"] + 1, False)):
                with self.subTest(name, value=value), Daemon({"limits": {name: value}}) as d:
                    self.assertEqual(d.run_to_end("--check-config").returncode, 0 if fine else 1)


GOOD_REQUESTS = [
    ("list", None), ("list", {}), ("guests", {}), ("stats", {}), ("version", {}),
    ("check-config", {}), ("show", {"dev": "nic0"}), ("claim", {"dev": "0000:03:00.0"}),
    ("claim", {"dev": "nic0", "force": True}), ("release", {"dev": "nic0", "force": False}),
    ("attach", {"guest": "netvm", "dev": "nic0"}), ("attach", {"guest": 7, "dev": "nic0"}),
    ("attach", {"guest": "7", "dev": "nic0", "claim": True, "permissive": True, "force": True,
                "wait": 600}),
    ("attach", {"guest": "7", "dev": "nic0", "wait": "0x10"}),
    ("detach", {"guest": "netvm", "dev": "nic0", "force": True}),
    ("why", {"dev": "nic0"}), ("why", {"dev": "0000:04:00.0"}), ("reset", {"dev": "nic0"}),
    ("slot.list", {}), ("slot.add", {"address": "0000:06:00.*", "save": True}),
    ("slot.add", {"address": "6:*.*"}), ("slot.add", {"address": "05:1f.7", "save": False}),
    ("slot.list", None), ("slot.remove", {"address": "06:00.*"}),
    ("quirks.list", {}), ("quirks.explain", {"dev": "nic0"}), ("map", {"dev": "0000:03:00.0"}),
    ("denied", {"dev": "nic0"}), ("suggest-quirk", {"dev": "nic0"}),
    ("reload", {"dry_run": True}), ("reload", {"dry_run": False}), ("reload", None),
]
BAD_REQUESTS = [
    ("frob", {}), ("list", {"dev": "nic0"}), ("list", []), ("show", None), ("show", {}),
    ("show", {"dev": 3}), ("show", {"dev": ""}), ("show", {"dev": "x" * 65}),
    ("show", {"dev": "a\tb"}), ("claim", {"dev": "nic0", "force": 1}),
    ("claim", {"device": "nic0"}), ("attach", {"dev": "nic0"}), ("attach", {"guest": "g"}),
    ("attach", {"guest": -1, "dev": "d"}), ("attach", {"guest": "g", "dev": "d", "wait": 601}),
    ("attach", {"guest": "g", "dev": "d", "wait": -1}),
    ("detach", {"guest": "g", "dev": "d", "wait": 1}), ("detach", {"guest": None, "dev": "d"}),
    ("quirks", {}), ("quirks.list", {"dev": "nic0"}), ("quirks.explain", {}), ("map", None),
    ("denied", {"dev": 3}), ("suggest-quirk", {"dev": "nic0", "force": True}),
    ("trace", {"dev": "nic0", "since": -1}), ("trace", {"since": 1}),
    ("trace", {"dev": "nic0", "since": "1"}), ("reload", {"dry_run": 1}),
    ("reload", {"dry-run": True}),
    ("why", {}), ("why", {"dev": "nic0", "save": True}), ("reset", {"dev": "nic0", "force": True}),
    ("slot", {}), ("slot.list", {"address": "06:00.0"}), ("slot.add", {}), ("slot.add", None),
    ("slot.add", {"dev": "06:00.0"}), ("slot.add", {"address": 6}), ("slot.add", {"address": ""}),
    ("slot.add", {"address": "06:*.0"}), ("slot.add", {"address": " 06:00.0"}),
    ("slot.add", {"address": "06:00.0x"}), ("slot.add", {"address": "06:00"}),
    ("slot.add", {"address": "06:00.8"}), ("slot.add", {"address": "*.*"}),
    ("slot.add", {"address": "nic0"}), ("slot.remove", {"address": "06:00.0", "save": 1}),
    ("slot.remove", {"address": "06:00.0", "force": True}),
]


class Messages(unittest.TestCase):
    @staticmethod
    def request(method, params):
        message = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            message["params"] = params
        return message

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_good_requests_and_their_replies(self):
        seen = set()
        with Daemon() as d:
            d.start()
            for method, params in GOOD_REQUESTS:
                with self.subTest(method, params=params):
                    self.assertEqual(errors("request", self.request(method, params)), [])
                    self.assertEqual(errors("reply-" + method, d.ask(method, params)), [])
                    seen.add(method)
            verbs = {v["name"] for v in d.ask("version")["result"]["verbs"]}
        self.assertEqual(seen | {"trace"}, verbs)  # which needs a plugin
        self.assertEqual(verbs, {s[len("urn:pcibackd:reply-"):] for s in STORE if "reply-" in s})

    def test_bad_requests_and_their_errors(self):
        with Daemon() as d:
            d.start()
            for method, params in BAD_REQUESTS:
                with self.subTest(method, params=params):
                    self.assertNotEqual(errors("request", self.request(method, params)), [])
                    reply = d.ask(method, params)
                    self.assertEqual(errors("error", reply), [])
                    self.assertIn(reply["error"]["code"], (-32601, -32602))

    @staticmethod
    def ask_as_nobody(d, requests):
        """The replies, by a client of another user."""
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            os.setgroups([])
            os.setuid(65534)
            with open(writer, "w") as f:
                json.dump([d.ask(method, params) for method, params in requests], f)
            os._exit(0)
        os.close(writer)
        with open(reader) as f:
            replies = json.load(f)
        os.wait()
        return replies

    @unittest.skipUnless(fakelib.ROOT, "another user is needed")
    def test_whoever_may_connect_reads_and_only_root_changes(self):
        with Daemon() as d:
            d.start()
            os.chmod(d.dir, 0o755)
            os.chmod(d.socket, 0o666)
            denied = set()
            for (method, params), reply in zip(GOOD_REQUESTS, self.ask_as_nobody(d, GOOD_REQUESTS)):
                with self.subTest(method, params=params):
                    if "error" in reply:
                        self.assert_fails(reply, "permission")
                        self.assertIn("only root may " + method, reply["error"]["data"]["reason"])
                        denied.add(method)
            self.assertEqual(denied, {"claim", "release", "attach", "detach", "reset", "slot.add",
                                      "slot.remove", "reload"})

    def assert_fails(self, reply, code):
        self.assertEqual(errors("error", reply), [])
        self.assertEqual(reply["error"]["data"]["code"], code)

    def test_failures_are_described(self):
        with Daemon() as d:
            d.start()
            self.assert_fails(d.ask("show", {"dev": "missing"}), "not-found")
            self.assert_fails(d.ask("why", {"dev": "missing"}), "not-found")
            for method in ("quirks.explain", "map", "denied", "suggest-quirk", "trace"):
                with self.subTest(method):
                    self.assert_fails(d.ask(method, {"dev": "missing"}), "not-found")
                    reply = d.ask(method, {"dev": "0000:04:00.0"})
                    self.assert_fails(reply, "wrong-state")
                    self.assertIn("pcibackctl claim", reply["error"]["data"]["next"])
            self.assert_fails(d.ask("trace", {"dev": "nic0"}), "wrong-state")

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_problems_of_manifests_are_described(self):
        with Daemon() as d:
            d.write_quirk("50-bad.json", "{")
            d.write_quirk("50-good.json", fakelib.manifest("test-good"))
            d.start()
            reply = d.ask("quirks.list")
            self.assertEqual(errors("reply-quirks.list", reply), [])
            self.assertEqual(len(reply["result"]["problems"]), 1)
            self.assertEqual([q["id"] for q in reply["result"]["quirks"]], ["test-good"])
            reply = d.ask("check-config")
            self.assertEqual(errors("reply-check-config", reply), [])
            self.assertIn("50-bad.json:1:", reply["result"]["problems"][0]["text"])
            reply = d.ask("reload")
            self.assert_fails(reply, "bad-config")
            self.assertIn("50-bad.json:1:", reply["error"]["data"]["problems"][0]["text"])

    def test_names_of_files_may_be_any_bytes(self):
        with Daemon() as d:
            d.write_quirk("50-good.json", fakelib.manifest("test-good"))
            for name in (b"50-\xff.json", b"50-a\nb.json", b"50-\xc3\xa4.json", b"\x80.json"):
                with open(os.path.join(os.fsencode(d.quirks), name), "w") as f:
                    f.write("{")
            reply = d.start().ask("quirks.list")
            self.assertEqual(errors("reply-quirks.list", reply), [])
            self.assertEqual([q["id"] for q in reply["result"]["quirks"]], ["test-good"])
            self.assertEqual(len(reply["result"]["problems"]), 4)

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_a_reload_with_changes_is_described(self):
        with Daemon() as d:
            d.start()
            d.write_quirk("50-new.json", fakelib.manifest("test-new"))
            d.configure(state_dir="/run/elsewhere", disable=["unknown-quirk"])
            for dry_run in (True, False):
                reply = d.ask("reload", {"dry_run": dry_run})
                self.assertEqual(errors("reply-reload", reply), [])
                result = reply["result"]
                self.assertEqual((result["dry_run"], result["generation"], result["quirks"]),
                                 (dry_run, 1 if dry_run else 2, 1))
                self.assertEqual(result["needs_restart"], ["state_dir"])
                self.assertIn("unknown-quirk", result["warnings"][0])
                self.assertEqual([c["device"] for c in result["changes"]], ["0000:03:00.0"])
                self.assertEqual(result["changes"][0]["guest"], {"domid": 7, "name": "netvm"})
            self.assertIn("test-new", d.ask("show", {"dev": "nic0"})["result"]["device"]["quirks"])
            explained = d.ask("quirks.explain", {"dev": "nic0"})
            self.assertEqual(errors("reply-quirks.explain", explained), [])
            self.assertEqual([q["id"] for q in explained["result"]["quirks"]], ["test-new"])

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_trace_goes_on_where_it_was_left(self):
        plugin = {"name": "trace", "registers": [{"at": "0x40", "size": 4, "mask": "0xffffffff"}]}

        def trace(**params):
            reply = d.ask("trace", {"dev": "nic0", **params})
            self.assertEqual(errors("request", self.request("trace", {"dev": "nic0", **params})), [])
            self.assertEqual(errors("reply-trace", reply), [])
            return reply["result"]

        with Daemon({"plugin_dirs": [fakelib.PLUGINS]}) as d:
            d.start()
            reply = d.ask("trace", {"dev": "nic0"})
            self.assert_fails(reply, "wrong-state")
            self.assertIn("plugin \"trace\"", reply["error"]["data"]["next"])
            d.write_quirk("10-trace.json", fakelib.manifest("test-opt-in", plugin=plugin,
                                                            disabled=True))
            self.assertIn("result", d.ask("reload"))
            self.assertIn("copy %s/10-trace.json to" % d.quirks,
                          d.ask("trace", {"dev": "nic0"})["error"]["data"]["next"])
            d.write_quirk("90-trace.json", fakelib.manifest("test-trace", plugin=plugin))
            self.assertIn("result", d.ask("reload"))
            self.assertEqual(trace(), {**trace(), "entries": [], "next": 0, "lost": 0})
            d.ask("claim", {"dev": "nic0"})
            first = trace()
            self.assertEqual([e["write"] for e in first["entries"]], [True, False])
            self.assertEqual(first["entries"][0], {
                **first["entries"][0], "number": 1, "offset": "0x40", "size": 4,
                "value": "0x00001234", "mask": "0xffffffff"})
            self.assertEqual(first["next"], 2)
            self.assertEqual(trace(since=2), {**first, "entries": []})
            d.ask("claim", {"dev": "nic0"})
            self.assertEqual([e["number"] for e in trace(since="0x2")["entries"]], [3, 4])
            # what was there before another guest came is no number of this one's
            self.assertEqual([e["number"] for e in trace(since=1000)["entries"]], [1, 2, 3, 4])
            for _ in range(600):
                d.ask("claim", {"dev": "nic0"})
            late = trace(since=4)
            self.assertEqual((len(late["entries"]), late["next"]), (1024, 1204))
            self.assertEqual(late["lost"], 1200 - 1024)
            shown = d.ask("show", {"dev": "nic0"})
            self.assertEqual(errors("reply-show", shown), [])
            # its attach, too
            self.assertEqual(shown["result"]["device"]["plugins"][0]["calls"], 1 + 1204)
            stats = d.ask("stats")
            self.assertEqual(errors("reply-stats", stats), [])
            self.assertEqual(stats["result"]["devices"][0]["plugin_stats"]["trace.writes"], 602)

    @unittest.skipUnless(fakelib.ROOT, "only root may change")
    def test_loading_what_is_suggested_is_allowed(self):
        with Daemon() as d:
            manifest = d.start().ask("suggest-quirk", {"dev": "nic0"})["result"]["manifest"]
            self.assertEqual(errors("quirks", manifest), [])
            d.write_quirk("90-suggested.json", json.dumps(manifest))
            reply = d.ask("reload")
            self.assertEqual(errors("reply-reload", reply), [])
            self.assertEqual(reply["result"]["quirks"], 1)


if __name__ == "__main__":
    unittest.main()
