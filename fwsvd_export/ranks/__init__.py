"""How a budget becomes ranks: ``uniform`` needs only the shapes, ``greedy`` each layer's loss at every rank."""

ALLOCATORS = ("greedy", "uniform")  # what --allocate takes
COSTS = ("params", "flops", "latency")  # what --cost takes: what a component of a layer costs when they compete
WIDTHS = ("keep", "auto")  # what --widths takes
