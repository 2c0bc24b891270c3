# SPDX-License-Identifier: MIT
"""Manual pages and completion name what there is: limits, keys, verbs, options."""
import json
import os
import re
import subprocess
import unittest

import fakelib
from fakelib import Daemon


def read(*path):
    with open(os.path.join(fakelib.SOURCE, *path)) as f:
        return f.read()


def page(name):
    return read("contrib", "man", name).replace("\\-", "-")


def config_schema():
    return json.loads(read("schemas", "config.schema.json"))


class Manual(unittest.TestCase):
    def test_limits_are_the_programs(self):
        done = subprocess.run([os.path.join(fakelib.SOURCE, "contrib", "limits"), "--check",
                               os.environ["PCIBACKD_LIMITS"]], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_limit_stands_in_the_page_with_its_bounds(self):
        text = page("pcibackd.conf.5")
        limits = config_schema()["properties"]["limits"]["properties"]
        self.assertTrue(limits)
        for name, limit in limits.items():
            bounds = limit["anyOf"][0]
            row = "%s\t%d\t%d\t%d\t" % (name, limit["default"], bounds["minimum"], bounds["maximum"])
            self.assertIn(row, text)
        self.assertEqual(len(re.findall(r"(?m)^\w+\t\d+\t\d+\t", text)), len(limits))

    def test_every_key_stands_in_the_page(self):
        text = page("pcibackd.conf.5")
        properties = config_schema()["properties"]
        for key, value in properties.items():
            self.assertRegex(text, r"\b%s\b" % key)
            if key in ("control", "backend"):
                for inner in value["properties"]:
                    self.assertIn("%s.%s" % (key, inner), text)
        for key in properties["devices"]["items"]["properties"]:
            self.assertRegex(text, r"(?m)^\.(B|BR|TP).*\b%s\b" % key)

    def test_examples_are_valid(self):
        for name, count in (("pcibackd.conf.5", 1), ("pcibackd.8", 1)):
            examples = re.findall(r"\.nf\n(\{.*?)\.fi", page(name), re.S)
            self.assertEqual(len(examples), count)
            for example in examples:
                with self.subTest(name), Daemon(json.loads(example)) as d:
                    self.assertEqual(d.run_to_end("--check-config").returncode, 0)

    def test_every_use_of_the_host_and_every_shared_thing(self):
        text, host = page("pcibackd.8"), read("core", "host", "host.h")
        for name in ("USES", "SHARES"):
            part = re.search(r"#define PB_%s\(X\)(.*?)\n\n" % name, host, re.S).group(1)
            words = re.findall(r'X\([A-Z]+, "([a-z]+)"', part)
            self.assertGreater(len(words), 4)
            for word in words:
                self.assertRegex(text, r"(?m)^\.(B|BR) .*\b%s\b" % word)

    def test_every_topology(self):
        words = re.findall(r'X\([A-Z]+, "([a-z]+)"', read("core", "proto", "topology.h"))
        self.assertIn("vpci", words)
        for word in words:
            self.assertRegex(page("pcibackd.conf.5"), r"(?m)^\.B %s$" % word)

    def test_every_unit_and_rule(self):
        text = page("pcibackd.8")
        for folder in ("systemd", "udev"):
            names = os.listdir(os.path.join(fakelib.SOURCE, "contrib", folder))
            self.assertTrue(names)
            for name in names:
                self.assertIn(name, text)
        for name in re.findall(r"\b(pcibackd[\w-]*\.service)\b", text):
            self.assertTrue(os.path.exists(os.path.join(fakelib.SOURCE, "contrib", "systemd", name)))

    def test_sections_that_are_referred_to(self):
        pages = {name: page(name) for name in ("pcibackctl.1", "pcibackd.8", "pcibackd.conf.5")}
        heads = re.findall(r"(?m)^\.SH ([A-Z ]+)$", pages["pcibackd.8"])
        referred = re.findall(r"\b((?:XL )?[A-Z]{4,})(?: and ([A-Z]{4,}))? in\n\.BR pcibackd \(8\)",
                              "".join(pages.values()))
        referred = {word for words in referred for word in words if word}
        referred |= set(re.findall(r"[Ss]ee ([A-Z]{4,}|XL MODE)\b", pages["pcibackd.8"]))
        self.assertLess({"SLOTS", "TAINT", "PROTECTION", "XL MODE", "BOOT"}, referred)
        self.assertLessEqual(referred, set(heads))

    def test_every_verb_and_option_of_the_tool(self):
        text = page("pcibackctl.1")
        summary = fakelib.ctl("help").stdout
        verbs = re.findall(r"(?m)^  ([a-z-]+)", summary)
        self.assertIn("attach", verbs)
        for verb in verbs:
            self.assertRegex(text, r'(?m)^\.(B|BI|BR) "?%s\b' % verb)
        for verb in re.findall(r"(?m)^  ((?:quirks|slot) [a-z-]+)", summary):
            self.assertRegex(text, r'(?m)^\.(B|BI|BR) "%s\b' % verb)
        for option in set(re.findall(r"--[a-z-]+", summary)):
            self.assertIn(option, text)
        with Daemon() as d:
            for state in d.start().ask("stats")["result"]["device_states"]:
                self.assertRegex(text, r"(?m)^\.B %s$" % state)

    def test_every_reason_in_the_order_of_why(self):
        codes = re.findall(r'(?m)^    \{ "([a-z-]+)", \w+ \},$', read("core", "backend", "why.c"))
        self.assertIn("tainted", codes)
        part = re.search(r"(?s)\.SH REASONS(.*?)\.SH", page("pcibackctl.1")).group(1)
        self.assertEqual(re.findall(r"(?m)^\.TP\n\.B ([a-z-]+)$", part), codes)

    def test_every_key_of_a_manifest(self):
        def keys(schema):
            if isinstance(schema, dict):
                for key, value in schema.get("properties", {}).items():
                    yield key
                    yield from keys(value)
                for key, value in schema.items():
                    if key != "properties":
                        yield from keys(value)
            elif isinstance(schema, list):
                for value in schema:
                    yield from keys(value)
        text = page("pcibackd-quirks.5")
        found = set(keys(json.loads(read("schemas", "quirks.schema.json"))))
        self.assertLess({"fields", "hide_extended", "device_mask", "params", "copy"}, found)
        for key in found:
            self.assertRegex(text, r"(?<![\w])%s(?![\w])" % re.escape(key))

    def test_every_property_of_a_device_in_a_manifest(self):
        text = page("pcibackd-quirks.5")
        keys = re.findall(r'(?m)^    X\([A-Z0-9_]+, "(\w+)", "', read("core", "pci", "traits.h"))
        self.assertIn("config_size", keys)
        for key in keys:
            self.assertRegex(text, r"(?m)^\.(B|BR).*\b%s\b" % key)

    def test_every_name_of_a_capability(self):
        names = re.findall(r'(?m)^    \{ \w+, [^"\n]*?"(\w+)",\s*(NULL|.)',
                           read("core", "pci", "cap_table.c"))
        self.assertIn(("msix", "NULL"), names)
        page_names = re.search(r"(?s)\.SS Names of capabilities(.*?)\.SH",
                               page("pcibackd-quirks.5")).group(1)
        self.assertEqual(sorted(n + ("" if shown == "NULL" else "*") for n, shown in names),
                         sorted(re.findall(r"\b[a-z0-9]+\b\*?(?=,|\n\.|$)", page_names)))

    def test_every_option_of_the_daemon(self):
        text = page("pcibackd.8")
        usage = subprocess.run([fakelib.PCIBACKD, "--help"], capture_output=True, text=True).stdout
        options = re.findall(r"(?m)^  (--[a-z-]+)", usage)
        self.assertIn("--config", options)
        for option in options:
            self.assertRegex(text, r"(?m)^\.(B|BI) %s\b" % option)


class Completion(unittest.TestCase):
    def complete(self, *words):
        script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pcibackctl;'
                  ' printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.dirname(fakelib.PCIBACKCTL) + ":" + os.environ["PATH"]
        done = subprocess.run(
            ["bash", "-c", script, os.path.join(fakelib.SOURCE, "contrib/completion/pcibackctl"),
             "pcibackctl", *words], capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": path})
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_verbs(self):
        verbs = re.findall(r"(?m)^  ([a-z-]+)", fakelib.ctl("help").stdout)
        self.assertEqual(set(self.complete("")), {*verbs, "--socket", "--json", "--timeout"})
        self.assertEqual(self.complete("rele"), ["release"])
        self.assertEqual(self.complete("--json", "rele"), ["release"])
        self.assertEqual(self.complete("--timeout", "3", "rele"), ["release"])

    def test_verbs_of_two_words(self):
        for family in ("quirks", "slot"):
            verbs = re.findall(r"(?m)^  %s ([a-z-]+)" % family, fakelib.ctl("help").stdout)
            self.assertTrue(verbs)
            self.assertEqual(set(self.complete(family, "")), set(verbs))
        self.assertEqual(self.complete("slot", "rem"), ["remove"])
        self.assertEqual(self.complete("quirks", "im"), ["import-sxp"])

    def test_every_option_of_the_tool(self):
        summary = fakelib.ctl("help").stdout
        options = re.findall(r"(?m)^  ((?:quirks|slot) [a-z-]+|[a-z-]+).*\[(--.*)\]$", summary)
        self.assertGreater(len(options), 8)
        for verb, text in options:
            for option in re.findall(r"--[a-z-]+", text):
                with self.subTest(verb, option=option):
                    words = ["--dump", "x"] if "--dump" in text and option != "--dump" else []
                    self.assertEqual(self.complete(*verb.split(), *words, option), [option])

    def test_options_of_verbs(self):
        self.assertIn("--force", self.complete("claim", "nic0", "--f"))
        self.assertEqual(self.complete("attach", "g", "d", "--w"), ["--wait"])
        self.assertEqual(self.complete("attach", "g", "d", "--wait", ""), [])
        self.assertEqual(self.complete("list", "--j"), ["--json"])
        self.assertEqual(set(self.complete("map", "d", "--color", "")), {"always", "never", "auto"})
        self.assertEqual(self.complete("quirks", "query", "--ids", ""), [])


if __name__ == "__main__":
    unittest.main()
