"""What must hold of the ledger and of usage, as SQL that answers what does not.

Each statement answers at most one row: the first difference as (place, expected, found), and how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and the statement that finds what breaks it."""

    promise: str
    sql: str


# Sums of all accounts, posted and pending.
_BALANCED: Final = """
SELECT asset || ' ' || state AS place, debits AS expected, credits AS found, count(*) OVER () FROM (
    SELECT asset, 'posted' AS state, sum(debits_posted) AS debits, sum(credits_posted) AS credits
    FROM ledger_account GROUP BY asset
    UNION ALL
    SELECT asset, 'pending', sum(debits_pending), sum(credits_pending) FROM ledger_account GROUP BY asset
) sums WHERE debits <> credits ORDER BY 1 LIMIT 1
"""

# Every account's four balances, recomputed from transfers alone.
_RECOMPUTED: Final = """
WITH drawn AS (
    SELECT pending_id, sum(amount) AS amount FROM ledger_transfer WHERE kind = 'draw' GROUP BY pending_id
), moved AS (
    SELECT debit_account, credit_account, amount AS posted, 0 AS pending
    FROM ledger_transfer WHERE kind IN ('single', 'draw', 'post')
    UNION ALL
    SELECT p.debit_account, p.credit_account, 0, p.amount - coalesce(d.amount, 0)
    FROM ledger_transfer p LEFT JOIN drawn d ON d.pending_id = p.id
    WHERE p.kind = 'pending'
      AND NOT EXISTS (SELECT FROM ledger_transfer c WHERE c.pending_id = p.id AND c.kind IN ('post', 'void'))
), sides AS (
    SELECT debit_account AS id, posted AS dp, 0 AS cp, pending AS dn, 0 AS cn FROM moved
    UNION ALL SELECT credit_account, 0, posted, 0, pending FROM moved
), sums AS (
    SELECT id, sum(dp) AS dp, sum(cp) AS cp, sum(dn) AS dn, sum(cn) AS cn FROM sides GROUP BY id
)
SELECT 'account ' || coalesce(a.id, s.id) || coalesce(' (' || a.code || ')', '') AS place,
       ROW(coalesce(s.dp, 0), coalesce(s.cp, 0), coalesce(s.dn, 0), coalesce(s.cn, 0))::text AS expected,
       ROW(a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending)::text AS found, count(*) OVER ()
FROM ledger_account a FULL JOIN sums s ON s.id = a.id
WHERE (coalesce(s.dp, 0), coalesce(s.cp, 0), coalesce(s.dn, 0), coalesce(s.cn, 0))
      IS DISTINCT FROM (a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending)
ORDER BY 1 LIMIT 1
"""

# Open holds and leases, and pending transfers that nothing closed, with what was drawn.
_HOLDS: Final = """
WITH open_transfer AS (
    SELECT p.id, p.amount, coalesce(sum(d.amount), 0) AS drawn
    FROM ledger_transfer p LEFT JOIN ledger_transfer d ON d.pending_id = p.id AND d.kind = 'draw'
    WHERE p.kind = 'pending'
      AND NOT EXISTS (SELECT FROM ledger_transfer c WHERE c.pending_id = p.id AND c.kind IN ('post', 'void'))
    GROUP BY p.id, p.amount
)
SELECT 'hold ' || coalesce(t.id, h.id) AS place, ROW(t.amount, t.drawn)::text AS expected,
       ROW(h.amount, h.drawn)::text AS found, count(*) OVER ()
FROM open_transfer t FULL JOIN (
    SELECT id, amount, drawn FROM open_hold UNION ALL SELECT pending_id, amount, drawn FROM spend_lease
) h ON h.id = t.id
WHERE (t.amount, t.drawn) IS DISTINCT FROM (h.amount, h.drawn) ORDER BY 1 LIMIT 1
"""

# Draws and the post together never pass what was held.
_CLOSED: Final = """
SELECT 'transfer ' || c.pending_id AS place, coalesce(p.amount, 0) AS expected, used AS found, count(*) OVER ()
FROM (SELECT pending_id, sum(amount) AS used FROM ledger_transfer WHERE pending_id IS NOT NULL GROUP BY pending_id) c
LEFT JOIN ledger_transfer p ON p.id = c.pending_id AND p.kind = 'pending'
WHERE used > coalesce(p.amount, 0) ORDER BY 1 LIMIT 1
"""

