"""Pages of the people's side; each module holds the pages of one noun."""
