"""System checks that read the source of our own apps: what no model and no setting tells.

They run with every command, so a file is only parsed where a word in it gives reason to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks

from databases.aliases import PRIMARY, declared_home

Message = checks.CheckMessage
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

MANAGERS = frozenset({"objects", "_default_manager", "_base_manager"})
NAMES_A_DATABASE = frozenset({"using", "db_manager"})
WRITES = frozenset({"save", "bulk_create", "get_or_create", "update_or_create"})
ON_THE_PRIMARY = {
    "atomic": "opens a transaction on the primary",
    "on_commit": "waits for a commit of the primary",
}
_EXCLUDED = frozenset({"migrations", "tests", "__pycache__"})


def transactions_name_their_database(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[Message]:
    """W011: bare `atomic` and `on_commit` in an app whose rows do not live in the primary."""
    return [
        checks.Warning(
            f"{_shown(path)}:{line}: transaction.{name} without `using` {ON_THE_PRIMARY[name]}, "
            f"but the rows of {config.label!r} live in {declared_home(config.label).value!r}.",
            hint=f"Use databases.transactions.{_OURS[name]}({config.label!r}).",
            id="databases.W011",
        )
        for config in _our_apps(app_configs)
        if declared_home(config.label) is not PRIMARY
        for path in _modules(Path(config.path))
        for line, name in bare_transactions(_source(path))
    ]


def migrations_use_their_database(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[Message]:
    """W012: functions of RunPython that ask the router instead of their migration's database."""
    return [
        checks.Warning(
            f"{_shown(path)}:{line}: {name} uses the ORM without the alias that is migrated.",
            hint="Use Model.objects.using(schema_editor.connection.alias) for every query.",
            id="databases.W012",
        )
        for config in _our_apps(app_configs)
        for path in sorted((Path(config.path) / "migrations").glob("*.py"))
        for line, name in careless_operations(_source(path))
    ]


def bare_transactions(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name ("atomic", "on_commit") of each use that names no database."""
    if not any(name in source for name in ON_THE_PRIMARY):
        return
    tree = ast.parse(source)
    known = _names_of_transaction(tree)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        name = known.get(_dotted(node))
        if name is not None and not _names_its_database(called.get(id(node)), name, functions):
            yield node.lineno, name  # type: ignore[attr-defined]  # names and attributes have one


def careless_operations(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each function given to RunPython that ignores the alias."""
    if "RunPython" not in source:
        return
    tree = ast.parse(source)
    functions: dict[str, Function] = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for function in _operations(tree, functions):
        nodes = _with_callees(function, functions)
        if _ignores_the_alias(nodes):
            yield function.lineno, getattr(function, "name", "a lambda")


_OURS = {"atomic": "atomic_for", "on_commit": "after_commit"}


def _our_apps(app_configs: Sequence[AppConfig] | None) -> list[AppConfig]:
    chosen = apps.get_app_configs() if app_configs is None else app_configs
    # An environment may lie inside the checkout; what it holds is not ours.
    return [config for config in chosen if Path(config.path).parent == settings.BASE_DIR]


def _modules(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        if _EXCLUDED.isdisjoint(path.relative_to(folder).parts):
            yield path


def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _shown(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


def _names_of_transaction(tree: ast.AST) -> dict[str, str]:
    """Return by which dotted names a module calls `atomic` and `on_commit`."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.db.transaction":
            for alias in node.names:
                known[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom | ast.Import):
            for prefix in _names_of_the_module(node):
                known |= {f"{prefix}.{name}": name for name in ON_THE_PRIMARY}
    return {name: meaning for name, meaning in known.items() if meaning in ON_THE_PRIMARY}


def _names_of_the_module(node: ast.ImportFrom | ast.Import) -> Iterator[str]:
    """Yield by which dotted names an import makes `django.db.transaction` known."""
    parents = {"django": "db.transaction", "django.db": "transaction"}
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name == "django.db.transaction" and alias.asname:
                yield alias.asname
            elif alias.name in {"django", "django.db", "django.db.transaction"}:
                yield "django.db.transaction"
        return
    for alias in node.names:
        imported = f"{node.module}.{alias.name}"
        if imported == "django.db.transaction":
            yield alias.asname or alias.name
        elif imported in parents:
            yield f"{alias.asname or alias.name}.{parents[imported]}"


def _dotted(node: ast.AST) -> str:
    """Return "a.b.c" for such an expression, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _names_its_database(call: ast.Call | None, name: str, functions: set[str]) -> bool:
    """Judge the call of `atomic` or `on_commit`, or their use without a call: a decorator."""
    if call is None:
        return False
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in keywords:
        return True  # **options: nobody can tell
    given = keywords.get("using")
    place = 0 if name == "atomic" else 1
    if given is None and len(call.args) > place:
        given = call.args[place]
    if given is None or (isinstance(given, ast.Constant) and given.value is None):
        return False
    # `atomic(function)` decorates it, and names no database.
    return not (isinstance(given, ast.Lambda) or _dotted(given) in functions)


def _operations(tree: ast.AST, functions: dict[str, Function]) -> Iterator[Function]:
    """Yield the functions that the module gives to RunPython."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not _dotted(node.func).endswith("RunPython"):
            continue
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(given, ast.Lambda):
                yield given
            elif _dotted(given) in functions:
                yield functions[_dotted(given)]


def _with_callees(function: Function, functions: dict[str, Function]) -> list[ast.AST]:
    """Return the nodes of a function and of those functions of its module that it names."""
    seen: list[Function] = []
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.append(one)
        named = {node.id for node in ast.walk(one) if isinstance(node, ast.Name)}
        waiting.extend(functions[name] for name in named & functions.keys())
    return [node for one in seen for node in ast.walk(one)]


def _ignores_the_alias(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether a manager is used without `using`, or rows are saved with no alias in sight."""
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    bound = {id(node.value) for node in attributes if node.attr in NAMES_A_DATABASE}
    managers = [node for node in attributes if node.attr in MANAGERS]
    if any(id(node) not in bound for node in managers):
        return True
    knows = any(_dotted(node).endswith("connection.alias") for node in attributes)
    return not knows and (bool(managers) or any(node.attr in WRITES for node in attributes))
