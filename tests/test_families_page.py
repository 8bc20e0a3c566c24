"""docs/families.md to the letter: a copy of the package with one family more compresses a model of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, Data2VecTextConfig, Data2VecTextForSequenceClassification

import fwsvd_export
from fwsvd_export.architectures.registry import FAMILIES
from tests.conftest import save_tokenizer
from tests.helpers import SHARED, TINY

PAGE = (Path(__file__).parents[1] / "docs" / "families.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`fwsvd_export/([\w/]+\.py)`", PAGE, flags=re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_page_adds_a_family_that_works_like_the_others(tmp_path: Path) -> None:
    *files, line = BLOCKS
    assert len(files) == len(FILES) == 3
    assert "data2vec-text" not in FAMILIES
    package = tmp_path / "changed" / "fwsvd_export"
    shutil.copytree(Path(fwsvd_export.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in zip(FILES, files, strict=True):
        assert not (package / name).exists()
        (package / name).write_text(text, encoding="utf-8")
    registry = package / "architectures" / "registry.py"
    changed = registry.read_text().replace("_KNOWN = (", f"{line}_KNOWN = (DATA2VEC, ", 1)
    registry.write_text(changed)

    base, small = tmp_path / "base", tmp_path / "small"
    torch.manual_seed(0)
    config = Data2VecTextConfig(**{**SHARED, **TINY["roberta"]})
    Data2VecTextForSequenceClassification(config).save_pretrained(base)
    save_tokenizer(base)
    rows = tmp_path / "rows.jsonl"
    words = ("the film is great", "a dull plot", "very good cast", "never a poor movie")
    rows.write_text(
        "".join(json.dumps({"sentence": text, "label": place % 2}) + "\n" for place, text in enumerate(words))
    )
    command = [sys.executable, "-m", "fwsvd_export"]
    options = ["--task", "sst2", "--data", rows, "--ratio", "0.4", "--embeddings", "0.6"]
    place = {**os.environ, "PYTHONPATH": str(package.parent)}
    for words_of in (["compress", base, small, *options], ["onnx", small], ["densify", small, tmp_path / "plain"]):
        done = subprocess.run([*command, *map(str, words_of)], cwd=tmp_path, env=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (small / "modeling_lowrank_data2vec_text.py").read_text() == files[2]
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours = AutoModelForSequenceClassification.from_pretrained(small, trust_remote_code=True).eval()(ids).logits
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain").eval()(ids).logits
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4)
