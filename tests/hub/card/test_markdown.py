"""Names from outside take no effect as Markdown."""

from __future__ import annotations

from hypothesis import given
from markdown_it import MarkdownIt

from fwsvd_export.hub.card.markdown import block, code, one_line, plain
from tests.hub.card.hostile_texts import texts


@given(text=texts)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    parser = MarkdownIt("commonmark")
    for made, kind in ((plain(text), "text"), (code(text.replace("|", "")), "code_inline")):
        tokens = parser.parseInline(f"x{made}x")[0].children or []
        if one_line(text.replace("|", "") if kind == "code_inline" else text):
            shown = "".join(token.content for token in tokens)
            wanted = one_line(text.replace("|", "")) if kind == "code_inline" else one_line(text)
            assert shown == f"x{wanted}x"
            assert {token.type for token in tokens} <= {"text", "text_special", kind}


@given(text=texts)
def test_a_fence_ends_where_it_should(text: str) -> None:
    inner = one_line(text)
    (token,) = MarkdownIt("commonmark").parse(block(inner, "sh"))
    assert (token.type, token.content) == ("fence", f"{inner}\n")
