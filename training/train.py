"""Train the starter model and write it, its reference cases and the log.

    python training/train.py            (about 20 minutes on two shared cores)

Every document is seen once, under one of the two tasks. What is written:
models/tiergate-starter.gguf, models/reference.json, training/train.log.
"""

import functools
import hashlib
import importlib.metadata
import pathlib
import platform
import time

import jax
import numpy as np
import optax

import contract
import gguf_file
import measure
import model
import reference
import splits
from documents import documents

ROOT = pathlib.Path(__file__).parent.parent
MODEL_FILE = ROOT / "models/tiergate-starter.gguf"
LOG_FILE = ROOT / "training/train.log"

SEED = 20
BATCH = 64
# Documents are padded to one of these lengths, so that few shapes are compiled.
LENGTHS = (64, 80, 96, 112, 144, 256)
FINDINGS, REMARKS = ["concern", "fine", "none"], ["kept", "overturned", "open", "none"]


class Log:
    """Lines to the terminal and to the log file, with the seconds since the start."""

    def __init__(self, path):
        self._file = path.open("w")
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        stamped = f"[{time.monotonic() - self._start:7.1f} s] {line}"
        print(stamped, flush=True)
        self._file.write(stamped + "\n")
        self._file.flush()


class Prompts:
    """The tokens of each task's prompt, and of documents under it."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.tasks = contract.tasks()
        self.prefix = {
            name: np.array(contract.encode(tokenizer, contract.before_document(task)))
            for name, task in self.tasks.items()
        }
        self.label_ids = {name: contract.label_ids(tokenizer, task) for name, task in self.tasks.items()}
        self.names = {name: [label["name"] for label in task["labels"]] for name, task in self.tasks.items()}
        self.after = contract.encode(tokenizer, contract.AFTER_DOCUMENT)
        self.end = tokenizer.token_to_id(contract.END)

    def gold(self, task: str, document: dict) -> int:
        """The place of the right label in the task's list."""
        return self.names[task].index(document[task])

    def known(self, some: list) -> dict:
        """What the probes are asked, for each document."""
        names = self.names | {"finding": FINDINGS, "remark": REMARKS}
        return {key: np.array([options.index(each[key]) for each in some]) for key, options in names.items()}

    def rows(self, task: str, some: list) -> dict:
        """Documents as one padded batch: `rows` (batch, time), `label_at` (batch)."""
        ready = [document["tokens"] + self.after for document in some]
        gold = np.array([self.gold(task, document) for document in some])
        longest = max(map(len, ready)) + 2
        rows = np.full((len(some), next(length for length in LENGTHS if length >= longest)), self.end)
        for row, tokens, answer in zip(rows, ready, gold):
            row[: len(tokens)] = tokens
            row[len(tokens)] = self.label_ids[task][answer]
        return {"rows": rows, "label_at": np.array([len(tokens) - 1 for tokens in ready])}


def with_tokens(found: list, tokenizer) -> list:
    """The documents, each with its tokens."""
    for document, encoding in zip(found, tokenizer.encode_batch([each["text"] for each in found])):
        document["tokens"] = encoding.ids
    return found


def batches(prompts: Prompts, found: list):
    """(task, batch) for a whole pass: documents of like length together, in an order from the seed."""
    order = np.random.default_rng(SEED)
    group = BATCH * 16
    for start in range(0, len(found), group):
        near = sorted(found[start : start + group], key=lambda document: len(document["tokens"]))
        cuts = [near[at : at + BATCH] for at in range(0, len(near), BATCH)]
        for at in order.permutation(len(cuts)):
            task = "classify" if order.random() < 0.4 else "flag"
            some = [cuts[at][place] for place in order.permutation(BATCH)]
            yield task, prompts.rows(task, some) | {"known": prompts.known(some)}


def optimiser(steps: int):
    """Muon for the matrices, Adam for embedding and norms; warm-up, then down to nothing."""
    rate = optax.join_schedules(
        [optax.linear_schedule(0.0, 1.0, 40), optax.linear_schedule(1.0, 0.0, steps - 40)], [40]
    )
    muon = optax.contrib.muon(lambda step: 5e-3 * rate(step), consistent_rms=0.2, weight_decay=0.01)
    adam = optax.adam(lambda step: 3e-3 * rate(step), b1=0.9, b2=0.98)

    def kinds(weights):
        layer = {name: "adam" if value.ndim == 1 else "muon" for name, value in weights["layers"][0].items()}
        return {"embedding": "adam", "norm": "adam", "probes": "adam", "layers": [layer] * len(weights["layers"])}

    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.multi_transform({"muon": muon, "adam": adam}, kinds)
    )


