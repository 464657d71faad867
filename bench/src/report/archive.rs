//! Archived runs: `<folder>/<date>-<machine>/` with `setup.txt`, `results.json` and `summary.md`.
