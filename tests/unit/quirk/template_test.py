# SPDX-License-Identifier: MIT
"""contrib/plugin-template builds against an installed tree alone, and what it builds is used."""
import os
import shutil
import subprocess
import tempfile
import unittest

CMAKE, BUILD, TEMPLATE, CHECK = (os.environ[k] for k in ("CMAKE", "BUILD", "TEMPLATE", "CHECK"))


def run(*command, **env):
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Template(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="pcibackd-template.")
        self.addCleanup(shutil.rmtree, self.top)
        self.system = os.path.join(self.top, "system")
        run(CMAKE, "--install", BUILD, "--prefix", "/usr", DESTDIR=self.system)

    def test_an_install_brings_the_header_and_the_plugins(self):
        usr = os.path.join(self.system, "usr")
        self.assertTrue(os.path.isfile(os.path.join(usr, "include/pcibackd/plugin.h")))
        self.assertEqual(
            sorted(os.listdir(os.path.join(usr, "lib/pcibackd/plugins"))),
            ["i219-flr.so", "igd-view.so", "msi-real-readback.so", "nvme-quiesce.so", "trace.so"])
        for name in ("i219-flr", "igd-view", "msi-real-readback", "nvme-quiesce", "trace"):
            mode = os.stat(os.path.join(usr, f"lib/pcibackd/plugins/{name}.so")).st_mode
            self.assertEqual(mode & 0o022, 0, f"{name}: others may write to it, and it would be refused")

    def test_it_builds_out_of_tree_and_its_plugin_works(self):
        source, build, own = (os.path.join(self.top, d) for d in ("source", "build", "own"))
        shutil.copytree(TEMPLATE, source)
        run(CMAKE, "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.system}/usr",
            "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_C_FLAGS=-Werror")
        run(CMAKE, "--build", build)
        run(CMAKE, "--install", build, DESTDIR=own)
        self.assertEqual(
            run(CHECK, os.path.join(own, "usr/share/pcibackd/quirks.d"), os.path.join(own, "usr/lib/pcibackd/plugins")),
            "ok\n")

    def test_without_an_installed_header_it_says_so(self):
        build = os.path.join(self.top, "build")
        with self.assertRaisesRegex(AssertionError, "PCIBACKD_INCLUDE"):
            run(CMAKE, "-S", TEMPLATE, "-B", build, "-G", "Ninja", f"-DCMAKE_FIND_ROOT_PATH={self.top}/nowhere",
                "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY")


if __name__ == "__main__":
    unittest.main()
