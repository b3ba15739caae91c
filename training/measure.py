"""How good label probabilities are: accuracy, recall, precision, certainty, calibration."""

import numpy as np


def expected_calibration_error(probabilities, gold, bins: int = 15) -> float:
    """Mean gap between top probability and accuracy over equal-width bins (Guo et al. 2017, eq. 5)."""
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    bin_of = np.minimum((top * bins).astype(int), bins - 1)
    gaps = [abs(top[bin_of == b].sum() - right[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(gold))


def part(probabilities, gold) -> dict:
    """Accuracy, mean top probability and calibration error of some documents."""
    return {
        "documents": len(gold),
        "accuracy": float((probabilities.argmax(axis=1) == gold).mean()),
        "top_probability": float(probabilities.max(axis=1).mean()),
        "ece": expected_calibration_error(probabilities, gold),
    }


def scores(probabilities, gold, ambiguous, names: list) -> dict:
    """The scores over all documents, the plain and the ambiguous ones, and for each label."""
    answer = probabilities.argmax(axis=1)
    labels = {}
    for at, name in enumerate(names):
        hit = int(((answer == at) & (gold == at)).sum())
        labels[name] = {
            "documents": int((gold == at).sum()),
            "precision": hit / max(1, int((answer == at).sum())),
            "recall": hit / max(1, int((gold == at).sum())),
            "recall_plain": float((answer == at)[(gold == at) & ~ambiguous].mean()),
        }
    return {
        "all": part(probabilities, gold),
        "plain": part(probabilities[~ambiguous], gold[~ambiguous]),
        "ambiguous": part(probabilities[ambiguous], gold[ambiguous]),
        "labels": labels,
    }


def table(task: str, found: dict) -> str:
    """The scores as two Markdown tables."""
    lines = [f"| {task} | documents | accuracy | mean top probability | ECE |", "|---|---|---|---|---|"]
    for name in ("all", "plain", "ambiguous"):
        row = found[name]
        lines.append(
            f"| {name} | {row['documents']} | {row['accuracy']:.1%} "
            f"| {row['top_probability']:.3f} | {row['ece']:.3f} |"
        )
    lines += ["", "| label | documents | precision | recall | recall, plain |", "|---|---|---|---|---|"]
    for name, row in found["labels"].items():
        lines.append(
            f"| {name} | {row['documents']} | {row['precision']:.1%} | {row['recall']:.1%} "
            f"| {row['recall_plain']:.1%} |"
        )
    return "\n".join(lines)
