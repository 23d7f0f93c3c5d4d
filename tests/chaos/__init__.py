"""Chaos: three workers under calls of every kind, killed at random and at every named point, then judged.

Four oracles must agree (`oracles`): what the provider double sent, what the clients got, the usage events, the ledger.
`./run chaos` runs for minutes; `test_chaos` runs a short form with every other test.
"""
