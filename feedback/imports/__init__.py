"""Bring files in: prompts, responses, and what people said of them elsewhere.

`reading` and its neighbours know files, `layouts` the exports of other tools, `fields` and `drafts` what a row means;
none of them knows the database. `uploading`, `checking`, `storing` and `undoing` are the verbs.
"""
