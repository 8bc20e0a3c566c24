"""Runs commands of shells, one after the other, in one process: python guide_worker.py CALLS.

It prints its port and serves until it is killed. A call is {"words", "folder"}, its answer {"code", "stdout",
"stderr"}; both become one line of the file CALLS. A push leaves out the fresh process that its dry run had.
"""

from __future__ import annotations

import json
import os
import sys
from multiprocessing.connection import Listener
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner, Result

from fwsvd_export.cli import group


def invoke(words: list[str]) -> Result:
    if words[0] == "push" and "--dry-run" not in words:
        with patch("fwsvd_export.hub.verify.folder.check_loading", return_value=()):
            return CliRunner().invoke(group, words, prog_name="fwsvd-export")
    return CliRunner().invoke(group, words, prog_name="fwsvd-export")


def main() -> None:
    with Listener(("127.0.0.1", 0)) as listener, Path(sys.argv[1]).open("w") as calls:
        print(listener.address[1], flush=True)  # noqa: T201 - how the test learns the port
        while True:
            with listener.accept() as caller:
                call = json.loads(caller.recv_bytes())
                os.chdir(call["folder"])
                result = invoke(call["words"])
                answer = {"code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
                print(json.dumps({**call, **answer}), file=calls, flush=True)
                caller.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
