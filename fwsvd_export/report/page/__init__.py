"""The page of ``report``: folders become facts, facts become sections, sections become HTML and Markdown."""
