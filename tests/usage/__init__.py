"""Tests of settlement, events, sums and calendar windows."""

import pytest

pytest.register_assert_rewrite("tests.usage.books_model")
