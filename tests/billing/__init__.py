"""Tests of the ledger, holds, adjustments, statements, the reaper and verify."""
