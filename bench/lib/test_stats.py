"""Tests of what everything printed depends on: quartiles, paired ratios, the readers of other tools' output."""

import unittest

from lib import report, stats, workloads


class Statistics(unittest.TestCase):
    def test_quartiles_lie_between_the_values(self):
        self.assertEqual(stats.quartiles([4, 1, 3, 2, 5]), (2, 3, 4))
        self.assertEqual(stats.quartiles([1, 2, 3, 4]), (1.75, 2.5, 3.25))
        self.assertEqual(stats.quartiles([7]), (7, 7, 7))

    def test_what_was_not_measured_is_not_a_zero(self):
        self.assertEqual(stats.quartiles([None, 2, 4]), (2.5, 3, 3.5))
        self.assertIsNone(stats.quartiles([None]))
        self.assertIsNone(stats.median([]))

    def test_ratios_are_paired_within_a_round(self):
        # The machine is twice as slow in round 1: the ratio does not see it.
        self.assertEqual(stats.paired({0: 200, 1: 100, 2: 210}, {0: 100, 1: 50, 2: 105}), [2, 2, 2])

    def test_a_round_that_one_has_missed_counts_for_none(self):
        self.assertEqual(stats.paired({0: 200, 1: None, 2: 300}, {0: 100, 1: 100, 3: 1}), [2])

    def test_the_error_of_a_median_shrinks_with_the_root_of_their_number(self):
        self.assertAlmostEqual(stats.median_error([1, 2, 3, 4, 5] * 5), 1.57 * 2 / 5)
        self.assertEqual(stats.median_error([7]), 0)

    def test_the_report_shows_median_and_quartiles(self):
        self.assertEqual(report.ratio({0: 2, 1: 3, 2: 4}, {0: 1, 1: 1, 2: 1}),
                         "3.00 ± 0.91 [2.50-3.50]")

    def test_numbers_keep_three_digits(self):
        shown = [report.number(value) for value in (0.09613, 5.126, 873.4, 1385.0, 98712, None)]
        self.assertEqual(shown, ["0.0961", "5.13", "873", "1385", "98.7k", "-"])


class Readers(unittest.TestCase):
    def test_a_closed_loop(self):
        found = stats.parse_closed(
            "Running 61s test @ http://127.0.0.1:18001/300\n"
            'RESULT {"requests": 1200, "seconds": 1.5, "bytes": 480000, "p50_us": 610, "p99_us": 900, '
            '"p999_us": 1800, "errors": {"connect": 0, "read": 3, "write": 0, "status": 0, "timeout": 0}}\n')
        self.assertEqual((found["requests"], found["seconds"], found["p999_us"]), (1200, 1.5, 1800))
        self.assertEqual(found["errors"], {"read": 3})

    def test_a_generator_that_failed_says_why(self):
        with self.assertRaisesRegex(ValueError, "unable to connect"):
            stats.parse_closed("unable to connect to 127.0.0.1:18001 Connection refused\n")

    def test_oha(self):
        found = stats.parse_oha(
            '{"summary": {"total": 2.0, "totalData": 600}, "latencyPercentiles": {"p50": 0.0005, "p99": 0.002, '
            '"p99.9": null}, "statusCodeDistribution": {"200": 99, "502": 1}, '
            '"errorDistribution": {"aborted due to deadline": 64, "connection reset": 2}}')
        self.assertEqual((found["requests"], found["p50_us"], found["p999_us"]), (100, 500, None))
        self.assertEqual(found["errors"], {"connection reset": 2, "status 502": 1})

    def test_perf(self):
        self.assertEqual(stats.parse_perf("109,,raw_syscalls:sys_enter,1469000,100.00,,\n"), 109)
        with self.assertRaises(ValueError):
            stats.parse_perf("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n")

    def test_strace_with_and_without_its_empty_columns(self):
        head = "% time     seconds  usecs/call     calls    errors syscall\n"
        rule = "------ ----------- ----------- --------- --------- ----------------\n"
        new = "100.00    0.000123           1       109        10 total\n"
        old = "100.00    0.000123                   109           total\n"
        self.assertEqual(stats.parse_strace(head + rule + new), 109)
        self.assertEqual(stats.parse_strace(head + rule + old), 109)


class Jobs(unittest.TestCase):
    def test_every_workload_has_its_endpoint(self):
        endpoints = {one["endpoint"] for one in workloads.krakend_json(1, 2, 1, keys="keys.json")["endpoints"]}
        for one in workloads.WORKLOADS.values():
            job = workloads.JOBS[one.job]
            self.assertIn(job.path.replace("/r0/items/7", "/r0/items/{item}"), endpoints)

    def test_a_quick_run_knows_its_workloads(self):
        self.assertLessEqual(set(workloads.QUICK), set(workloads.WORKLOADS))


if __name__ == "__main__":
    unittest.main()
