"""The operator's commands, as the operator types them."""
