"""How a budget becomes ranks: ``uniform`` needs only the shapes, ``greedy`` each layer's loss at every rank."""

ALLOCATORS = ("greedy", "uniform")  # what --allocate takes
