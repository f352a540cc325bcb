"""Writes crates/collimate-aqi/tests/fixtures/indices.json: data sets, and the separation indices
that scikit-learn, and brute force in numpy, give for them. See README.md beside this file."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import (
    calinski_harabasz_score,
    davies_bouldin_score,
    pairwise_distances,
    silhouette_samples,
    silhouette_score,
)
from sklearn.preprocessing import StandardScaler, normalize

TARGET = Path(__file__).parent.parent / "crates/collimate-aqi/tests/fixtures/indices.json"


def xie_beni(x, y):
    classes = np.unique(y)
    centroids = np.array([x[y == c].mean(axis=0) for c in classes])
    within = sum(((x[y == c] - m) ** 2).sum() for c, m in zip(classes, centroids))
    gaps = [
        ((centroids[a] - centroids[b]) ** 2).sum()
        for a in range(len(classes))
        for b in range(a + 1, len(classes))
    ]
    return within / (len(x) * min(gaps))


def split_distances(x, y):
    """Distances of all pairs, by differences: between classes, and within."""
    between, within = [], []
    for i in range(len(x)):
        distances = np.sqrt(((x[i + 1 :] - x[i]) ** 2).sum(axis=1))
        same = y[i + 1 :] == y[i]
        between.extend(distances[~same])
        within.extend(distances[same])
    return np.array(between), np.array(within)


def participation_ratio(x, y):
    residuals = np.concatenate([x[y == c] - x[y == c].mean(axis=0) for c in np.unique(y)])
    scatter = residuals.T @ residuals
    return np.trace(scatter) ** 2 / (scatter**2).sum()


def boundary_gap(x, y, weight, tau):
    first = y == np.unique(y)[0]
    a, b = x[first], x[~first]
    squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    cosine = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    gaps = squared + weight * (1 - cosine)
    return [gaps.min(), np.quantile(gaps, tau), np.sqrt(squared.min())]


def simplified_silhouette(x, y):
    classes, codes = np.unique(y, return_inverse=True)
    centroids = np.array([x[y == c].mean(axis=0) for c in classes])
    distances = np.sqrt(((x[:, None, :] - centroids[None, :, :]) ** 2).sum(axis=2))
    own = distances[np.arange(len(x)), codes]
    distances[np.arange(len(x)), codes] = np.inf
    nearest = distances.min(axis=1)
    widths = (nearest - own) / np.maximum(own, nearest)
    widths[np.bincount(codes)[codes] == 1] = 0
    return widths.mean()


def indices(x, y):
    # scikit-learn keeps distances of float32 rows in float32; the reference is its float64 value.
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y)
    between, within = split_distances(x, y)
    # Distances by differences: scikit-learn's own lose digits far from the origin.
    full = pairwise_distances(x, metric=lambda a, b: np.sqrt(((a - b) ** 2).sum()))
    cosine = pairwise_distances(normalize(x), metric=lambda a, b: ((a - b) ** 2).sum() / 2)
    return {
        "calinski_harabasz": calinski_harabasz_score(x, y),
        # Centred, for the same reason.
        "davies_bouldin": davies_bouldin_score(x - x.mean(axis=0), y),
        "silhouette": silhouette_score(full, y, metric="precomputed"),
        "silhouette_cosine": silhouette_score(cosine, y, metric="precomputed"),
        "silhouette_simplified": simplified_silhouette(x, y),
        "xie_beni": xie_beni(x, y),
        "dunn": between.min() / within.max(),
        "dunn_trimmed": np.quantile(between, 0.05) / np.quantile(within, 0.95),
        "participation_ratio": participation_ratio(x, y),
        "boundary_gap": boundary_gap(x, y, 0.5, 0.05),
    }


def blobs(seed, counts, d, spread, offset=0.0, decimals=3):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(counts), d)) * spread
    rows = np.concatenate([m + rng.normal(size=(n, d)) for m, n in zip(centres, counts)])
    codes = np.repeat(np.arange(len(counts)), counts)
    order = rng.permutation(len(codes))
    return np.round(rows + offset, decimals)[order], codes[order]


def data_sets():
    iris = load_iris()
    x, y = iris.data, iris.target
    yield "iris", "f64", x, iris.target_names[y]
    yield "iris standardized", "f64", StandardScaler().fit_transform(x), y
    yield "iris unit rows", "f64", normalize(x), y
    yield "iris setosa or not", "f64", x, y == 0
    yield "iris versicolor, virginica", "f64", x[y > 0], y[y > 0]

    rows, codes = blobs(1, [80, 30, 10], 5, 2.0)
    yield "unbalanced", "f64", rows, codes
    rows, codes = blobs(2, [25, 30, 20, 15], 12, 0.5)
    yield "named", "f64", rows, np.array(["truthful", "evasive", "harmful", "refusal"])[codes]
    rows, codes = blobs(3, [25, 15], 64, 0.3, offset=1e4)
    yield "wide, far from the origin", "f64", rows, codes
    rows, codes = blobs(4, [100, 150, 5, 90, 180, 1, 74], 6, 1.5)
    yield "several tiles", "f64", rows, np.array([-7, 100, 3, 12, 5, -1, 40])[codes]
    rows, codes = blobs(5, [60, 60, 40, 40], 8, 1.0, decimals=9)
    yield "single precision", "f32", rows.astype(np.float32), codes
    rows, codes = blobs(6, [70, 50], 3, 1.0, offset=-300.0)
    yield "single precision, offset", "f32", rows.astype(np.float32), codes


def label(value):
    value = value.item() if hasattr(value, "item") else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def row(values):
    # The shortest text that reads back as the same number of its type.
    return "[" + ",".join(np.format_float_scientific(v, trim="-") if 0 < abs(v) < 1e-4 else
                          np.format_float_positional(v, trim="0") for v in values) + "]"


def main():
    parts = []
    for name, dtype, x, y in data_sets():
        expected = {
            key: [float(v) for v in value] if isinstance(value, list) else float(value)
            for key, value in indices(x, y).items()
        }
        if name == "unbalanced":
            expected["silhouette_samples"] = silhouette_samples(x, y).tolist()
        parts.append(
            "{"
            + f'"name":{json.dumps(name)},"dtype":"{dtype}",\n'
            + f'"labels":{json.dumps([label(v) for v in y], separators=(",", ":"))},\n'
            + '"rows":[\n' + ",\n".join(row(r) for r in x) + "],\n"
            + f'"expected":{json.dumps(expected)}'
            + "}"
        )
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("[" + ",\n".join(parts) + "]\n")


if __name__ == "__main__":
    main()
