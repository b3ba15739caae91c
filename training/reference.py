"""Reference values for other engines: models/reference.json, made from the model file alone.

    python training/reference.py

The logits are those of the training framework with the weights as the file stores them. Each
case is computed once more in plain numpy (gguf_file.py), and the difference is printed.
"""

import json
import pathlib

import jax
import numpy as np

import contract
import gguf_file
import model
import splits
from documents import documents

MODEL_FILE = pathlib.Path(__file__).parent.parent / "models/tiergate-starter.gguf"

# A plain document under each task, and one that leaves both labels open.
CASES = [("classify", "doc-0001"), ("flag", "doc-0002"), ("flag", "doc-0019")]

# Text on which byte-level tokenizers differ: digits, blanks, case, marks, other scripts.
SAMPLES = [
    "EUR 1234567.89 on 2024-05-15",
    "  two  blanks\tand a tab \n\n\nthree lines ",
    "it's IT'S we'LL",
    "naïve café – “quoted” …",
    "Привет, 世界 🙂",
    "a<|end|>b<|begin|>",
    "under_score/slash:\r\nx=(y+1);\n",
    "",
]


def case(file: gguf_file.Readback, shape: model.Shape, tokenizer, task: str, document: dict) -> tuple[dict, np.ndarray]:
    """One case, and how far numpy is from it: (the largest logit, the largest probability)."""
    rules = contract.tasks()[task]
    before = contract.encode(tokenizer, contract.before_document(rules))
    after = contract.encode(tokenizer, document["text"]) + contract.encode(tokenizer, contract.AFTER_DOCUMENT)
    prompt = contract.before_document(rules) + document["text"] + contract.AFTER_DOCUMENT
    assert before + after == contract.encode(tokenizer, prompt), "the parts do not join to the whole"
    weights = gguf_file.from_tensors(file.tensors, shape.n_layers)
    stream = model.hidden(shape, weights, np.array(before), np.array([after]))
    logits = np.asarray(stream[0, -1] @ weights["embedding"].T)
    ids = np.array(contract.label_ids(tokenizer, rules))
    again = file.logits(before + after)
    labels, labels_again = (np.asarray(jax.nn.softmax(each[ids])) for each in (logits, again))
    found = {
        "task": task,
        "document": document["id"],
        "prompt": prompt,
        "tokens": before + after,
        "labels": [
            {"name": label["name"], "token": int(token), "probability": round(float(probability), 7)}
            for label, token, probability in zip(rules["labels"], ids, labels)
        ],
        "logits": [round(float(value), 5) for value in logits],
    }
    return found, np.array([np.abs(again - logits).max(), np.abs(labels_again - labels).max()])


def write(path: pathlib.Path, shape: model.Shape) -> str:
    """Write reference.json beside the model; a line on how far numpy is from it."""
    file = gguf_file.Readback(path)
    tokenizer = contract.stored_tokenizer(*file.vocabulary())
    demo = {document["id"]: document for document in documents(splits.DEMO)}
    made = [case(file, shape, tokenizer, task, demo[name]) for task, name in CASES]
    samples = [{"text": text, "tokens": contract.encode(tokenizer, text)} for text in SAMPLES]
    record = {"model": path.name, "cases": [found for found, _ in made], "tokenizer": samples}
    (path.parent / "reference.json").write_text(json.dumps(record) + "\n")
    logit, probability = np.max([difference for _, difference in made], axis=0)
    return f"numpy readback: differs by {logit:.2e} in a logit, {probability:.2e} in a label's probability"


if __name__ == "__main__":
    print(write(MODEL_FILE, model.Shape()))
