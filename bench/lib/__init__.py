"""The parts of bench/run: processes, targets, workloads, load, statistics, report."""