# Both sides of a transfer are accounts of its organization, of one asset.
_SIDES: Final = """
SELECT 'transfer ' || t.id AS place, t.org_id || ' twice, one asset' AS expected,
       ROW(d.org_id, d.asset, c.org_id, c.asset)::text AS found, count(*) OVER ()
FROM ledger_transfer t
LEFT JOIN ledger_account d ON d.id = t.debit_account
LEFT JOIN ledger_account c ON c.id = t.credit_account
WHERE (d.org_id, c.org_id, d.asset) IS DISTINCT FROM (t.org_id, t.org_id, c.asset) ORDER BY 1 LIMIT 1
"""

# What usage events say was charged, and what the ledger moved for them: one transfer or two for a call with a hold of
# its own, one for many calls of a lease. What the platform bore for its providers is compared by organization.
_CHARGED: Final = """
WITH many AS (
    SELECT id, amount FROM ledger_transfer
    WHERE purpose = 'usage' AND usage_event_id IS NULL AND kind IN ('single', 'draw')
), event AS (
    SELECT e.id, e.org_id, e.cost, e.excess, m.id AS draw FROM usage_event e LEFT JOIN many m ON m.id = e.transfer_id
), moved AS (
    SELECT usage_event_id AS id, sum(amount) AS amount FROM ledger_transfer
    WHERE purpose = 'usage' AND usage_event_id IS NOT NULL AND kind IN ('single', 'draw', 'post') GROUP BY 1
), compared AS (
    SELECT 'usage event ' || id AS place, coalesce(e.cost, 0) AS expected, coalesce(m.amount, 0) AS found
    FROM (SELECT id, cost FROM event WHERE draw IS NULL) e FULL JOIN moved m USING (id)
    UNION ALL
    SELECT 'transfer ' || m.id, coalesce(e.cost, 0), m.amount
    FROM many m LEFT JOIN (SELECT draw, sum(cost) AS cost FROM event GROUP BY 1) e ON e.draw = m.id
    UNION ALL
    SELECT 'provider excess of ' || org_id, coalesce(e.excess, 0), coalesce(t.amount, 0)
    FROM (SELECT org_id, sum(excess) AS excess FROM event GROUP BY 1) e
    FULL JOIN (SELECT org_id, sum(amount) AS amount FROM ledger_transfer WHERE purpose = 'excess' GROUP BY 1) t
    USING (org_id)
)
SELECT place, expected, found, count(*) OVER () FROM compared WHERE expected <> found ORDER BY 1 LIMIT 1
"""

# What was given back for runs that were given up: never more than each was charged.
_REVERSED: Final = """
SELECT 'usage event ' || t.usage_event_id AS place, coalesce(e.cost, 0) AS expected, t.amount AS found, count(*) OVER ()
FROM (SELECT usage_event_id, sum(amount) AS amount FROM ledger_transfer WHERE purpose = 'reversal' GROUP BY 1) t
LEFT JOIN usage_event e ON e.id = t.usage_event_id
WHERE t.amount > coalesce(e.cost, 0) ORDER BY 1 LIMIT 1
"""

# Tokens times the prices that the event names, markup included, rounded once, half up; cut where counts are absurd.
_PRICED: Final = """
WITH price AS (
    SELECT version, input, cache_read, cache_write, output, reasoning FROM price_version
    UNION ALL SELECT version, input, cache_read, cache_write, output, reasoning FROM organization_price
), priced AS (
    SELECT e.id, e.cost + e.excess AS found, 1000000 + coalesce(m.parts_per_million, 0)::numeric AS raised,
           e.input_tokens, e.cache_read_tokens, e.cache_write_tokens, e.output_tokens, e.reasoning_tokens,
           p.input, p.cache_read, p.cache_write, p.output, p.reasoning
    FROM usage_event e
    LEFT JOIN price p ON p.version = e.price_version
    LEFT JOIN price_markup m ON m.version = e.markup_version
), computed AS (
    SELECT id, found, least(9007199254740992, coalesce(floor((
        input_tokens * floor((input * raised + 500000) / 1000000)
        + cache_read_tokens * floor((cache_read * raised + 500000) / 1000000)
        + cache_write_tokens * floor((cache_write * raised + 500000) / 1000000)
        + output_tokens * floor((output * raised + 500000) / 1000000)
        + reasoning_tokens * floor((reasoning * raised + 500000) / 1000000)
        + 500000) / 1000000), 0)) AS expected
    FROM priced
)
SELECT 'usage event ' || id AS place, expected, found, count(*) OVER ()
FROM computed WHERE expected <> found ORDER BY 1 LIMIT 1
"""

