"""A fake gcloud that records its calls and knows only the resources that it created."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Tools that the scripts may use besides gcloud.
TOOLS = ("bash", "cat", "dirname", "mktemp", "rm", "sed", "tail", "wc")
GCLOUD = """#!{python}
import json, pathlib, sys

folder, arguments = pathlib.Path({folder!r}), sys.argv[1:]
bodies = [pathlib.Path(arguments[at + 1]).read_text() for at, each in enumerate(arguments) if each.endswith("-file")]
with (folder / "calls").open("a") as file:
    file.write(json.dumps([arguments, *bodies]) + "\\n")
verb = next((each for each in arguments if each in ("describe", "create")), None)
if verb is None or arguments[:2] == ["projects", verb] or "identity" in arguments:
    print(1234 if verb else "")
    sys.exit(json.loads((folder / "refuses").read_text()) in [each.partition("/")[2] for each in arguments])
words = [each for each in arguments[arguments.index(verb) + 1:] if each != "http"]
thing = folder / "-".join([*arguments[:2], words[0].split("@")[0].rpartition("/")[2]])
if (verb == "create") == thing.exists():
    sys.exit(f"ERROR: {{thing.name}}: found it {{'there' if verb == 'create' else 'missing'}}")
thing.touch()
"""


class Machine:
    """A PATH that has only the fake and a few tools, or no gcloud at all."""

    def __init__(self, folder: Path, gcloud: bool = True) -> None:
        self.bin, self.state = folder / "bin", folder / "state"
        for each in (self.bin, self.state):
            each.mkdir(parents=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self._write("python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        if gcloud:
            self._write("gcloud", GCLOUD.format(python=sys.executable, folder=str(self.state)))
        self.refuse("nothing")

    def refuse(self, role: str) -> None:
        """Makes calls that grant a role fail."""
        (self.state / "refuses").write_text(json.dumps(role))

    def run(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs one of the project's scripts."""
        command = [str(self.bin / "bash"), str(ROOT / script), *arguments]
        environment = {"PATH": str(self.bin), "TMPDIR": str(self.state.parent), "HOME": os.devnull}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)

    def calls(self) -> list[list[str]]:
        """The arguments of every call so far, without --quiet."""
        return [[word for word in call if word != "--quiet"] for call, *_ in self._recorded()]

    def bodies(self) -> list[str]:
        """The contents of the files that calls named, at the time of the call."""
        return [body for _, *bodies in self._recorded() for body in bodies]

    def _write(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def _recorded(self) -> list[list[Any]]:
        log = self.state / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def option(call: list[str], name: str) -> str:
    """The value of an option in a call."""
    return call[call.index(name) + 1]
