"""The methods and the names of their options, readable without torch; a test holds them against the table."""

# method -> names of its options, in the order of the table
OPTIONS: dict[str, tuple[str, ...]] = {
    "svd": (),
    "fwsvd": ("axis",),
    "em": ("start", "max_iterations", "tolerance"),
    "nesterov": ("start", "max_iterations", "tolerance"),
    "anderson": ("start", "max_iterations", "tolerance", "depth", "regularisation"),
    "als": ("start", "max_iterations", "tolerance", "warm_up", "damping", "relaxation"),
    "activation": (),
    "kfac": (),
}

METHODS = tuple(OPTIONS)
SHARING = ("kfac",)  # whose losses compare across layers and ranks, so that greedy can share one budget
RECONSTRUCTING = ("kfac",)  # with a gradient weighting, in which layers are reconstructed
AXES = ("input", "output")  # of fwsvd: one weight per input feature, as in the paper, or per output feature
