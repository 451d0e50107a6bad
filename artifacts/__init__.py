"""Names of the files and properties that nodes write, each with one reader."""
