"""Seeded damage to the files of a checkpoint: JSON, safetensors headers and tensors, bytes, code."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save

DEPTH = 10_000  # far beyond what a recursive reader takes
LONG = 100_000
HEADER_LENGTH_BYTES = 8
_MARK = "@@raw@@"

# Written into JSON as they stand
RAW_VALUES = {
    "negative": "-1",
    "zero": "0",
    "one": "1",
    "other": "17",
    "huge": str(10**12),
    "monstrous": str(10**400),
    "endless": "9" * 5000,
    "float": "0.5",
    "whole float": "4.0",
    "nan": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "overflow": "1e999",
    "text": '"37"',
    "words": '"no such thing"',
    "empty text": '""',
    "long text": f'"{"x" * LONG}"',
    "line breaks": '"a\\nTraceback (most recent call last):\\r\\n b"',
    "escape codes": '"\\u001b[31m\\u0007\\u0000"',
    "markup": '"[/bold] [red"',
    "surrogate": '"\\ud800"',
    "null": "null",
    "true": "true",
    "false": "false",
    "list": "[]",
    "list of lists": "[[1], {}]",
    "object": "{}",
    "object of objects": '{"a": {"b": [1]}}',
    "deep list": "[" * DEPTH + "]" * DEPTH,
    "deep object": '{"a":' * DEPTH + "1" + "}" * DEPTH,
    "path upwards": '"../../outside"',
    "absolute path": '"/tmp/outside"',
    "repository": '"someone/elsewhere--evil.Evil"',
}
HOSTILE_KEYS = (
    "../../outside", "/tmp/outside", "", "a\nb", "[/bold]", "\ud800", "x" * 1000, "__class__", "__dict__", "to_dict",
    "encoder", "encoder.layer.0", "encoder.layer.0.output", "encoder.layer.9.output.dense", "pooler.dense",
    "bert.encoder.layer.0.output.dense", "encoder.layer.-1.output.dense", "embeddings.position_embeddings",
)  # fmt: skip
SETTINGS = (
    "to_dict", "save_pretrained", "__class__", "__init__", "attribute_map", "base_model_tp_plan", "extra_files",
    "attn_implementation", "_attn_implementation", "quantization_config", "auto_map", "per_layer_config",
    "return_dict", "torchscript", "chunk_size_feed_forward", "is_decoder", "add_cross_attention", "output_attentions",
    "hidden_act", "output_hidden_states", "pruned_heads", "num_labels", "id2label", "label2id", "problem_type",
    "dtype", "torch_dtype", "tie_word_embeddings", "layer_norm_eps", "use_cache", "temperature",
    "position_embedding_type", "tokenizer_class", "architectures", "use_return_dict", "classifier_dropout",
    "model_type", "low_rank", "max_length", "unheard_of", "tokenizer_file", "vocab_file", "added_tokens_decoder",
    "model_max_length", "pad_token", "normalizer", "name_or_path",
)  # fmt: skip
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "", "Q4")
HEADER_LENGTHS = (0, 1, 2**20, 2**31, 2**40, 2**63, 2**64 - 1)


def mutate_json(random: Random, content: bytes) -> tuple[str, bytes]:
    """JSON text with one thing changed: a value, a key, or the text itself.

    Args:
        random: where choices come from.
        content: the sound text.

    Returns:
        What was done, and the new text.
    """
    if random.random() < 0.15:
        return _mutate_text(random, content)
    document = json.loads(content)
    holder, key = _place(random, document)
    kind, raw = random.choice(list(RAW_VALUES.items()))
    operation = random.choice(("replace", "replace", "replace", "remove", "rename", "add", "twice"))
    if operation == "replace" or not isinstance(holder, dict):
        holder[key] = _MARK
        return f"{key}: {kind}"[:200], _with_raw(document, raw)
    if operation == "remove":
        del holder[key]
        return f"without {key}", _with_raw(document, raw)
    if operation == "rename":
        name = random.choice(HOSTILE_KEYS)
        holder[name] = holder.pop(key)
        return f"{key} is called {ascii(name)[:40]}", _with_raw(document, raw)
    if operation == "add":
        name = random.choice(HOSTILE_KEYS if random.random() < 0.2 else SETTINGS)
        document[name] = _MARK
        return f"{ascii(name)[:40]} added: {kind}", _with_raw(document, raw)
    again = json.dumps(key) + ": " + raw
    text = json.dumps(document)
    return f"{key} twice: {kind}", f"{text[:-1]}, {again}}}".encode("utf-8", "surrogatepass")


def mutate_bytes(random: Random, content: bytes) -> tuple[str, bytes]:
    """Content cut short, with flipped bytes, with a part overwritten, or with something behind it."""
    operation = random.choice(("cut", "flip", "overwrite", "append", "empty"))
    if operation == "empty" or not content:
        return "empty", b""
    position = random.randrange(len(content))
    if operation == "cut":
        return f"cut at {position}", content[:position]
    if operation == "append":
        return "bytes behind the end", content + random.randbytes(random.choice((1, 8, 1000)))
    if operation == "overwrite":
        return f"64 bytes at {position}", content[:position] + random.randbytes(64) + content[position + 64 :]
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return "flipped bits", bytes(changed)


def mutate_safetensors(random: Random, content: bytes) -> tuple[str, bytes]:
    """A safetensors file whose header lies, whose tensors are others than they should be, or that is damaged."""
    operation = random.choice(("header", "header", "tensor", "tensor", "metadata", "length", "bytes"))
    length = int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    header, data = json.loads(content[HEADER_LENGTH_BYTES:][:length]), content[HEADER_LENGTH_BYTES + length :]
    if operation == "bytes":
        return mutate_bytes(random, content)
    if operation == "length":
        value = random.choice((*HEADER_LENGTHS, length - 1, length + 1, len(content)))
        return f"header length {value}", value.to_bytes(HEADER_LENGTH_BYTES, "little") + content[HEADER_LENGTH_BYTES:]
    if operation == "tensor":
        return _mutate_tensor(random, content, header)
    if operation == "metadata" and "statistics" in header.get("__metadata__", {}):
        label, text = mutate_json(random, header["__metadata__"]["statistics"].encode())
        header["__metadata__"]["statistics"] = text.decode("utf-8", "replace")
        return f"statistics, {label}", _packed(json.dumps(header).encode(), data)
    if operation == "metadata":
        header["__metadata__"] = _MARK
        kind, raw = random.choice(list(RAW_VALUES.items()))
        return f"metadata: {kind}", _packed(_with_raw(header, raw), data)
    label, text = _mutate_header(random, header)
    return f"header, {label}", _packed(text, data)


def mutate_code(random: Random, content: bytes, canary: str) -> tuple[str, bytes]:
    """Python code that writes a file when it is run, or that differs by one byte."""
    if random.random() < 0.5:
        return "code with a payload", f"open({canary!r}, 'w').close()\n".encode() + content
    position = random.randrange(len(content))
    return f"one byte of code at {position}", content[:position] + b"#" + content[position + 1 :] + b"\n"


def _place(random: Random, document: Any) -> tuple[Any, Any]:
    """A container of the document and a key of it: a walk downwards that may stop everywhere."""
    holder, key = document, _any_key(random, document)
    while isinstance(holder[key], dict | list) and holder[key] and random.random() < 0.7:
        holder = holder[key]
        key = _any_key(random, holder)
    return holder, key


def _any_key(random: Random, container: Any) -> Any:
    return random.choice(list(container)) if isinstance(container, dict) else random.randrange(len(container))


def _with_raw(document: Any, raw: str) -> bytes:
    """The document's text with the marked value replaced by text that Python could not write itself."""
    return json.dumps(document).replace(json.dumps(_MARK), raw).encode("utf-8", "surrogatepass")


