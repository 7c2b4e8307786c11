# What CI runs, by the same names.

default: check test

# Format, lint, types, import contracts.
check:
    uv run --locked ruff format --check .
    uv run --locked ruff check .
    uv run --locked mypy
    uv run --locked lint-imports

# The test command of the README.
test:
    uv run pytest
