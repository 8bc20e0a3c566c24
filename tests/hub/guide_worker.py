"""Runs commands of shells, one after the other, in one process: python guide_worker.py CALLS.

It prints its port and serves until it is killed. A call is {"words", "folder"}, its answer {"code", "stdout",
"stderr"}; both become one line of the file CALLS.
"""

from __future__ import annotations

import json
import os
import sys
from multiprocessing.connection import Listener
from pathlib import Path

from click.testing import CliRunner

from fwsvd_export.cli import group


def main() -> None:
    with Listener(("127.0.0.1", 0)) as listener, Path(sys.argv[1]).open("w") as calls:
        print(listener.address[1], flush=True)  # noqa: T201 - how the test learns the port
        while True:
            with listener.accept() as caller:
                call = json.loads(caller.recv_bytes())
                os.chdir(call["folder"])
                result = CliRunner().invoke(group, call["words"], prog_name="fwsvd-export")
                answer = {"code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
                print(json.dumps({**call, **answer}), file=calls, flush=True)
                caller.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
