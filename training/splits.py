"""The splits: which seed and how many documents each has. No text is in two of them.

The Llama learns from a harder mix than it is judged on: more documents whose labels only
reading tells, fewer that a single phrase gives away. What a text means is the same in both
mixes, so the probabilities learned hold for both.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """How often each way of writing a document is taken; the keys are those of documents.py."""

    matter_ways: dict
    verdict_ways: dict
    other_file: float
    cue: float
    concern: float
    routine_concern: float


USUAL = Mix(
    matter_ways={"account": 0.61, "dismissal": 0.20, "correction": 0.19},
    verdict_ways={"plain": 0.54, "remark": 0.28, "limit": 0.07, "deadline": 0.03, "course": 0.08},
    other_file=0.12,
    cue=0.55,
    concern=0.21,
    routine_concern=0.08,
)

HARD = Mix(
    matter_ways={"account": 0.30, "dismissal": 0.20, "correction": 0.50},
    verdict_ways={"plain": 0.22, "remark": 0.50, "limit": 0.10, "deadline": 0.06, "course": 0.12},
    other_file=0.20,
    cue=0.20,
    concern=0.38,
    routine_concern=0.30,
)

MIXES = {"usual": USUAL, "hard": HARD}


@dataclass(frozen=True)
class Split:
    """Documents made together: the arguments of generate.py, and the mix."""

    name: str
    seed: int
    count: int
    mix: Mix = USUAL


# The Llama learns from the first; the second shows its progress; the third gives the card's scores.
TRAIN = Split("train", 1, 64_000, HARD)
PROGRESS = Split("progress", 2, 384)
TEST = Split("test", 3, 4_000)
# What the demo answers, and the records its student learns from and its thresholds are set on.
DEMO = Split("demo", 7, 2_000)
LABELLED = Split("labelled", 11, 1_500)

ALL = (TRAIN, PROGRESS, TEST, DEMO, LABELLED)
