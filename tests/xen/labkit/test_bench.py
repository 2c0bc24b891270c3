# SPDX-License-Identifier: MIT
"""The report of the boot bench: medians, ratios, goals, and that nothing which was not measured goes unnoticed."""
import glob
import json
import os
import subprocess
import unittest

import jsonschema

from . import conf

REPORT = os.path.join(conf.BOOTS, "bench", "report.awk")
PROJECT = os.path.join(conf.LAB, "..", "..")
KINDS = "ids status command vendor write_hardware write_shadow ids_alone scan_256 scan_4096".split()


def samples(kernel=300.0, pcibackd=90.0, floor=80.0, wakeups=0):
    """Three rounds, the last one far off: the median must not care."""
    lines = ["# xen 4.17", '# kernel 6.1 "x"']
    variants = {"kernel": kernel, "pcibackd": pcibackd, "floor": floor, "floor_cycle": floor, "pcibackd_unpolled": kernel,
                "kernel_1cpu": kernel, "pcibackd_1cpu": kernel, "pcibackd_1cpu_unpolled": kernel,
                "alone": floor, "beside_a_flood": 2 * floor, "beside_a_loop": floor}
    for stray in (1, 1.5, 100):
        for variant, figure in variants.items():
            for kind in KINDS:
                lines.append(f"{variant} {kind}_p50_us {figure * stray}")
                lines.append(f"{variant} {kind}_p99_us {2 * figure * stray}")
            for metric in ("enumeration_ms", "dom0_cpu_ids_ms", "dom0_cpu_status_ms"):
                lines.append(f"{variant} {metric} {figure * stray}")
    return lines + [f"pcibackd idle_wakeups_per_s {wakeups}", "kernel idle_wakeups_per_s 0"]


def report(form, lines):
    done = subprocess.run(["awk", "-v", f"form={form}", "-f", REPORT], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout


class Bench(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(PROJECT, "schemas", "bench.schema.json"), encoding="utf-8") as file:
            self.schema = jsonschema.Draft202012Validator(json.load(file))

    def json(self, lines):
        _, text = report("json", lines)
        self.assertEqual(text.count("\n"), 1)
        result = json.loads(text)
        self.assertEqual([error.message for error in self.schema.iter_errors(result)], [])
        return result

    def test_medians_and_ratios(self):
        result = self.json(samples())
        self.assertEqual((result["rounds"], result["kernel"]), (3, '6.1 "x"'))
        self.assertEqual(result["medians"]["kernel"]["ids_p50_us"], 450)
        self.assertEqual(result["ratios"]["pcibackd:kernel"]["ids_p50_us"], 0.3)
        self.assertEqual(result["ratios"]["beside_a_flood:alone"]["status_p99_us"], 2)

    def test_goals(self):
        def missed(**figures):
            return [goal["metric"] for goal in self.json(samples(**figures))["goals"] if not goal["met"]]

        self.assertEqual(missed(pcibackd=60.0), [])
        self.assertEqual(missed(pcibackd=90.0), ["scan_256_p50_us"])
        self.assertEqual(len(missed(pcibackd=301.0)), 10)
        self.assertEqual(missed(pcibackd=60.0, wakeups=0.2), ["idle_wakeups_per_s"])
        self.assertEqual(report("missed", samples(pcibackd=60.0))[1], "")
        self.assertIn("scan of 256 bytes: 0.30", report("missed", samples(pcibackd=90.0))[1])

    def test_what_was_not_measured(self):
        self.assertEqual(report("missing", samples()), (0, ""))
        for gone in ("kernel scan_4096_p50_us", "floor ids_p50_us", "pcibackd enumeration_ms", "beside_a_flood status_p99_us",
                     "pcibackd idle_wakeups_per_s", "pcibackd_1cpu_unpolled status_p99_us"):
            lines = [line for line in samples() if not line.startswith(gone)]
            self.assertEqual(report("missing", lines), (1, f"not measured: {gone}\n"))

    def test_committed_results(self):
        for path in glob.glob(os.path.join(PROJECT, "contrib", "bench-results", "*.json")):
            with open(path, encoding="utf-8") as file:
                result = json.load(file)
            self.assertEqual([error.message for error in self.schema.iter_errors(result)], [], path)
            self.assertIn("date", result)
            self.assertGreaterEqual(result["rounds"], 5, path)


if __name__ == "__main__":
    unittest.main()
