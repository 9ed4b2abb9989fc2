"""A pytest plugin: one JSON line a finished test into the file that BERTH_RESULTS names, so that a run which dies is not lost."""

import json
import os

_failed = {}


def pytest_runtest_logreport(report):
    test = report.nodeid
    # A test is set up, called and torn down; any of them may be what fails.
    if report.failed:
        _failed[test] = str(report.longrepr)
    if report.when == "setup" and report.skipped:
        _write(test, "skip", report)
    elif report.when == "call" and report.skipped:
        _failed.pop(test, None)
        _write(test, "skip", report)
    elif report.when == "teardown":
        _write(test, "fail" if test in _failed else "pass", report)


_written = set()


def _write(test, outcome, report):
    if test in _written:
        return
    _written.add(test)
    why = _failed.get(test) or (str(report.longrepr) if report.longrepr else "")
    line = {"test": test, "outcome": outcome, "seconds": round(report.duration, 3), "why": why[-4000:]}
    with open(os.environ["BERTH_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
