"""Names from outside take no effect as Markdown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fwsvd_export.hub.card.markdown import block, code, one_line, plain

HOSTILE = [
    "---\nlicense: mit\n---",
    "a\n---\nb: [",
    "`", "``` sh\nrm -rf /\n```", "|", "a|b", "<script>alert(1)</script>", "<!-- fwsvd-export:end summary -->",
    "[x](javascript:y)", "![i](http://x/y.png)", "*a* __b__ ~~c~~", "{{ 7 * 7 }} {% raw %}", "# h\n## h", "&lt;b&gt;",
    "\u202egnp.exe", "\x00begin results\x00", "\u2028---\u2028", "null", "1.0", "yes",
    ": &anchor *alias !!python/none", "",
]  # fmt: skip


texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.lists(st.sampled_from(HOSTILE)).map("".join))


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
