"""How far quantised arithmetic strays from exact: the engine's logits and llama.cpp's on a
quantised file, each beside llama.cpp's on the same weights written out as F16.

usage: python3 bench/engine_error.py TIERGATE REFERENCE FOLDER MODEL.gguf...

Both engines round activations to eight bits when the weights are quantised, each in its own way,
so that neither is the truth for the other. The file of written-out weights goes to FOLDER and is
removed afterwards. Needs numpy and gguf.
"""

import os
import sys

import gguf
import numpy

from engine_logits import POSITIONS, logits

TOKENS = ",".join(str((i * 2741 + 17) % 120_000) for i in range(POSITIONS))


def write_out(model, to):
    """The same model with its weights as F16, norms as they are."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(to, "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, inner)
    for tensor in reader.tensors:
        exact = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        norm = len(tensor.shape) == 1
        writer.add_tensor(tensor.name, exact.astype(numpy.float32 if norm else numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def cosines(a, b):
    lengths = numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / lengths


def compare(tiergate, reference, folder, model):
    out = os.path.join(folder, "logits")
    plain = os.path.join(folder, "written-out.gguf")
    write_out(model, plain)
    exact = logits([reference, plain, out, TOKENS], out)
    os.remove(plain)
    command = [tiergate, "model", "logits", "--model", model, "--tokens", TOKENS]
    ours = logits(command + ["--out", out, "--threads", "2"], out)
    theirs = logits([reference, model, out, TOKENS], out)
    pairs = {"engine–exact": (ours, exact), "llama.cpp–exact": (theirs, exact)}
    pairs["engine–llama.cpp"] = (ours, theirs)
    for name, (a, b) in pairs.items():
        found = cosines(a, b)
        print(
            f"{os.path.basename(model):16} {name:17} cosine least {found.min():.6f} "
            f"middle {numpy.median(found):.6f}",
            flush=True,
        )


def main():
    tiergate, reference, folder, *models = sys.argv[1:]
    for model in models:
        compare(tiergate, reference, folder, model)


if __name__ == "__main__":
    main()
