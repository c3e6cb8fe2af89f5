"""unisono info: what it tells."""

import os
import platform
import shutil
import tempfile
import unittest
from pathlib import Path

from command import TOOL, CommandTest

LIBRARY = Path(os.environ["UNISONO_LIBRARY"])  # under the name by which the command asks for it
ADAPTER = "libunisono_oneccl.so"
MPIS = ["libmpi_abi.so.1", "libmpi_abi.so.0", "libmpi.so.12", "libmpich.so.12", "libmpi.so.40"]

class Info(CommandTest):
    def facts(self):
        status, output, errors = self.command("info")
        self.assertEqual((status, errors), (0, b""))
        return dict(line.strip().split(maxsplit=1) for line in output.decode().splitlines()
                    if line.startswith("  ") and len(line.split()) > 1)

    def test_every_section(self):
        _, output, _ = self.command("info")
        sections = [line for line in output.decode().splitlines() if not line.startswith(" ")]
        self.assertEqual(sections[1:], ["processor", "topology", "memory", "costs", "system", "engines"])
        self.assertRegex(sections[0], r"^unisono \d+\.\d+\.\d+$")

    def test_facts(self):
        facts = self.facts()
        self.assertIn(platform.release(), facts["kernel"])
        self.assertGreaterEqual(int(facts["processors"]), len(os.sched_getaffinity(0)))
        self.assertIn("of", facts["usable"])
        for name in ("model", "features", "kernels", "cores", "packages", "available", "limit"):
            self.assertIn(name, facts)
        self.assertRegex(facts["mpi"], r"\([^()]*ABI\)$|^not found: .*package")
        self.assertRegex(facts["oneccl"], r"^oneCCL \d+\.\d+\.\d+$|^not usable: oneCCL |"
                                          r"^not (built|found): .*packages oneccl-cpu and ")

    def look_first_in(self, *files):
        """For libraries: in a new folder with these, which are none, and the library under test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in files:
            Path(folder.name, name).write_text("no library")
        shutil.copy(LIBRARY, folder.name)
        self.environment["LD_LIBRARY_PATH"] = folder.name

    def test_missing_mpi_names_its_packages(self):
        self.look_first_in(*MPIS)
        mpi = self.facts()["mpi"]
        self.assertRegex(mpi, "^not found: libmpi_abi.so or libmpi.so.12 of MPICH or Intel MPI, or libmpi.so.40 of ")
        for package in ("mpich", "libmpich12", "openmpi-bin", "impi-rt"):
            self.assertRegex(mpi, rf"\(packages .*\b{package}\b.*LD_LIBRARY_PATH")

    def test_missing_adapter_of_oneccl_names_its_packages(self):
        self.look_first_in()
        self.assertRegex(self.facts()["oneccl"],
                         f"^not built: {ADAPTER} .*packages oneccl-cpu and oneccl-cpu-devel of PyPI")

    def test_missing_oneccl_names_its_packages(self):
        self.look_first_in(ADAPTER)  # which is there and cannot be loaded, as without libccl.so
        self.assertRegex(self.facts()["oneccl"], f"^not found: .*{ADAPTER}.*packages oneccl-cpu and impi-rt of PyPI")

    def test_affinity_counts(self):
        one = {min(os.sched_getaffinity(0))}
        status, output, _ = self.command("info", preexec_fn=lambda: os.sched_setaffinity(0, one))
        self.assertEqual(status, 0)
        self.assertRegex(output.decode(), r"usable +1 of")

    def test_capped_kernels_are_explained(self):
        self.environment["UNISONO_ISA"] = "scalar"
        self.assertRegex(self.facts()["kernels"], "^scalar: .*UNISONO_ISA")

    def test_takes_no_arguments(self):
        self.assert_usage_error(["info", "all"], "takes no arguments")


if __name__ == "__main__":
    print(f"testing {TOOL}", flush=True)
    unittest.main(verbosity=2)
