"""The steps of docs/adding-an-rpc.md, carried out as written on a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.docs.checkout import CHECKOUT, blocks

PAGE: Final = CHECKOUT / "docs" / "adding-an-rpc.md"
COPIED: Final = ("bridge", "cli", "generated", "proto", "sdk", "server", "third_party", "tools")
CONFIGURED: Final = ("buf.gen.yaml", "buf.gen.sdk.yaml", "buf.yaml", "pyproject.toml")
PROTOS: Final = "proto/tollbridge/organizations/v1"
CAPABILITY: Final = "server/organizations"
SERVED: Final = """
from server.organizations.service import OrganizationService
from server.rpc.methods import method_table
print(*method_table([OrganizationService.__new__(OrganizationService)]))
"""

CALLABLE: Final = (
    "from tollbridge_sdk._generated.aio import AsyncOrganizations; print(AsyncOrganizations.get_membership)"
)

Edit = Callable[[str], str]


def code(language: str) -> list[str]:
    return [block.text for block in blocks(PAGE) if block.language == language]


def before(mark: str, added: str) -> Edit:
    """Puts code in front of the first place that begins with `mark`."""

    def edit(text: str) -> str:
        head, found, tail = text.partition(mark)
        assert found, mark
        return f"{head}{added}\n{mark}{tail}"

    return edit


def resource(text: str) -> str:
    """Puts the page's `Membership` in the place of its first lines."""
    head, _, tail = text.partition("message Membership {\n")
    return head + code("proto")[2] + tail.partition("string id = 1;\n")[2]


class Copy:
    """A checkout to work in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in COPIED:
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in CONFIGURED:
            shutil.copy(CHECKOUT / name, folder / name)

    def edit(self, name: str, *edits: Edit) -> None:
        path = self._folder / name
        text = path.read_text("utf-8")
        for edit in edits:
            text = edit(text)
        path.write_text(text, "utf-8")

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Python as in that checkout."""
        search = os.pathsep.join([str(self._folder), str(self._folder / "generated"), str(self._folder / "sdk")])
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_the_page_adds_an_rpc(copy: Copy) -> None:
    method, request, _ = code("proto")
    query, method_of_domain, method_of_service, id_reader = code("python")[:4]
    service = f"{PROTOS}/organization_service.proto"
    copy.edit(
        service, before("}\n\n// Names the organization to read.", f"\n{method}"), lambda text: f"{text}\n{request}"
    )
    copy.edit(f"{PROTOS}/organization.proto", resource)
    made = copy.python("-m", "tools.generate")
    assert made.returncode == 0, made.stderr

    client = copy.python("-c", CALLABLE)
    assert "AsyncOrganizations.get_membership" in client.stdout, client.stderr

    missing = copy.python("-c", SERVED)
    assert "OrganizationService has no get_membership for" in missing.stderr

    copy.edit(f"{CAPABILITY}/store.py", before("async def get(", f"{query}\n"))
    copy.edit(f"{CAPABILITY}/directory.py", before("    async def list_memberships(", method_of_domain))
    copy.edit(
        f"{CAPABILITY}/service.py",
        before("    async def list_memberships(", method_of_service),
        before("def own_id(", f"{id_reader}\n"),
    )
    served = copy.python("-c", SERVED)
    assert "/tollbridge.organizations.v1.OrganizationService/GetMembership" in served.stdout, served.stderr
    for check in (["format", "--check"], ["check"]):
        linted = copy.python("-m", "ruff", *check, CAPABILITY)
        assert linted.returncode == 0, linted.stdout
