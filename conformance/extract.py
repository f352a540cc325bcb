"""Writes crates/collimate-peft/tests/fixtures/extract.

Two models, base and tuned, whose differences have spectra of several kinds, and in errors.json, by
module and rank, the Frobenius norm of what numpy's truncated singular value decomposition leaves of
the difference. numpy 2.4.6, safetensors 0.8.0:

    python conformance/extract.py
"""

import json
import pathlib

import numpy
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-peft/tests/fixtures/extract"
RANKS = [1, 5, 16]


def main():
    random = numpy.random.default_rng(7)

    def with_spectrum(rows, columns, values):
        count = len(values)
        left, _ = numpy.linalg.qr(random.standard_normal((rows, count)))
        right, _ = numpy.linalg.qr(random.standard_normal((columns, count)))
        return (left * values) @ right.T

    deltas = {
        # All singular values alike: the slowest to converge.
        "layers.0.flat": with_spectrum(90, 96, numpy.linspace(1.1, 0.9, 90)),
        "layers.0.gaussian": 0.1 * random.standard_normal((110, 88)),
        "layers.0.low_rank": with_spectrum(96, 80, numpy.array([3.0, 1.0, 0.5, 0.01])),
        "layers.0.ill_conditioned": with_spectrum(80, 100, 10.0 ** -numpy.linspace(0, 8, 80)),
        # A few large ones before many that are alike.
        "layers.0.steps": with_spectrum(84, 90, numpy.array([1e4, 1e2, 1.0] + [1e-2] * 70)),
        # Smaller than what is iterated.
        "layers.0.small": 0.01 * random.standard_normal((12, 7)),
        "embed_tokens": with_spectrum(130, 70, 1 / numpy.arange(1, 71)),
    }
    base, tuned, errors = {}, {}, {}
    for name, delta in deltas.items():
        weight = (0.05 * random.standard_normal(delta.shape)).astype(numpy.float16)
        base[f"{name}.weight"] = weight
        tuned[f"{name}.weight"] = (weight + delta).astype(numpy.float32)
        delta = tuned[f"{name}.weight"] - weight.astype(numpy.float32)
        values = numpy.linalg.svd(delta.astype(numpy.float64), compute_uv=False)
        errors[name] = {rank: numpy.sqrt(numpy.sum(values[rank:] ** 2)) for rank in [0, *RANKS]}
    for name, tensors in [("base", base), ("tuned", tuned)]:
        (OUT / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, OUT / name / "model.safetensors", metadata={"format": "pt"})
    (OUT / "errors.json").write_text(json.dumps(errors, indent=1) + "\n")


main()
