import pytest

from benchmarks.runs import commands

HOG = "import time; block = b'x' * 300_000_000; time.sleep(1)"


def test_answer_is_the_last_line_behind_what_libraries_print() -> None:
    assert commands.run(["-c", "print('1/1000 steps'); print('{\"a\": 1}')"]).parsed == {"a": 1}


def test_answer_may_have_many_lines() -> None:
    assert commands.run(["-c", "import json; print(json.dumps({'a': [1, 2]}, indent=2))"]).parsed == {"a": [1, 2]}


def test_memory_and_time_of_children_count() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"
    finished = commands.run(["-c", child])
    assert finished.peak > 300_000_000
    assert finished.seconds > 1 > finished.cpu > 0  # it sleeps for most of the time


def test_a_failure_is_told_with_the_end_of_what_it_said() -> None:
    with pytest.raises(RuntimeError, match=r"found exit code 3; expected 0\n(.*\n)*so it ends"):
        commands.run(["-c", "import sys; print('so it ends', file=sys.stderr); sys.exit(3)"])
