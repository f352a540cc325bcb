"""Makes crates/collimate-report/tests/fixtures/projection.json: rows and their two principal
components as scikit-learn finds them, more rows than columns, fewer, and far from the origin."""

import json
import pathlib

import numpy as np
from sklearn.decomposition import PCA

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-report/tests/fixtures/projection.json"


def case(name, rows):
    pca = PCA(n_components=2, svd_solver="full")
    coordinates = pca.fit_transform(rows)
    # The loading of largest magnitude is positive.
    largest = np.abs(pca.components_).argmax(axis=1)
    coordinates *= np.sign(pca.components_[np.arange(2), largest])
    return {
        "name": name,
        "rows": rows.tolist(),
        "coordinates": coordinates.tolist(),
        "explained": pca.explained_variance_ratio_.tolist(),
    }


def main():
    random = np.random.default_rng(7)
    scales = np.array([5.0, 3.0, 1.0, 0.5])
    tall = np.round(random.normal(size=(12, 4)) * scales, 4)
    wide = np.round(random.normal(size=(5, 16)) * np.linspace(4.0, 1.0, 16), 4)
    cases = [case("tall", tall), case("wide", wide), case("far", tall + 1000.0)]
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
