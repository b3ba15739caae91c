"""Logits of the engine beside llama.cpp's on the same files, at every position.

usage: python3 bench/engine_logits.py TIERGATE REFERENCE MODEL.gguf...

REFERENCE MODEL OUT TOKENS writes float32 (tokens, vocabulary), as `tiergate model logits` does.
Prints for each file the least and the middle cosine over the positions, how often the first
choice is the same, and how often it differs where the reference's first two are further apart
than the root mean square of the difference. Needs numpy.
"""

import os
import subprocess
import sys
import tempfile

import numpy

POSITIONS = 48


def logits(command, out):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = numpy.fromfile(out, dtype="<f4").astype(numpy.float64)
    return found.reshape(POSITIONS, -1)


def compare(tiergate, reference, model, folder):
    tokens = ",".join(str((i * 2741 + 17) % 120_000) for i in range(POSITIONS))
    ours, theirs = os.path.join(folder, "ours"), os.path.join(folder, "theirs")
    command = [tiergate, "model", "logits", "--model", model, "--tokens", tokens]
    a = logits(command + ["--out", ours, "--threads", "2"], ours)
    b = logits([reference, model, theirs, tokens], theirs)
    lengths = numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1)
    cosines = (a * b).sum(axis=1) / lengths
    same = a.argmax(axis=1) == b.argmax(axis=1)
    top = numpy.sort(b, axis=1)
    apart = top[:, -1] - top[:, -2] > numpy.sqrt(((a - b) ** 2).mean(axis=1))
    print(
        f"{os.path.basename(model):24} cosine least {cosines.min():.6f} middle "
        f"{numpy.median(cosines):.6f}; first choice the same {same.sum()} of {POSITIONS}, "
        f"differs though told apart {(~same & apart).sum()} of {apart.sum()}",
        flush=True,
    )


def main():
    tiergate, reference, *models = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            compare(tiergate, reference, model, folder)


if __name__ == "__main__":
    main()
