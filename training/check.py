"""Check that what is stored is what the generator makes. Needs the standard library only.

    python training/check.py

The demo's documents come out of the generator again, byte for byte; no text is in two splits;
the model file is the one that the card describes.
"""

import gzip
import hashlib
import pathlib
import re
import sys

import splits
from documents import documents
from generate import lines

ROOT = pathlib.Path(__file__).parent.parent
STORED = {"documents.jsonl.gz": splits.DEMO, "labelled.jsonl.gz": splits.LABELLED}


def stored_differs(name: str, split: splits.Split) -> list:
    """A fault if the stored file is not what the generator makes.

    The lines are compared, not the gzip bytes: those depend on the zlib that Python was built with.
    """
    path = ROOT / "crates/gateway/demo" / name
    if gzip.decompress(path.read_bytes()) == lines(split):
        return []
    return [f"{path}: differs from the generator's documents; run training/generate.py again"]


def texts_shared() -> list:
    """A fault for each text that two splits have in common."""
    split_of, faults = {}, []
    for split in splits.ALL:
        for document in documents(split):
            digest = hashlib.sha256(document["text"].encode()).digest()
            if digest in split_of:
                faults.append(f"{document['id']}: its text is in split {split_of[digest]} too; choose another seed")
            split_of[digest] = split.name
    return faults


def model_differs() -> list:
    """A fault if the card does not state the model file's sha256."""
    path = ROOT / "models/tiergate-starter.gguf"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    stated = re.findall(r"\b[0-9a-f]{64}\b", (ROOT / "models/MODEL_CARD.md").read_text())
    if stated == [digest]:
        return []
    return [f"{path}: sha256 is {digest}, the card states {stated}; a new model needs a new card"]


def main() -> int:
    """Print the faults; 1 if there are any."""
    faults = [fault for name, split in STORED.items() for fault in stored_differs(name, split)]
    faults += texts_shared() + model_differs()
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("training: demo documents, splits and model file are as stated")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
