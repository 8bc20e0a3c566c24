"""A card's body: blocks that are ours, between markers, and the owner's text around them.

A block is everything from the line ``<!-- fwsvd-export:begin NAME -->`` to the line ``<!-- fwsvd-export:end NAME -->``.
Writing a card again replaces blocks where they stand; every other byte is the owner's and stays.
"""

from __future__ import annotations

import re

from fwsvd_export.errors import CardError

WEIGHTS_BLOCK = "made"  # says which weights the card is about

_MARKER = re.compile(r"^<!-- fwsvd-export:(begin|end) ([a-z]+) -->(?=[ \t]*\r?$)", flags=re.MULTILINE)


def marked(name: str, text: str) -> str:
    """A block with its markers."""
    return f"<!-- fwsvd-export:begin {name} -->\n{text.strip()}\n<!-- fwsvd-export:end {name} -->"


def renewed(body: str, blocks: dict[str, str]) -> str:
    """The body with its blocks replaced by new ones, in place.

    A block that is no longer made is taken out. One that is not there yet goes behind the block before it, the first
    ones before the first block; a body without markers is all the owner's and follows the blocks.

    Args:
        body: what stands behind the front matter now.
        blocks: name -> text with markers, in the order of the card.

    Raises:
        CardError: a marker without its partner, or a block that is there twice.
    """
    pieces, names = _split(body)
    present = [name for name in names if name in blocks]
    if not present:
        owner = "".join(pieces)
        whole = "\n\n".join(blocks.values())
        return f"\n{whole}\n" + (f"\n{owner}" if owner.strip() else "")
    text = dict(blocks)
    waiting: list[str] = []
    last: str | None = None
    for name, block in blocks.items():
        if name in present:
            if last is None and waiting:
                text[name] = "\n\n".join([*waiting, block])
            last = name
        elif last is None:
            waiting.append(block)
        else:
            text[last] += f"\n\n{block}"
    result = pieces[0]
    for name, piece in zip(names, pieces[1:], strict=True):
        result += text.get(name, "") + piece
    return result


def block_of(body: str, name: str) -> str | None:
    """The text between a block's markers, None where the body has no such block; raises as ``renewed``."""
    _, names = _split(body)
    if name not in names:
        return None
    begin, end = (f"<!-- fwsvd-export:{kind} {name} -->" for kind in ("begin", "end"))
    return body.partition(begin)[2].partition(end)[0]


def _split(body: str) -> tuple[list[str], list[str]]:
    """The owner's pieces, one more than there are blocks, and the blocks' names."""
    pieces, names, start = [], [], 0
    markers = list(_MARKER.finditer(body))
    for begin, end in zip(markers[::2], [*markers[1::2], None], strict=False):
        if begin[1] != "begin" or end is None or end[1] != "end" or end[2] != begin[2]:
            raise CardError(
                f"README.md: the marker {begin[0]} has no partner of its own; put the line back that ends or begins "
                "it, or take both out"
            )
        if begin[2] in names:
            raise CardError(f"README.md: the block {begin[0]} is there twice; take one of the two out")
        pieces.append(body[start : begin.start()])
        names.append(begin[2])
        start = end.end()
    return [*pieces, body[start:]], names
