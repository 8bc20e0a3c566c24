"""The solvers: methods that find the best factors of a weight in a weighting norm."""
