"""Writes crates/collimate-cluster/tests/fixtures/agreement.json.

Reference values of clustering agreement and of k-means, Gaussian mixture and DBSCAN.
scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6:

    python conformance/agreement.py
"""

import json
import pathlib

import numpy as np
import scipy.stats
import sklearn
from sklearn import cluster, metrics, mixture
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-cluster/tests/fixtures/agreement.json"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def text(codes):
    return "".join(DIGITS[c] for c in codes)


def expected_binary_purity(table):
    n, first = table.sum(), table[0].sum()
    if len(table) == 1:
        return 1.0
    if len(table) > 2:
        return None
    total = 0.0
    for size in table.sum(axis=0):
        overlap = np.arange(size + 1)
        law = scipy.stats.hypergeom(n, first, size).pmf(overlap)
        total += (law * np.maximum(overlap, size - overlap)).sum()
    return total / n


def agreement(name, labels, clusters):
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    table = contingency_matrix(labels, clusters)
    homogeneity, completeness, v = metrics.homogeneity_completeness_v_measure(labels, clusters)
    return {
        "name": name,
        "labels": text(labels),
        "clusters": text(clusters),
        "adjusted_rand": metrics.adjusted_rand_score(labels, clusters),
        "mutual_information": metrics.mutual_info_score(labels, clusters),
        "expected_mutual_information": expected_mutual_information(
            contingency_matrix(labels, clusters, sparse=True), len(labels)
        ),
        "normalized_mutual_information": metrics.normalized_mutual_info_score(labels, clusters),
        "adjusted_mutual_information": metrics.adjusted_mutual_info_score(labels, clusters),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v,
        "purity": table.max(axis=0).sum() / table.sum(),
        "expected_purity": expected_binary_purity(table),
    }


def noisy(rng, n, classes, clusters, share):
    """Clusters that repeat the label (modulo their number) but for a share of random ones."""
    labels = rng.integers(0, classes, n)
    found = np.where(rng.random(n) < share, rng.integers(0, clusters, n), labels % clusters)
    return labels, found


def agreements():
    rng = np.random.default_rng(20250613)
    yield agreement("perfect", [0, 0, 1, 1, 2], [0, 0, 1, 1, 2])
    yield agreement("perfect with other numbers", [0, 0, 1, 1, 2], [2, 2, 0, 0, 1])
    yield agreement("opposite", [0, 0, 1, 1], [0, 1, 0, 1])
    yield agreement("one cluster", [0, 0, 1, 1, 1], [0, 0, 0, 0, 0])
    yield agreement("one class", [0, 0, 0, 0, 0], [0, 0, 1, 1, 2])
    yield agreement("one class, one cluster", [0, 0, 0], [0, 0, 0])
    yield agreement("singletons", [0, 0, 1, 1, 1, 0], [0, 1, 2, 3, 4, 5])
    yield agreement("singletons twice", [0, 1, 2, 3], [3, 1, 0, 2])
    yield agreement("one row", [0], [0])
    yield agreement("split class", [0, 0, 1, 1], [0, 0, 1, 2])
    yield agreement("unbalanced", [0] * 18 + [1] * 2, [0] * 17 + [1] * 3)
    yield agreement("random 2x2", *noisy(rng, 200, 2, 2, 1.0))
    yield agreement("near 2x2", *noisy(rng, 300, 2, 2, 0.2))
    yield agreement("2x5", *noisy(rng, 150, 2, 5, 0.6))
    yield agreement("7x3", *noisy(rng, 250, 7, 3, 0.4))
    yield agreement("14x14", *noisy(rng, 400, 14, 14, 0.5))
    yield agreement("2000 rows", *noisy(rng, 2000, 2, 3, 0.9))


def rows(n, d, lift, every):
    """Integers that Rust makes too: a scatter of 0 to 96, and `lift` on every third row."""
    i, j = np.arange(n)[:, None], np.arange(d)[None, :]
    scatter = (37 * i + 61 * j + 13 * i * j + 7 * ((i * i * (j + 1)) % 89)) % 97
    return scatter + lift * ((i % 3 == 0) & (j % every == 0)).astype(float)


def k_means():
    x = rows(90, 6, 70, 2)
    fit = cluster.KMeans(2, n_init=50, tol=0, random_state=0).fit(x)
    return {"clusters": text(fit.labels_), "inertia": fit.inertia_}


def gaussian_mixture():
    x = rows(120, 3, 110, 1)
    floor = 1e-6 * x.var(axis=0).mean()
    fit = mixture.GaussianMixture(
        2, tol=1e-12, reg_covar=floor, max_iter=10_000, n_init=10, random_state=0
    ).fit(x)
    assert fit.converged_
    order = np.argsort(fit.means_[:, 0])
    return {
        "log_likelihood": fit.score(x),
        "bic": fit.bic(x),
        "weights": fit.weights_[order].tolist(),
        "means": fit.means_[order].tolist(),
        "responsibilities_of_first": fit.predict_proba(x)[:, order[0]].tolist(),
    }


def dbscan():
    x = rows(90, 2, 150, 1)
    fit = cluster.DBSCAN(eps=13, min_samples=4).fit(x)
    return {"epsilon": 13.0, "min_points": 4, "clusters": fit.labels_.tolist()}


OUT.write_text(
    json.dumps(
        {
            "scikit_learn": sklearn.__version__,
            "agreement": list(agreements()),
            "k_means": k_means(),
            "gaussian_mixture": gaussian_mixture(),
            "dbscan": dbscan(),
        },
        indent=1,
    )
    + "\n"
)
