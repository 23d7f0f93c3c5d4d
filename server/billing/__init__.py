"""Money: a double-entry ledger, the accounts that pay for calls, holds, and what an organization sees of them."""
