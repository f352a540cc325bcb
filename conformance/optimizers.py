"""Three steps of each optimizer of collimate-train, by torch and transformers where they have it, and else
in double precision by the equations of the paper.

    python conformance/optimizers.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers.optimization import Adafactor

TARGET = Path(__file__).parent.parent / "crates/collimate-train/tests/fixtures/optimizers.json"
RATE = 0.05
DECAY = 0.1
ROWS, COLUMNS, STEPS = 4, 3, 3


def by_torch(optimizer, start, gradients, **settings):
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = optimizer([parameter], lr=RATE, **settings)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        yield parameter.detach().numpy().copy()


def lion(value, gradients, beta_1=0.9, beta_2=0.99):
    """Algorithm 2 of arXiv:2302.06675."""
    momentum = np.zeros_like(value)
    for gradient in gradients:
        step = np.sign(beta_1 * momentum + (1 - beta_1) * gradient)
        value = value - RATE * (step + DECAY * value)
        momentum = beta_2 * momentum + (1 - beta_2) * gradient
        yield value


def lamb(value, gradients, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    """Algorithm 2 of arXiv:1904.00962, with the identity for phi."""
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for at, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        step = (mean / (1 - beta_1**at)) / (np.sqrt(square / (1 - beta_2**at)) + epsilon) + DECAY * value
        value = value - RATE * np.linalg.norm(value) / np.linalg.norm(step) * step
        yield value


def adan(value, gradients, beta_1=0.98, beta_2=0.92, beta_3=0.99, epsilon=1e-8):
    """Algorithm 1 of arXiv:2208.06677, its betas counted from 1, with the means corrected for their start."""
    mean, change, square = (np.zeros_like(value) for _ in range(3))
    before = gradients[0]
    for at, gradient in enumerate(gradients, 1):
        difference = gradient - before
        mean = beta_1 * mean + (1 - beta_1) * gradient
        change = beta_2 * change + (1 - beta_2) * difference
        square = beta_3 * square + (1 - beta_3) * (gradient + beta_2 * difference) ** 2
        step = mean / (1 - beta_1**at) + beta_2 * change / (1 - beta_2**at)
        step /= np.sqrt(square / (1 - beta_3**at)) + epsilon
        value = (value - RATE * step) / (1 + RATE * DECAY)
        before = gradient
        yield value


def muon(value, gradients, factor=0.95, coefficients=(3.4445, -4.775, 2.0315)):
    """torch.optim.Muon with `match_rms_adamw`, which computes in bfloat16."""
    a, b, c = coefficients
    momentum = np.zeros_like(value)
    for gradient in gradients:
        momentum = factor * momentum + gradient
        x = gradient + factor * momentum
        x = x.T / np.linalg.norm(x)
        for _ in range(5):
            square = x @ x.T
            x = a * x + (b * square + c * square @ square) @ x
        value = (1 - RATE * DECAY) * value - RATE * 0.2 * max(value.shape) ** 0.5 * x.T
        yield value


def cases(start, gradients):
    def torchs(name, optimizer, given=None, **settings):
        settings = {"weight_decay": DECAY, **settings}
        given = {"weight_decay": settings["weight_decay"], **(given or {})}
        return {name: given}, by_torch(optimizer, start, gradients, **settings)

    optim = torch.optim
    yield torchs("adamw", optim.AdamW)
    yield torchs("adam", optim.Adam)
    absolute = {"relative_step": False, "scale_parameter": False}
    yield torchs("adafactor", Adafactor, **absolute)
    # The scale goes into the decay as well there, and not in burn.
    scaled = {**absolute, "scale_parameter": True, "weight_decay": 0.0}
    yield torchs("adafactor", Adafactor, {"scale_parameter": True}, **scaled)
    yield torchs("adagrad", optim.Adagrad, {"lr_decay": 0.5}, lr_decay=0.5)
    yield torchs("rmsprop", optim.RMSprop)
    whole = {"momentum": 0.9, "centered": True}
    yield torchs("rmsprop", optim.RMSprop, whole, **whole)
    yield torchs("sgd", optim.SGD)
    ahead = {"momentum": 0.9, "nesterov": True}
    yield torchs("sgd", optim.SGD, ahead, **ahead)
    for name, function in {"lion": lion, "lamb": lamb, "adan": adan, "muon": muon}.items():
        yield {name: {"weight_decay": DECAY}}, function(start, gradients)


def main():
    random = np.random.default_rng(11)
    # What float32 has, so that all start from the same numbers.
    draw = lambda: random.normal(size=(ROWS, COLUMNS)).astype(np.float32).astype(np.float64)
    start, gradients = draw(), [draw() for _ in range(STEPS)]
    flat = lambda values: [float(np.float32(value)) for value in np.asarray(values).ravel()]
    found = [
        {
            "optimizer": optimizer,
            "learning_rate": RATE,
            "shape": [ROWS, COLUMNS],
            "start": flat(start),
            "gradients": [flat(gradient) for gradient in gradients],
            "expected": [flat(value) for value in values],
        }
        for optimizer, values in cases(start, gradients)
    ]
    TARGET.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