def _mutate_text(random: Random, content: bytes) -> tuple[str, bytes]:
    """JSON text as a text: cut, in another encoding, or something else altogether."""
    choices = {
        "empty": b"",
        "cut": content[: random.randrange(len(content))],
        "byte order mark": b"\xef\xbb\xbf" + content,
        "sixteen bits": content.decode().encode("utf-16"),
        "not UTF-8": content.replace(b'"', b'"\xff', 1),
        "a zero byte": content.replace(b":", b":\0", 1),
        "a list": b"[" + content + b"]",
        "a number": b"1",
        "null": b"null",
        "deep": RAW_VALUES["deep list"].encode(),
        "cut deep": RAW_VALUES["deep object"][: 5 * DEPTH].encode(),
        "twice": content + content,
    }
    return random.choice(list(choices.items()))


def _packed(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(HEADER_LENGTH_BYTES, "little") + header + data


def _mutate_header(random: Random, header: dict[str, Any]) -> tuple[str, bytes]:
    name = random.choice([name for name in header if name != "__metadata__"])
    other = random.choice([other for other in header if other not in (name, "__metadata__")])
    entry = header[name]
    operation = random.choice(("dtype", "shape", "offsets", "overlap", "rename", "remove", "again", "json"))
    if operation == "dtype":
        entry["dtype"] = random.choice(DTYPES)
    elif operation == "shape":
        sizes = ([], [0], [-1, 4], [2**40, 2**40], [2**63], [1] * 300, list(reversed(entry["shape"])), ["4"])
        entry["shape"] = random.choice(sizes)
    elif operation == "offsets":
        start, end = entry["data_offsets"]
        lies = ([end, start], [start, end + 4], [start, 2**60], [-4, end], [0, 0], [start, end, end], [0.5, 2])
        entry["data_offsets"] = random.choice(lies)
    elif operation == "overlap":
        entry["data_offsets"] = header[other]["data_offsets"]
    elif operation == "rename":
        header[random.choice(HOSTILE_KEYS)] = header.pop(name)
    elif operation == "remove":
        del header[name]
    elif operation == "again":
        text = json.dumps(header)
        return f"{name} twice", f"{text[:-1]}, {json.dumps(name)}: {json.dumps(header[other])}}}".encode()
    else:
        return mutate_json(random, json.dumps(header).encode())
    return f"{operation} of {name}", json.dumps(header).encode("utf-8", "surrogatepass")


def _mutate_tensor(random: Random, content: bytes, header: dict[str, Any]) -> tuple[str, bytes]:
    """A sound file in which one tensor has other values, another dtype or another shape."""
    tensors = dict(load(content))
    name = random.choice(sorted(tensors))
    tensor = tensors[name]
    spoiled = tensor.copy()
    whole = np.issubdtype(tensor.dtype, np.integer)  # token ids, which have no infinity
    values = (-1, 2**31 - 1, -(2**31)) if whole else (np.nan, np.inf, -np.inf, 3e38, -1e30)
    spoiled.reshape(-1)[random.randrange(tensor.size)] = random.choice(values)
    choices = {
        "one value": spoiled,
        "zeros": np.zeros_like(tensor),
        "all negative": -np.abs(tensor) - 1,
        "whole numbers": tensor.astype(np.int32),
        "truth values": tensor.astype(np.bool_),
        "double": tensor.astype(np.float64),
        "half": tensor.astype(np.float16),
        "transposed": np.ascontiguousarray(tensor.T),
        "one row less": tensor[:-1],
        "nothing": tensor[:0],
        "one dimension more": tensor[None],
        "flat": tensor.reshape(-1),
        "a number": tensor.reshape(-1)[0].reshape(()),
    }
    kind, tensors[name] = random.choice(list(choices.items()))
    metadata = header.get("__metadata__")
    return f"{name}: {kind}", save({key: np.ascontiguousarray(value) for key, value in tensors.items()}, metadata)
