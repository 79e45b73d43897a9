"""What `bench run` prints: the plan of a dry run, and the table or the rows of computed cells."""

import json
from typing import TYPE_CHECKING

from bench.cli.run_flags import Output

if TYPE_CHECKING:
    from bench.core.store import Store
    from bench.core.table import Table
    from bench.results import Result
    from bench.settings.resolve import Request
    from bench.settings.specs import RunSpec


def print_results(
    requests: "list[Request]", results: "list[Result]", store: "Store", output: Output
) -> None:
    """Prints the table or the rows of cells, names their files, and mirrors them into MLflow.

    Args:
        requests: what was asked for.
        results: the result of each request.
        store: home, which finds the results of the untrained encoder to compare with.
        output: what to print, the results folder, and whether to mirror.
    """
    from bench.core.progress import say
    from bench.core.table import show
    from bench.report.summary import by_convention
    from bench.results import path_of

    table = _summary(requests, results, store, output)
    files = [str(path_of(output.results, result)) for result in results]
    for note in _other_versions(results):
        say(note)
    if output.json:
        rows = [row for result in results for row in result.rows()]
        others = [row for result in results for row in result.other_rows()]
        document = {"rows": rows, "other_conventions": others, "files": files}
        print(json.dumps(document, indent=1))
        for note in table.notes:
            say(note)
    else:
        show(table)
        untagged = any("untagged" in name for result in results for name in result.conventions)
        other = by_convention(results) if output.conventions or untagged else None
        if other:
            print("\nthe same logits under other conventions:")
            show(other)
        print("\nresults:\n" + "\n".join(f"  {name}" for name in files), flush=True)
    if output.track:
        from bench.tracking.mirror import mirror

        where = mirror(results, output.results, store.home)
        say(f"mirrored {len(results)} cells into MLflow at {where}; look with: mlflow ui")


def _other_versions(results: "list[Result]") -> list[str]:
    """A line for each stage whose products were made under other versions of the libraries."""
    notes = {
        f"{stage}: made under {', '.join(libraries)}; --fresh makes it again"
        for result in results
        for stage, libraries in result.other_versions.items()
    }
    return sorted(notes)


def _summary(
    requests: "list[Request]", results: "list[Result]", store: "Store", output: Output
) -> "Table":
    """One row for all cells of a method, probe and fraction, compared with `random_init`."""
    from bench.report.summary import read_cell, summarise
    from bench.settings.resolve import resolve, untrained
    from bench.stages.keys import Keys, stored_result

    groups: dict[tuple[str, str, str, float], list[tuple[Request, Result]]] = {}
    for request, result in zip(requests, results, strict=True):
        probe, subset = result.protocol["probe"], result.spec.labels.subset
        key = (request.method, probe, subset, request.fraction)
        groups.setdefault(key, []).append((request, result))
    rows, baselines = [], []
    for group in groups.values():
        rows.append([read_cell(output.results, result) for _, result in group])
        cells = []
        for request, _ in group:
            spec = resolve(untrained(request))
            stored = stored_result(output.results, spec, Keys(spec, store), store)
            cells += [read_cell(output.results, stored)] if stored else []
        baselines.append(cells if len(cells) == len(group) else None)
    return summarise(rows, baselines)


def print_plan(specs: "list[RunSpec]", store: "Store", output: Output) -> None:
    """Prints which stages of each cell are done, and computes nothing.

    Args:
        specs: the cells.
        store: home.
        output: the results folder, and whether to print JSON.
    """
    from bench.core.table import Table, show
    from bench.stages.keys import states
    from bench.stages.session import check

    rows = []
    for spec in specs:
        check(spec)
        for stage, state in states(spec, store, output.results):
            rows.append(
                {
                    "method": spec.method.name,
                    "fraction": spec.fraction,
                    "draw": spec.draw,
                    "seed": spec.seed,
                    "probe_seed": spec.probe_seed,
                    "stage": stage,
                    "state": state,
                }
            )
    if output.json:
        dumped = [spec.model_dump(mode="json") for spec in specs]
        print(json.dumps({"plan": rows, "specs": dumped}, indent=1))
        return
    texts = [[str(value) for value in row.values()] for row in rows]
    columns = ["method", "fraction", "draw", "seed", "probe seed", "stage", "state"]
    show(Table(columns, texts, ["nothing was done (--dry-run)"]))
