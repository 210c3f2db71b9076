"""What a PostgreSQL has built in, read off the real ones: `python -m plugins.postgres.tests.builtin_names` rewrites it.

One line a name: `function NAME VOLATILITY`, `operator NAME` or `type NAME`, and the version where only one of the two
has it. The volatility is the least of all functions of that name: `i`(mmutable), `s`(table), `v`(olatile).
"""

from __future__ import annotations

from pathlib import Path

from tests.peers.postgres import Cluster, debian_bin, wheel_bin

__all__ = ["PATH", "lines", "names"]

PATH = Path(__file__).parents[1] / "src" / "recgate_postgres" / "builtin.txt"
_QUERY = """
SELECT 'function ' || proname || ' ' || max(provolatile::text COLLATE "C")
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname
UNION ALL
SELECT DISTINCT 'operator ' || oprname FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT 'type ' || typname FROM pg_type
WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype <> 'c' AND typname !~ '^_'
"""


def names(cluster: Cluster) -> set[str]:
    """Give the lines of one server."""
    return set(cluster.psql(_QUERY).splitlines())


def lines(old: Cluster, new: Cluster) -> list[str]:
    """Give the lines of the file: those of both servers, marked where only one has the name."""
    before, after = _by_name(names(old)), _by_name(names(new))
    found: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        volatility = max(before.get(name, ""), after.get(name, ""))
        version = "" if name in before and name in after else "15" if name in before else "18"
        found.append(" ".join(part for part in (name, volatility, version) if part))
    return found


def _by_name(said: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in said:
        sort, name, *rest = line.split(" ")
        found[f"{sort} {name}"] = rest[0] if rest else ""
    return found


if __name__ == "__main__":
    with Cluster(debian_bin(), tls=False) as old, Cluster(wheel_bin(), tls=False) as new:
        PATH.write_text("".join(f"{line}\n" for line in lines(old, new)))
