"""Times scikit-learn on the shapes of aqi.rs: one line of milliseconds (median of several) each.

Python 3.11 with numpy and scikit-learn as pinned in ../conformance/requirements.txt, two threads:
    OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 python scikit_learn.py
"""
import statistics
import time

import numpy as np
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score


def data(n, d, k=10):
    rng = np.random.default_rng(0)
    labels = np.arange(n) * 7919 % k
    rows = rng.standard_normal((n, d), dtype=np.float32)
    rows += (0.5 * rng.standard_normal((k, d), dtype=np.float32))[labels]
    return rows, labels


def timed(name, shape, score, repeats):
    rows, labels = data(*shape)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        score(rows, labels)
        times.append(1e3 * (time.perf_counter() - start))
    print(f"{name} {shape[0]}x{shape[1]}: {statistics.median(times):.1f} ms", flush=True)


for shape in [(1_000, 4_096), (10_000, 4_096), (100_000, 768)]:
    timed("calinski_harabasz_score", shape, calinski_harabasz_score, 7)
timed("davies_bouldin_score", (100_000, 768), davies_bouldin_score, 7)
for shape in [(1_000, 4_096), (10_000, 768)]:
    timed("silhouette_score", shape, silhouette_score, 5)
