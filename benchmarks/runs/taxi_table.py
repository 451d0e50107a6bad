"""Writes larger tables: the bundled sample, repeated with jitter."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

SAMPLE = Path("data/taxi/taxi.csv")
# Decimals by column. All are scaled by one factor per trip, so that the ratio of tip to fare stays the same.
SCALED = {"trip_miles": 4, "trip_seconds": 0, "fare": 4, "tips": 4}
MOVED = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
FIFTH, MARGIN = 0.2, 0.001
QUARTER = 15 * 60  # in seconds, to which the source rounds times


def write(path: Path, copies: int, seed: int = 0) -> int:
    """Writes the sample ``copies`` times into one CSV file, and returns the number of rows.

    The first copy is the unchanged sample. In all others, trips with their fare and tip are up to a tenth longer or
    shorter, start and end up to a kilometer away, and start up to four weeks later. The label does not change.

    Args:
        path: The file. Its folder is created.
        copies: Copies of each row of the sample.
        seed: Seed of the jitter.
    """
    sample = pyarrow.csv.read_csv(SAMPLE, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write(SAMPLE.read_bytes())
        with pyarrow.csv.CSVWriter(file, sample.schema, write_options=options) as writer:
            for _ in range(copies - 1):
                writer.write(_jittered(sample, random))
    return copies * sample.num_rows


def _jittered(sample: pa.Table, random: np.random.Generator) -> pa.Table:
    rows = sample.num_rows
    # A tip of exactly a fifth of the fare could cross the bound of the label when it is rounded.
    at_bound = pc.less(pc.abs(pc.subtract(sample["tips"], pc.multiply(sample["fare"], FIFTH))), MARGIN)
    factor = pc.if_else(at_bound, 1.0, pa.array(random.uniform(0.9, 1.1, rows)))
    changed = {name: pc.round(pc.multiply(sample[name], factor), digits) for name, digits in SCALED.items()}
    changed |= {name: pc.round(pc.add(sample[name], random.uniform(-0.01, 0.01, rows)), 6) for name in MOVED}
    quarters = random.integers(0, 2689, rows) * QUARTER
    changed["trip_start_timestamp"] = pc.add(sample["trip_start_timestamp"], quarters)
    for name, values in changed.items():
        place = sample.schema.get_field_index(name)
        sample = sample.set_column(place, sample.schema.field(place), values.cast(sample.schema.field(place).type))
    return sample