class Judge:
    """Label probabilities of documents under given weights."""

    def __init__(self, shape: model.Shape, prompts: Prompts):
        self._prompts = prompts

        @jax.jit
        def label_logits(weights, prefix, rows, label_at, label_ids):
            stream = model.hidden(shape, weights, prefix, rows)[np.arange(rows.shape[0]), label_at]
            return stream @ weights["embedding"][label_ids].T

        self._label_logits = label_logits

    def probabilities(self, weights: dict, task: str, found: list) -> np.ndarray:
        """(documents, labels) in the order of `found`."""
        prompts, result = self._prompts, np.zeros((len(found), len(self._prompts.names[task])))
        order = sorted(range(len(found)), key=lambda at: len(found[at]["tokens"]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            full = chosen + [chosen[-1]] * (BATCH - len(chosen))
            batch = prompts.rows(task, [found[at] for at in full])
            logits = self._label_logits(
                weights, prompts.prefix[task], batch["rows"], batch["label_at"], np.array(prompts.label_ids[task])
            )
            result[chosen] = np.asarray(jax.nn.softmax(logits))[: len(chosen)]
        return result

    def scores(self, weights: dict, task: str, found: list) -> dict:
        """The scores of measure.py."""
        gold = np.array([self._prompts.gold(task, document) for document in found])
        ambiguous = np.array([document["ambiguous"] for document in found])
        probabilities = self.probabilities(weights, task, found)
        return measure.scores(probabilities, gold, ambiguous, self._prompts.names[task])


def fit(shape: model.Shape, prompts: Prompts, found: list, log: Log) -> dict:
    """The weights after one pass over the documents."""
    steps = len(found) // BATCH
    weights = model.initial(shape, SEED)
    rule = optimiser(steps)
    state = rule.init(weights)
    judge = Judge(shape, prompts)
    progress = with_tokens(list(documents(splits.PROGRESS)), prompts.tokenizer)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(weights, state, prefix, batch):
        graded = jax.value_and_grad(lambda w: model.loss(shape, w, prefix, batch), has_aux=True)
        (_, parts), slope = graded(weights)
        change, state = rule.update(slope, state, weights)
        return optax.apply_updates(weights, change), state, parts

    recent = {"classify": [], "flag": []}
    others = []
    for at, (task, batch) in enumerate(batches(prompts, found), start=1):
        weights, state, parts = step(weights, state, prompts.prefix[task], batch)
        recent[task].append(float(parts[0]))
        others.append([float(parts[1]), float(parts[2])])
        if at % 25 == 0:
            label = ", ".join(f"{name} {np.mean(values or [np.nan]):.4f}" for name, values in recent.items())
            text, probed = np.mean(others, axis=0)
            log(f"step {at}/{steps} loss: {label}, text {text:.3f}, probe {probed:.3f}")
            recent, others = {"classify": [], "flag": []}, []
        if at % 100 == 0 or at == steps:
            for name in prompts.names:
                s = judge.scores(weights, name, progress)
                log(f"step {at} held out {name}: plain {s['plain']['accuracy']:.3f}, all {s['all']['accuracy']:.3f}")
    return weights


def main() -> None:
    """The whole way from nothing to the model file."""
    log = Log(LOG_FILE)
    packages = ("jax", "jaxlib", "optax", "numpy", "tokenizers", "gguf")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    log(f"python {platform.python_version()}, {versions}; seed {SEED}")

    found = list(documents(splits.TRAIN))
    shape = model.Shape()
    tokenizer = contract.train_tokenizer([document["text"] for document in found[:20000]], shape.vocabulary)
    assert tokenizer.get_vocab_size() == shape.vocabulary
    with_tokens(found, tokenizer)
    prompts = Prompts(tokenizer)
    lengths = [len(document["tokens"]) for document in found]
    log(f"{len(found)} documents, {np.mean(lengths):.1f} tokens on average, {max(lengths)} at most")
    log("prompt tokens: " + ", ".join(f"{name} {len(prefix)}" for name, prefix in prompts.prefix.items()))

    weights = fit(shape, prompts, found, log)
    gguf_file.write(MODEL_FILE, shape, weights, tokenizer)
    log(f"{sum(value.size for value in gguf_file.tensors(weights).values())} parameters")
    written = MODEL_FILE.read_bytes()
    log(f"{MODEL_FILE.name}: {len(written)} bytes, sha256 {hashlib.sha256(written).hexdigest()}")
    log(reference.write(MODEL_FILE, shape))

    stored = gguf_file.from_tensors(gguf_file.Readback(MODEL_FILE).tensors, shape.n_layers)
    judge = Judge(shape, prompts)
    for split in (splits.TEST, splits.DEMO):
        unseen = with_tokens(list(documents(split)), tokenizer)
        for task in prompts.names:
            found_scores = judge.scores(stored, task, unseen)
            log(f"{split.name}, the stored model:\n{measure.table(task, found_scores)}")
    log("done")


if __name__ == "__main__":
    main()
