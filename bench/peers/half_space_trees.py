"""Scores rows of numbers with half-space trees (Tan, Ting, Liu 2011) as river implements them.

Standard input: one row of comma-separated numbers per line. Standard output: one anomaly score per line,
given before the row is learnt. Scaling to [0, 1], which the trees expect, uses the rows seen so far.
"""

import sys

from river import anomaly, preprocessing


def main() -> None:
    scaler = preprocessing.MinMaxScaler()
    trees = anomaly.HalfSpaceTrees(n_trees=25, height=10, window_size=250, seed=42)
    for line in sys.stdin:
        row = dict(enumerate(map(float, line.split(","))))
        scaler.learn_one(row)
        scaled = scaler.transform_one(row)
        sys.stdout.write(f"{trees.score_one(scaled):.9f}\n")
        trees.learn_one(scaled)


main()
