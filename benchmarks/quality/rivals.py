"""Boosted trees with their defaults: scikit-learn's HistGradientBoosting, LightGBM and CatBoost."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmarks.quality.rows import Split
from common.project import ROOT

LOCK = Path(__file__).with_name("requirements.lock")
PACKAGES = ROOT / ".cache/quality"
MAX_CATEGORIES = 255  # of HistGradientBoosting


def install() -> None:
    """Installs LightGBM and CatBoost, with their hashes checked, into a separate folder on the path."""
    if not (PACKAGES / "catboost").exists():
        uv = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command = [*uv, "--python", sys.executable, "--target", str(PACKAGES), "-r", str(LOCK)]
        subprocess.run(command, check=True)  # noqa: S603
    sys.path.append(str(PACKAGES))


def hist_gradient_boosting(train: Split, evaluated: Split, task: str, seed: int) -> np.ndarray:
    """Predictions of scikit-learn's HistGradientBoosting. Columns with more than 255 categories become numbers."""
    model = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    frames = [_numbered(each.features) for each in (train, evaluated)]
    fitted = model(categorical_features="from_dtype", random_state=seed).fit(frames[0], train.label)
    return _predictions(fitted, frames[1], task)


def lightgbm(train: Split, evaluated: Split, task: str, seed: int) -> np.ndarray:
    """Predictions of LightGBM."""
    import lightgbm  # noqa: PLC0415 - installed for the benchmark alone

    model = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
    # LightGBM refuses some characters in names.
    frames = [each.features.set_axis(range(each.features.shape[1]), axis=1) for each in (train, evaluated)]
    fitted = model(random_state=seed, verbose=-1).fit(frames[0], train.label)
    return _predictions(fitted, frames[1], task)


def catboost(train: Split, evaluated: Split, task: str, seed: int) -> np.ndarray:
    """Predictions of CatBoost."""
    import catboost  # noqa: PLC0415 - installed for the benchmark alone

    model = catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier
    texts = list(train.features.select_dtypes("category"))
    frames = [
        each.features.assign(**{name: each.features[name].astype(object).fillna("") for name in texts})
        for each in (train, evaluated)
    ]
    fitted = model(random_seed=seed, verbose=0, allow_writing_files=False)
    fitted.fit(frames[0], train.label, cat_features=texts)
    return _predictions(fitted, frames[1], task)


RIVALS: Mapping[str, Callable[[Split, Split, str, int], np.ndarray]] = {
    "HistGB": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
}


def _numbered(features: pd.DataFrame) -> pd.DataFrame:
    many = [name for name in features.select_dtypes("category") if len(features[name].cat.categories) > MAX_CATEGORIES]
    return features.assign(**{name: features[name].cat.codes for name in many})


def _predictions(fitted: Any, features: pd.DataFrame, task: str) -> np.ndarray:
    """[N, 1], or [N, C] with the columns of the classes that the model saw."""
    if task == "regression":
        return np.asarray(fitted.predict(features))[:, np.newaxis]
    scores = np.asarray(fitted.predict_proba(features))
    if task == "binary":
        return scores[:, 1:]
    complete = np.zeros((len(scores), int(fitted.classes_.max()) + 1), scores.dtype)
    complete[:, np.asarray(fitted.classes_, int).ravel()] = scores
    return complete
