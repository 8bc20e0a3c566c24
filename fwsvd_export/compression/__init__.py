"""Statistics and a size become a compressed model: plan, solve, build, reconstruct."""
