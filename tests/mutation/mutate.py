"""Change the code in small ways and see whether a test fails: `./dev mutate [MODULE …]`; a table of scores at the end.

Each change is one of: a comparison, `and`/`or`, `not`, an arithmetic sign or a number turned into another; a call whose
result nobody takes, or a `raise`, left out; a result that is None. Texts, types and decorators are not changed. A
changed copy of the whole tree is tested in a folder of its own, so that processes which tests start are changed too. A
test that runs far longer than with the code as it is counts as failed.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import concurrent.futures
import contextlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from havenline_desk.sites.cluster import DATABASE, OWNER_ROLE, Cluster
from tests.throwaway_server import throwaway_server

ROOT = Path(__file__).parents[2]
FOLDER = f"havenline-mutant-{os.getpid()}-"

_OF_MATCHD = (
    "guard/test_matchd.py::test_what_is_no_question_gets_one_answer_and_the_end",
    "guard/test_matchd.py::test_a_connection_begins_with_a_greeting_of_this_form",
    "guard/test_matchd.py::test_a_question_may_arrive_byte_by_byte",
    "guard/test_matchd.py::test_a_change_holds_for_every_process_from_its_acknowledgement_on",
    "guard/test_matchd.py::test_metrics_and_health_hold_numbers_and_no_word_of_a_case",
    "guard/test_matchd.py::test_one_who_does_not_read_keeps_nobody_waiting",
    "guard/test_matchd.py::test_a_large_question_lets_others_in_and_too_many_leads_are_refused",
)
"""Of the tests of whole servers those that tell most in a few seconds."""
TESTS: dict[str, tuple[str, ...]] = {
    "havenline_guard/client.py": ("guard/test_match_client.py", *_OF_MATCHD),
    "havenline_guard/counters.py": ("guard/test_matchd_parts.py",),
    "havenline_guard/held.py": ("guard/test_matchd_parts.py",),
    "havenline_guard/matchd.py": (
        "guard/test_matchd_parent.py",
        *_OF_MATCHD,
        "guard/test_matchd.py::test_signals_that_end_the_parent_end_no_other_process",
        "guard/test_matchd.py::test_the_processes_have_nothing_open_that_is_the_parents_alone",
        "guard/test_matchd.py::test_what_stands_where_the_socket_should_be",
        "guard/test_matchd.py::test_there_are_at_most_so_many_connections_and_a_closed_one_makes_room",
        "guard/test_matchd.py::test_only_the_users_that_are_named_may_ask_and_change",
        "guard/test_matchd.py::test_it_ends_politely_and_takes_its_sockets_away",
        "guard/test_matchd.py::test_a_process_that_falls_is_started_again_and_who_asked_it_asks_anew",
        "guard/test_matchd.py::test_changes_are_folded_when_there_are_many",
        "guard/test_matchd.py::test_snapshot_files_are_served_and_cannot_be_changed",
    ),
    "havenline_guard/wire.py": ("guard/test_wire.py",),
    "havenline_guard/worker.py": ("guard/test_matchd_edges.py", *_OF_MATCHD),
    "havenline_guard/keyd.py": (
        "guard/test_keyd_edges.py",
        "guard/test_keyd_refusals.py",
        "guard/test_keyd_process.py",
    ),
    "havenline_guard/keyd_client.py": (
        "guard/test_keyd_edges.py",
        "guard/test_keyd_copy.py",
        "guard/test_keyd_log.py",
        "guard/test_keyd_process.py",
    ),
    "havenline_guard/keyd_clock.py": ("guard/test_keyd_edges.py",),
    "havenline_guard/call_filter.py": ("guard/test_sandbox.py", "guard/test_lockdown.py"),
    "havenline_guard/decoder_child.py": (
        "guard/test_decoder_child.py",
        "guard/test_decoderd.py::test_pixels_and_hashes_are_those_of_decoding_in_process",
    ),
    "havenline_guard/decoder_client.py": ("guard/test_decoder_client.py", "guard/test_decoderd_edges.py"),
    "havenline_guard/decoder_wire.py": ("guard/test_decoder_wire.py", "guard/test_decoder_client.py"),
    "havenline_guard/decoder_zygote.py": ("guard/test_decoder_zygote.py", "guard/test_decoderd_edges.py"),
    "havenline_guard/decoderd.py": ("guard/test_decoderd_edges.py",),
    "havenline_guard/lockdown.py": ("guard/test_sandbox.py", "guard/test_lockdown.py"),
    "havenline_guard/sandbox.py": ("guard/test_sandbox.py", "guard/test_closed_workers.py"),
    "havenline_guard/keyd_log.py": ("guard/test_keyd_log.py", "guard/test_keyd_state.py"),
    "havenline_guard/keyd_master.py": ("guard/test_keyd_master.py", "guard/test_keyd_state.py"),
    "havenline_guard/keyd_wire.py": (
        "guard/test_keyd_wire.py",
        "guard/test_keyd_state.py",
        "guard/test_keyd_refusals.py",
    ),
    "havenline_guard/keyd_copy.py": ("guard/test_keyd_copy.py",),
    "havenline_guard/keyd_state.py": (
        "guard/test_keyd_state.py",
        "guard/test_keyd_refusals.py",
        "guard/test_keyd_copy.py",
        "guard/test_keyd_log.py",
    ),
    "havenline_guard/vault.py": ("guard/test_vault.py", "guard/test_retention_run.py"),
    "havenline_guard/vault_object.py": ("guard/test_vault.py",),
    "havenline_guard/vault_store.py": ("guard/test_vault.py",),
    "havenline_guard/retention_run.py": ("guard/test_retention_run.py",),
    "havenline_guard/verify.py": (
        "guard/test_agreements.py",
        "guard/test_verify_edges.py",
        "guard/test_verify.py",
        "desk/test_agreements_verified.py",
    ),
    "havenline_desk/gates.py": ("desk/test_gates_edges.py", "desk/test_ways_in.py", "desk/test_two_people.py"),
    "havenline_desk/evidence.py": ("desk/test_evidence_refusals.py", "desk/test_storage.py", "desk/test_keyd.py"),
    "havenline_desk/audit/key_file.py": ("desk/test_audit_key_file.py",),
    "havenline_desk/audit/log.py": (
        "desk/test_audit_record.py",
        "desk/test_audit_signing.py",
        "desk/test_audit_log.py",
        "desk/test_keyd.py::test_both_logs_tell_the_same_to_the_offline_verifier",
    ),
    "havenline_desk/audit/outside.py": ("desk/test_audit_folder.py", "desk/test_audit_log.py"),
    "havenline_desk/audit/record.py": ("desk/test_audit_record.py",),
    "havenline_desk/audit/reopen.py": ("desk/test_audit_reopen.py",),
}
"""By module: the tests that must notice, quickest first."""

LONG = (
    "desk/test_audit_log.py::test_many_writers_at_once_leave_one_gapless_chain",
    "desk/test_audit_log.py::test_no_byte_is_shown_where_the_view_cannot_be_logged_or_sealed",
    "desk/test_audit_log.py::test_where_the_log_cannot_be_written_every_act_is_refused_or_logged_and_never_neither",
    "desk/test_audit_log.py::test_wherever_a_note_was_cut_off_the_next_one_stands_whole_behind_the_last_whole_one",
    "guard/test_keyd_process.py::test_ten_thousand_keys_are_rotated_while_they_are_read",
    "guard/test_keyd_process.py::test_nothing_acknowledged_is_lost_in_fifty_kills_under_four_writers",
    "guard/test_wire.py::test_any_json_is_a_change_whose_parts_are_what_they_should_be_or_is_refused",
)
"""Left out here, for a change that these alone notice costs a minute for each that nothing notices."""

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: in which module, at which line, what it is, and the whole changed source."""

    module: str
    line: int
    what: str
    source: str


