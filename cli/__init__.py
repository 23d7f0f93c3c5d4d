"""The `tollbridge` command: what an operator starts, and the processes that it becomes."""
