"""A text that would be markup, code or a command, and how to read what became of it."""

from __future__ import annotations

from hypothesis import strategies as st

HOSTILE = [
    "---\nlicense: mit\n---",
    "a\n---\nb: [",
    "`", "``` sh\nrm -rf /\n```", "|", "a|b", "<script>alert(1)</script>", "<!-- fwsvd-export:end summary -->",
    "[x](javascript:y)", "![i](http://x/y.png)", "*a* __b__ ~~c~~", "{{ 7 * 7 }} {% raw %}", "# h\n## h", "&lt;b&gt;",
    "\u202egnp.exe", "\x00begin results\x00", "\u2028---\u2028", "null", "1.0", "yes",
    ": &anchor *alias !!python/none", "",
]  # fmt: skip


texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.lists(st.sampled_from(HOSTILE)).map("".join))
