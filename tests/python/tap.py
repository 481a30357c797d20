"""Runs the tests and says what came of them in TAP, as tests/rings/steps reads it."""

import logging
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HOSTILE = "test_hostile"


class Tap(unittest.TestResult):
    """One line a test, as soon as it is known."""

    def __init__(self):
        super().__init__()
        self.count = {"pass": 0, "fail": 0, "skipped": 0}

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def say(self, word, test, kind, more=""):
        self.count[kind] += 1
        name = test.shortDescription() or str(test)
        took = time.monotonic() - getattr(self, "began", time.monotonic())
        print(f"{word} {sum(self.count.values())} - {name} ({took:.1f} s){more}", flush=True)

    def addSuccess(self, test):
        self.say("ok", test, "pass")

    def addSkip(self, test, reason):
        self.say("ok", test, "skipped", f" # SKIP {reason}")

    def addFailure(self, test, error):
        self.say("not ok", test, "fail")
        text = self._exc_info_to_string(error, test)
        print("  ---\n" + "\n".join(f"  {line}" for line in text.splitlines()) + "\n  ...", flush=True)

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error:
            self.addFailure(subtest, error)


def main(names):
    # unittest runs asyncio in its debug mode, which tells of everything that takes long.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    if not names:
        return both()
    print("TAP version 13")
    result = Tap()
    unittest.TestLoader().loadTestsFromNames(names).run(result)
    for kind, count in result.count.items():
        print(f"# {kind} {count}", flush=True)
    return 1 if result.count["fail"] else 0


def both():
    """All tests: the hostile ones work, most others wait, so they run side by side."""
    others = sorted(path.stem for path in Path().glob("test_*.py") if path.stem != HOSTILE)
    with tempfile.TemporaryFile("w+") as said:
        hostile = subprocess.Popen([sys.executable, __file__, HOSTILE], stdout=said, stderr=said)
        code = main(others)
        code |= hostile.wait()
        said.seek(0)
        print(said.read(), end="", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
