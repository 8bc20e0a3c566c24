"""Drawing: tables and figures from results. Nothing here measures."""
