"""unisono info: what it tells."""

import os
import platform
import unittest

from command import TOOL, CommandTest


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
        self.assertRegex(facts["mpi"], r"\([^()]*ABI\)$|not found: .*package")

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
