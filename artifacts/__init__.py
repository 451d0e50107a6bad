"""The files and properties that nodes leave behind: their names, and one reader that turns them into records."""
