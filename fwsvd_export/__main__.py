"""``python -m fwsvd_export`` is the console script."""

from fwsvd_export.cli import main

main()
