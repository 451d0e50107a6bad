"""Names of the files and properties that nodes write, and one reader for each of them."""
