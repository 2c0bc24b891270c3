# SPDX-License-Identifier: MIT
"""schemas/quirks.schema.json agrees with the loader: on manifests good and bad, and on those shipped."""
import glob
import json
import os
import unittest

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))

# What only the loader finds; see the schema's own description.
BEYOND_SCHEMAS = {
    "duplicate-key", "trait-twice", "id-twice",
    # hexadecimal numbers, and what depends on several members
    "match-vendor-hex-too-large", "trait-class-too-large", "match-id-outside-of-mask",
    "match-range-backwards", "image-equals-outside-of-mask", "image-equals-too-large",
    "image-misaligned", "field-misaligned", "field-cap-misaligned", "field-mask-beyond-size",
    "field-masks-overlap", "field-value-of-write", "field-image-and-value", "field-image-of-hw",
    "fields-overlap", "fields-overlap-in-capability", "field-cap-header", "field-ext-cap-header",
    "link-misaligned", "link-in-header", "link-after-null", "add-too-long", "add-outside",
    "add-copy-outside", "add-and-link-overlap", "trait-config-size-odd", "plugin-params-too-long",
    "plugin-registers-overlap", "plugin-mask-zero", "plugin-mask-beyond-size",
    # names, which the code knows
    "field-ext-cap-unknown", "hide-unknown", "hide-extended-unknown",
    "show-without-unsafe", "show-extended-without-unsafe",
}
BEYOND_PREFIXES = ("never-", "dangerous-")


def load_schema():
    with open(os.path.join(SOURCE, "schemas", "quirks.schema.json")) as f:
        schema = json.load(f)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


VALIDATOR = jsonschema.Draft202012Validator(load_schema())


def errors(value):
    return ["%s: %s" % (e.json_path, e.message) for e in VALIDATOR.iter_errors(value)]


def files(*path):
    return sorted(glob.glob(os.path.join(*path, "*.json")))


class Quirks(unittest.TestCase):
    def accept(self, paths):
        for path in paths:
            with self.subTest(path), open(path) as f:
                self.assertEqual(errors(json.load(f)), [])

    def test_good_files_please_the_schema(self):
        paths = files(HERE, "good")
        self.assertGreater(len(paths), 5)
        self.accept(paths)

    def test_shipped_files_please_the_schema(self):
        self.accept(files(SOURCE, "quirks.d"))

    def test_bad_files_displease_the_schema(self):
        seen = set()
        for path in files(HERE, "bad"):
            name = os.path.basename(path)[:-len(".json")]
            beyond = name in BEYOND_SCHEMAS or name.startswith(BEYOND_PREFIXES)
            seen.add(name)
            with self.subTest(name):
                with open(path) as f:
                    text = f.read()
                try:
                    value = json.loads(text)
                except ValueError:
                    self.assertTrue(name.startswith("syntax-"), "not JSON, so name it syntax-")
                    continue
                self.assertFalse(name.startswith("syntax-"))
                self.assertEqual(errors(value) == [], beyond)
        self.assertLessEqual(BEYOND_SCHEMAS, seen)

    def test_every_trait_is_described(self):
        with open(os.path.join(SOURCE, "core", "pci", "traits.h")) as f:
            rows = f.read().split("#define PB_TRAITS(X)")[1].split("enum pb_trait")[0]
        keys = [line.split('"')[1] for line in rows.splitlines() if line.strip().startswith("X(")]
        quirk = VALIDATOR.schema["properties"]["quirks"]["items"]["properties"]
        self.assertEqual(keys, list(quirk["device"]["properties"]))


if __name__ == "__main__":
    unittest.main()
