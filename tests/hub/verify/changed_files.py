"""What verification finds in a folder, and files of it with other values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fwsvd_export.hub.verify.folder import verify_folder


def found(folder: Path) -> dict[str, str]:
    """File -> problem."""
    findings = verify_folder(folder).findings
    assert all(finding.advice for finding in findings)
    return {finding.file: finding.problem for finding in findings}


def edited(path: Path, **values: Any) -> bytes:
    """The JSON object of a file with other values."""
    return json.dumps({**json.loads(path.read_text()), **values}).encode()
