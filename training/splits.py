"""The splits: which seed and how many documents each has. No text is in two of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """Documents made together: the arguments of generate.py."""

    name: str
    seed: int
    count: int


# The Llama learns from the first; the second shows its progress; the third gives the card's scores.
TRAIN = Split("train", 1, 64_000)
PROGRESS = Split("progress", 2, 384)
TEST = Split("test", 3, 4_000)
# What the demo answers, and the records its student learns from and its thresholds are set on.
DEMO = Split("demo", 7, 2_000)
LABELLED = Split("labelled", 11, 1_500)

ALL = (TRAIN, PROGRESS, TEST, DEMO, LABELLED)