def mutants(module: str) -> Iterator[Mutant]:
    """Every change of one module, each by itself."""
    source = (ROOT / "src" / module).read_text()
    whole = ast.parse(source)
    apart = {id(each) for part in _apart(whole) for each in ast.walk(part)}
    for place, node in enumerate(ast.walk(whole)):
        for choice in range(0 if id(node) in apart else 1 + len(_body(node))):
            tree = ast.parse(source)
            said = _changed(list(ast.walk(tree))[place], choice)
            if said is not None:
                yield Mutant(module, said[0], said[1], ast.unparse(ast.fix_missing_locations(tree)))


def _changed(node: ast.AST, choice: int) -> tuple[int, str] | None:
    """Change `node` in place; its line and what was done, or None where there is nothing (more) to change."""
    if choice == 0 and isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        before = type(node.ops[0])
        node.ops[0] = _SWAPS[before]()  # type: ignore[assignment]
        return node.lineno, f"{before.__name__} → {_SWAPS[before].__name__}"
    if choice == 0 and isinstance(node, ast.BoolOp | ast.BinOp | ast.AugAssign) and type(node.op) in _SWAPS:
        if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant | ast.JoinedStr) and _text(node.left):
            return None
        before = type(node.op)
        node.op = _SWAPS[before]()  # type: ignore[assignment]
        return node.lineno, f"{before.__name__} → {_SWAPS[before].__name__}"
    if choice == 0 and isinstance(node, ast.If | ast.While | ast.IfExp):
        line = node.test.lineno
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return line, "condition turned round"
    if choice == 0 and isinstance(node, ast.Constant) and type(node.value) in {int, bool}:
        before_value = node.value
        node.value = not before_value if type(before_value) is bool else int(before_value) + 1
        return node.lineno, f"{before_value} → {node.value}"
    if choice == 0 and isinstance(node, ast.Return) and node.value is not None:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            return None
        node.value = ast.Constant(None)
        return node.lineno, "result left out"
    body = _body(node)
    if choice:
        statement = body[choice - 1]
        called = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if called or isinstance(statement, ast.Raise):
            body[choice - 1] = ast.copy_location(ast.Pass(), statement)
            return statement.lineno, f"left out: {ast.unparse(statement)[:60]}"
    return None


