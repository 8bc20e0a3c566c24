"""How a budget becomes ranks: one row each; the CLI's ``--allocate`` reads this table."""

from fwsvd_export.ranks.uniform import plan_uniform

ALLOCATORS = {"uniform": plan_uniform}