# Every bucket is the sum of its events.
_BUCKETS: Final = """
WITH summed AS (
    SELECT org_id, date_bin('15 minutes', create_time, '2000-01-01 00:00:00+00') AS start_time, model_id,
           coalesce(key_id, '00000000-0000-0000-0000-000000000000') AS key_id,
           ROW(count(*), count(*) FILTER (WHERE ending NOT IN ('complete', 'client_left')), sum(input_tokens),
               sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens),
               sum(cost))::text AS sums
    FROM usage_event GROUP BY 1, 2, 3, 4
), kept AS (
    SELECT org_id, start_time, model_id, key_id,
           ROW(requests, errors, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
               cost)::text AS sums
    FROM usage_bucket
)
SELECT 'bucket ' || org_id || ' ' || start_time || ' ' || model_id AS place, s.sums AS expected, k.sums AS found,
       count(*) OVER ()
FROM summed s FULL JOIN kept k USING (org_id, start_time, model_id, key_id)
WHERE s.sums IS DISTINCT FROM k.sums ORDER BY 1 LIMIT 1
"""

# Half hours and days are the sums of their buckets.
_ROLLED_UP: Final = """
WITH bucket AS (
    SELECT org_id, date_bin('30 minutes', start_time, '2000-01-01 00:00:00+00') AS half_hour,
           date_trunc('day', start_time, 'UTC') AS day, model_id, key_id, requests, errors, input_tokens,
           cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost
    FROM usage_bucket
), summed AS (
    SELECT org_id, 'half hour ' || half_hour AS span, sum(requests) AS requests, sum(errors) AS errors,
           sum(input_tokens) AS input_tokens, sum(cache_read_tokens) AS cache_read_tokens,
           sum(cache_write_tokens) AS cache_write_tokens, sum(output_tokens) AS output_tokens,
           sum(reasoning_tokens) AS reasoning_tokens, sum(cost) AS cost
    FROM bucket GROUP BY 1, 2
    UNION ALL
    SELECT org_id, 'day ' || day || ' ' || model_id || ' ' || key_id, sum(requests), sum(errors), sum(input_tokens),
           sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost)
    FROM bucket GROUP BY 1, 2
), kept AS (
    SELECT org_id, 'half hour ' || start_time AS span, requests, errors, input_tokens, cache_read_tokens,
           cache_write_tokens, output_tokens, reasoning_tokens, cost
    FROM usage_half_hour
    UNION ALL
    SELECT org_id, 'day ' || start_time || ' ' || model_id || ' ' || key_id, requests, errors, input_tokens,
           cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost
    FROM usage_day
)
SELECT org_id || ' ' || span AS place, s::text AS expected, k::text AS found, count(*) OVER ()
FROM summed s FULL JOIN kept k USING (org_id, span)
WHERE (s.requests, s.errors, s.input_tokens, s.cache_read_tokens, s.cache_write_tokens, s.output_tokens,
       s.reasoning_tokens, s.cost)
    IS DISTINCT FROM (k.requests, k.errors, k.input_tokens, k.cache_read_tokens, k.cache_write_tokens,
       k.output_tokens, k.reasoning_tokens, k.cost)
ORDER BY 1 LIMIT 1
"""

CHECKS: Final = (
    Check("debits equal credits, per asset", _BALANCED),
    Check("balances are what transfers make them", _RECOMPUTED),
    Check("transfers stay within one organization and asset", _SIDES),
    Check("open holds and leases explain what is reserved", _HOLDS),
    Check("closed holds were charged at most once, and at most what was held", _CLOSED),
    Check("usage events are charged in the ledger", _CHARGED),
    Check("charges were taken back at most once", _REVERSED),
    Check("usage events are priced by the prices they name", _PRICED),
    Check("buckets are the sums of usage events", _BUCKETS),
    Check("half hours and days are the sums of buckets", _ROLLED_UP),
)
"""In the order in which they run."""
