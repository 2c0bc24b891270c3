# SPDX-License-Identifier: MIT
"""What a boot's results mean. One place decides, so that `run`, `result` and ctest never disagree."""
import os
import re

RESULT = re.compile(r"^(ok|not ok) ([^:\s]+): (.*)$")
HOST_DIED = re.compile(r"\(XEN\) Panic on CPU|\(XEN\) .*Xen BUG at|Kernel panic - not syncing|"
                       r"\(XEN\) Hardware Dom0 (crashed|halted)")

PASSED, FAILED, TIMED_OUT, INCONCLUSIVE = "passed", "failed", "timed out", "inconclusive"
EXIT = {PASSED: 0, FAILED: 1, TIMED_OUT: 3, INCONCLUSIVE: 4}


def judge(boot, outcome):
    """Return the verdict of one boot and every reason for it."""
    if not outcome.came_up:
        if outcome.host_panic:
            return INCONCLUSIVE, [f"the host died before dom0 was up: {outcome.host_panic}"]
        return INCONCLUSIVE, [f"the host never came up ({outcome.ended})"]
    if outcome.emulator_crashed:
        return INCONCLUSIVE, [f"the emulator died ({outcome.ended})"]
    if outcome.inconclusive and not outcome.host_panic:
        return INCONCLUSIVE, [outcome.inconclusive]
    reasons = []
    if outcome.host_panic:
        reasons.append(f"the host crashed: {outcome.host_panic}")
    elif outcome.timed_out:
        reasons.append(f"no end within {boot.timeout} s; last: {outcome.last_line}")
    elif outcome.script_status is None:
        reasons.append(f"the machine stopped before dom0's script ended ({outcome.ended})")
    elif outcome.script_status != 0:
        reasons.append(f"dom0's script ended with {outcome.script_status}")
    if not outcome.results:
        reasons.append("not one check ran")
    reasons += [f"not ok {scenario}: {text}" for state, scenario, text in outcome.results if state != "ok"]
    ran = {scenario for _, scenario, _ in outcome.results}
    reasons += [f"scenario {name} of boot.conf had no check" for name in boot.scenarios if name not in ran]
    reasons += [f"scenario {name} ran and is not listed in boot.conf" for name in sorted(ran - set(boot.scenarios))]
    if not reasons:
        return PASSED, []
    return (TIMED_OUT if outcome.timed_out and not outcome.host_panic else FAILED), reasons


def only_scenarios_failed(status, reasons):
    """True if scenario_status() tells of every reason, so that a caller who asks it for each scenario misses nothing."""
    return status in (PASSED, FAILED) and all(
        reason.startswith("not ok ") or reason.endswith(" had no check") for reason in reasons)


def write_results(path, results, details):
    with open(path, "w", encoding="utf-8") as file:
        for place, (state, scenario, text) in enumerate(results):
            file.write(f"{state} {scenario}: {text}\n")
            file.writelines(f"# {line}\n" for line in details.get(place, []))


def scenario_status(out, scenario):
    path = os.path.join(out, "results.txt")
    if not os.path.isfile(path):
        print(f"{path} is missing: the boot did not run")
        return 1
    good = bad = 0
    showing = False              # a result's details follow it
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = RESULT.match(line.rstrip("\n"))
            if match:
                showing = match.group(2) == scenario
            if showing:
                print(line, end="")
            if showing and match:
                if match.group(1) == "ok":
                    good += 1
                else:
                    bad += 1
    if not good and not bad:
        print(f"scenario {scenario} had no check")
    return 0 if good and not bad else 1
