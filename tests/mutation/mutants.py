"""One-line mutants of a module: a comparison, a number, a statement that is not what it was."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one line. number: of the line, from 1. before, after: without margins."""

    file: str
    number: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}\n    - {self.before}\n    + {self.after}"


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Yield the mutants of a module's functions, in the order of its lines.

    What is said to people (logs, texts of errors), annotations, defaults, assertions and what
    ``__init__`` does stay.
    """
    lines = source.splitlines(keepends=True)
    seen = set()
    for node, text in _changes(ast.parse(source)):
        number = node.lineno
        if number != node.end_lineno:
            continue
        line = lines[number - 1].encode()
        changed = line[: node.col_offset] + text.encode() + line[node.end_col_offset :]
        after = changed.decode()
        if (number, after) in seen:
            continue
        seen.add((number, after))
        whole = "".join([*lines[: number - 1], after, *lines[number:]])
        yield Mutant(file, number, lines[number - 1].strip(), after.strip(), whole)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield nodes and what to write in their place."""
    functions = [n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS) and n.name != "__init__"]
    inner = {n for f in functions for s in f.body for n in ast.walk(s) if isinstance(n, _FUNCTIONS)}
    for function in functions:
        if function not in inner:
            for statement in function.body:
                yield from _in_statement(statement)


def _in_statement(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(node, ast.Raise):
        yield node, "pass"
        return
    if isinstance(node, ast.Assert) or _is_talk(node):
        return
    if _can_go(node):
        yield node, "pass"
    elif isinstance(node, ast.Break):
        yield node, "continue"
    elif isinstance(node, ast.Continue):
        yield node, "break"
    elif isinstance(node, ast.If | ast.While):
        yield node.test, f"not ({ast.unparse(node.test)})"
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "args", "decorator_list"):
            continue
        for child in field if isinstance(field, list) else [field]:
            yield from _in_child(child)


def _in_child(child: object) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(child, ast.stmt):
        yield from _in_statement(child)
    elif isinstance(child, ast.expr):
        yield from _in_expression(child)
    elif isinstance(child, ast.ExceptHandler | ast.match_case):
        for statement in child.body:
            yield from _in_statement(statement)
    elif isinstance(child, ast.withitem):
        yield from _in_expression(child.context_expr)


def _in_expression(node: ast.expr) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(node, ast.JoinedStr) or _makes_error(node):
        return
    if (changed := _changed(node)) is not None:
        yield node, f"({ast.unparse(changed)})"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from _in_expression(part)
        elif isinstance(child, ast.keyword):
            yield from _in_expression(child.value)
        elif isinstance(child, ast.expr):
            yield from _in_expression(child)


def _changed(node: ast.expr) -> ast.expr | None:
    match node:
        case ast.Compare(left, [operator], right) if type(operator) in _COMPARISONS:
            return ast.Compare(left, [_COMPARISONS[type(operator)]()], right)
        case ast.BoolOp(operator, values):
            return ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            return operand
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            return ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.Constant(bool() as value):
            return ast.Constant(not value)
        case ast.Constant(int() as value):
            return ast.Constant(value + 1)
    return None


def _can_go(node: ast.stmt) -> bool:
    """Return whether a statement is there for its effect: a call, or a change of what there is."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript | ast.Attribute)
    return isinstance(node, ast.Expr | ast.AugAssign | ast.Delete)


def _is_talk(node: ast.stmt) -> bool:
    """Return whether a statement is a docstring or writes to the log."""
    if not isinstance(node, ast.Expr):
        return False
    call = node.value.value if isinstance(node.value, ast.Await) else node.value
    if not isinstance(call, ast.Call):
        return True
    target = call.func.value if isinstance(call.func, ast.Attribute) else None
    return ast.unparse(target) in ("log", "self.log") if target is not None else False


def _makes_error(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "deleted"))
