"""What verification finds wrong with a folder."""

from __future__ import annotations

from dataclasses import dataclass

# Writes configuration, code and record of a model anew, and keeps what its weights have learned
SAVE_AGAIN = "load the folder with fwsvd_export.load and save the model into it again with save_pretrained"


@dataclass(frozen=True)
class Finding:
    """One thing that keeps a folder from being pushed.

    Attributes:
        file: path inside the folder, with slashes.
        problem: what is wrong with it.
        advice: what to do.
    """

    file: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}; {self.advice}"