def _apart(tree: ast.AST) -> Iterator[ast.AST]:
    """Types and decorators, which no run evaluates."""
    for node in ast.walk(tree):
        yield from getattr(node, "decorator_list", ())
        for name in ("annotation", "returns"):
            if isinstance(part := getattr(node, name, None), ast.AST):
                yield part


def _body(node: ast.AST) -> list[ast.stmt]:
    body = getattr(node, "body", None)
    return body if isinstance(body, list) else []


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


@contextlib.contextmanager
def database_server(tests: tuple[str, ...]) -> Iterator[Cluster | None]:
    """For tests of the desk a server whose database has its tables: making them takes longer than most tests."""
    if not any(each.startswith("desk/") for each in tests):
        yield None
        return
    with throwaway_server() as cluster:
        environ = {
            "DJANGO_SETTINGS_MODULE": "havenline_desk.sites.settings",
            "HAVENLINE_SECRET_KEY": "only for tests, signs nothing that matters",
            "HAVENLINE_HOME": str(_folder("home")),
            "HAVENLINE_DATABASE_URL": make_conninfo(**cluster.connection(role=OWNER_ROLE)),
            "PYTHONPATH": str(ROOT / "src"),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
        subprocess.run(migrate, env=os.environ | environ, check=True)
        yield cluster


@contextlib.contextmanager
def database_of_its_own(server: Cluster | None) -> Iterator[dict[str, str]]:
    """A copy of that database, and what the tests are told of it; without a server nothing: they start their own."""
    if server is None:
        yield {}
        return
    name = f"changed_{secrets.token_hex(4)}"
    server.create_database(name, template=DATABASE)
    try:
        yield {"HAVENLINE_TESTS_CLUSTER": str(server.folder), "HAVENLINE_TESTS_DATABASE": name}
    finally:
        server.drop_database(name)


def tested(mutant: Mutant | None, tests: tuple[str, ...], *, seconds: float, server: Cluster | None) -> bool:
    """Whether every test passes with the change, or with none: then the change lives."""
    with _emptied_tree() as tree, database_of_its_own(server) as told:
        for part in ("src", "tests", "docs"):
            shutil.copytree(ROOT / part, tree / part)  # with the bytecode, which holds for what is not changed
        for part in ("pyproject.toml",):
            shutil.copy(ROOT / part, tree / part)
        if mutant is not None:
            (tree / "src" / mutant.module).write_text(mutant.source)
        where = [f"tests/{each}" for each in tests]
        path = f"{tree / 'src'}{os.pathsep}{tree}"
        environ = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | told
        environ["NUMBA_CACHE_DIR"] = f"{_folder('kernels')}"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *where]
        command += [f"--deselect=tests/{each}" for each in LONG]
        command += ["--reuse-db"] if told else []
        running = subprocess.Popen(
            command, cwd=tree, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return running.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            end_all_of(tree)
            running.wait()


@contextlib.contextmanager
def _emptied_tree() -> Iterator[Path]:
    """An own folder of this thread, always the same: compiled loops are found again by the path of their source."""
    tree = _folder(str(threading.get_ident()))
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(mode=0o700)
    try:
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _folder(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{FOLDER}{name}"


def end_all_of(tree: Path) -> None:
    """kill -9 whatever was started for one changed copy and still runs, in any session: its environment says so."""
    named = f"PYTHONPATH={tree / 'src'}{os.pathsep}".encode()
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and named in (path / "environ").read_bytes():
                os.kill(int(path.name), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the changes that were tried a test noticed; `found`: how many there are."""

    module: str
    found: int
    tried: int
    noticed: int

    @property
    def share(self) -> float:
        """From 0 to 1; of a module without changes 1."""
        return self.noticed / self.tried if self.tried else 1.0


def scored(module: str, *, sample: int | None, seed: int, at_once: int) -> Score | None:
    """Try the changes of one module, or so many drawn by the seed; None where its tests fail as it is."""
    tests = TESTS[module]
    found = list(mutants(module))
    drawn = found if sample is None or sample >= len(found) else random.Random(seed).sample(found, sample)
    with database_server(tests) as server, concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        began = time.monotonic()
        if not pool.submit(tested, None, tests, seconds=600, server=server).result():  # whose folder is used again
            return None
        seconds = 30 + 5 * (time.monotonic() - began)
        try:
            lives = list(pool.map(lambda each: tested(each, tests, seconds=seconds, server=server), drawn))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for tree in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
                end_all_of(tree)
            raise
    for each in sorted((each for each, alive in zip(drawn, lives, strict=True) if alive), key=lambda m: m.line):
        print(f"  lives: {module}:{each.line}: {each.what}", flush=True)
    return Score(module, len(found), len(drawn), len(drawn) - sum(lives))


def table(scores: Sequence[Score], *, seed: int) -> str:
    """What docs/testing.md holds: a line for each module."""
    lines = ["| module | changes | tried | noticed | score | seed |", "|---|--:|--:|--:|--:|--:|"]
    for each in scores:
        drawn = str(seed) if each.tried < each.found else "all"
        lines.append(f"| `{each.module}` | {each.found} | {each.tried} | {each.noticed} | {each.share:.0%} | {drawn} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="part of a module's path; all without one")
    parser.add_argument("--sample", type=int, metavar="N", help="so many changes of each module, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.85, help="the share of changes that must be noticed")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scores: list[Score] = []
    broken = False
    atexit.register(shutil.rmtree, _folder("kernels"), ignore_errors=True)
    for module in TESTS:
        if chosen.modules and not any(each in module for each in chosen.modules):
            continue
        score = scored(module, sample=chosen.sample, seed=chosen.seed, at_once=chosen.at_once)
        if score is None:
            print(f"{module}: its tests fail as it is", flush=True)
            broken = True
            continue
        scores.append(score)
        print(f"{module}: {score.noticed} of {score.tried} of {score.found} changes noticed", flush=True)
    print(table(scores, seed=chosen.seed))
    return 2 if broken else int(any(each.share < chosen.least for each in scores))


if __name__ == "__main__":
    sys.exit(main())
