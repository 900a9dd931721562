"""What is wrong with texts before anybody learns from them: near-duplicates, languages, personal data."""
