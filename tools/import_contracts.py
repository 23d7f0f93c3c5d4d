"""A kind of contract for import-linter: two packages may meet in the named modules and nowhere else."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class MeetingPoint(Contract):
    """No module below `package` imports both `left` and `right` itself, except those in `allowed`.

    Only direct imports count: whoever composes the program imports a module that imports both. Allowed modules need
    not exist, so that the contract can be written before the last of them.
    """

    type_name = "meeting_point"

    package = fields.StringField()
    left = fields.StringField()
    right = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Keeps where every module that imports both sides is allowed to."""
        del verbose
        meeting = {module for module in graph.modules if self.imports_both(graph, module)}
        unwanted = sorted(meeting - set(self.option("allowed")))
        return ContractCheck(kept=not unwanted, metadata={"modules": unwanted})

    def imports_both(self, graph: ImportGraph, module: str) -> bool:
        if not within(module, self.option("package")):
            return False
        imported = graph.find_modules_directly_imported_by(module)
        return all(any(within(name, self.option(side)) for name in imported) for side in ("left", "right"))

    def option(self, name: str) -> Any:
        """A field's value: import-linter puts values where its annotations promise field descriptions."""
        return getattr(self, name)

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module in check.metadata["modules"]:
            output.print_error(f"{module} imports both {self.option('left')} and {self.option('right')}.")


def within(module: str, package: str) -> bool:
    """Whether a module is a package or lies in it."""
    return module == package or module.startswith(f"{package}.")
