"""The product under chaos: three workers, organizations rich and poor, and a provider that knows each call's script."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import aiohttp

from server.foundation.crash_points import VARIABLE
from tests.chaos.load import Payer, label_of
from tests.journeys.workers_of import workers_of
from tests.support.provider_double import Script
from tests.support.served import Served, running
from tests.support.tenants import Tenant, make_tenant

WORKERS: Final = 3
NANO: Final = 10**9
_LOW_DOLLARS: Final = 2
_LOOK_SECONDS: Final = 0.5
_A_DAY: Final = str(24 * 3600)


@dataclass
class Product:
    """It runs for as long as `running_product` is entered."""

    served: Served
    orders: Path
    """Where workers find the points that they are to die at."""
    on_disk: bool = True
    """Whether workers keep their journals on disks."""
    scripts: dict[str, Script] = field(default_factory=dict)
    """What the provider does, by the calls' labels."""
    credited: dict[str, int] = field(default_factory=dict)
    """Nano-dollars, by organization."""
    tenants: list[Tenant] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def payer(self, dollars: int, model: str, keys: int) -> Payer:
        """A new organization with so much money and so many keys."""
        tenant = make_tenant(self.served, str(dollars))
        self.tenants.append(tenant)
        self.credited[tenant.organization_id] = dollars * NANO
        made = [self.served.post("/v1/keys", {"name": f"{number}"}, tenant.token) for number in range(keys)]
        return Payer(tenant.organization_id, model, [(each["key"]["id"], each["secret"]) for each in made])

    async def keep_poor(self, session: aiohttp.ClientSession, payer: Payer, stop: asyncio.Event) -> None:
        """Tops an organization up whenever it has less than two dollars, by two: never enough for a lease."""
        while not stop.is_set():
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._top_up(session, payer)
            except (aiohttp.ClientError, TimeoutError):
                continue

    async def _top_up(self, session: aiohttp.ClientSession, payer: Payer) -> None:
        url = f"{self.served.http}/v1/billing/balance"
        async with session.get(url, headers={"Authorization": f"Bearer {payer.keys[0][1]}"}) as answer:
            if answer.status != 200 or float((await answer.json())["posted"]) >= _LOW_DOLLARS:
                return
        await self._credit(session, url, payer.organization_id)

    async def _credit(self, session: aiohttp.ClientSession, url: str, organization_id: str) -> None:
        """Asks until it is answered: the same key moves money once."""
        body = {
            "amount": str(_LOW_DOLLARS),
            "operation": "CREDIT",
            "organization_id": organization_id,
            "transfer_key": f"top-up {next(self._numbers)}",
        }
        headers = {"Authorization": f"Bearer {self.served.admin_token}"}
        while True:
            try:
                async with session.post(url, json=body, headers=headers) as answer:
                    if answer.status == 200:
                        break
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_LOOK_SECONDS)
        self.credited[organization_id] += _LOW_DOLLARS * NANO

    def workers(self) -> set[int]:
        """Process ids."""
        return workers_of(self.served.pid)

    def living(self) -> dict[UUID, int]:
        """Process ids of the workers that hold their locks, by what the kernel says, and what they call themselves."""
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        held = {row[-3].rpartition(":")[2]: int(row[-4]) for row in rows}
        found = {}
        for lock in (self.served.data_dir / "processes").glob("*.lock"):
            with suppress(FileNotFoundError):
                pid = held.get(str(lock.stat().st_ino))
                if pid is not None:
                    found[UUID(lock.stem)] = pid
        return found

    def check_supervised(self) -> None:
        """Raises AssertionError where `serve` has ended."""
        state = (Path("/proc") / str(self.served.pid) / "stat").read_text().rpartition(")")[2].split()[0]
        assert state != "Z", self.served.log.read_text()[-2000:]

    def journals(self) -> set[UUID]:
        """Processes that have a journal."""
        return {UUID(folder.name) for folder in self.served.data_dir.glob("journal/*")}


@contextmanager
def running_product(folder: Path, **variables: str) -> Iterator[Product]:
    """Three workers, started again at once when they are killed; `variables` are settings."""
    orders = folder / "orders"
    orders.mkdir()
    with running(
        folder,
        "--workers",
        str(WORKERS),
        "--no-local-model",
        module="tests.chaos.serve",
        **variables,
        **{VARIABLE: str(orders), "TOLLBRIDGE_ACCESS_TOKEN_SECONDS": _A_DAY, "TOLLBRIDGE_DRAIN_SECONDS": "2"},
    ) as served:
        product = Product(served, orders, variables.get("JOURNAL") != "database")
        served.provider.choose = lambda body: product.scripts.get(label_of(body))
        yield product
