"""A database by its URL: `check`, `dump`, `apply UP.sql`, `revert DOWN.sql`, `query FILE.sql`.

`sqlite:PATH` through Python's own module, `postgresql://…` through psql and pg_dump. A script is applied in one
transaction with a line in the table `migrations`, so a second try of one that was applied changes nothing.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

LEDGER = "create table if not exists migrations (name text primary key)"


class Sqlite:
    """A file."""

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # None: transactions begin where this file says so, and nowhere else.
        self.database = sqlite3.connect(path, timeout=30, isolation_level=None)

    def check(self) -> None:
        """Make the ledger."""
        self.database.execute(LEDGER)

    def dump(self) -> str:
        """All of it as SQL, the same for the same content."""
        return "\n".join(self.database.iterdump()) + "\n"

    def change(self, name: str, script: Path, *, applied: bool) -> bool:
        """Do a script after which `name` is in the ledger, or is not. Whether there was anything to do."""
        self.database.execute("begin immediate")
        try:
            found = self.database.execute("select 1 from migrations where name = ?", (name,)).fetchone()
            if (found is not None) == applied:
                return False
            for statement in statements(script.read_text()):
                self.database.execute(statement)
            note = "insert into migrations values (?)" if applied else "delete from migrations where name = ?"
            self.database.execute(note, (name,))
            self.database.execute("commit")
            return True
        finally:
            if self.database.in_transaction:
                self.database.execute("rollback")

    def query(self, script: Path) -> str:
        """What the statements of a script answer, one row a line."""
        rows = [row for statement in statements(script.read_text()) for row in self.database.execute(statement)]
        return "".join("|".join(map(str, row)) + "\n" for row in rows)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()


def statements(text: str) -> list[str]:
    """The statements of a script, each whole: a `;` inside a text or a trigger ends none."""
    found, rest = [], ""
    for line in text.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return [*found, rest] if rest.strip() else found


class Postgres:
    """A server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def psql(self, *arguments: str, script: str | None = None) -> str:
        """Run psql; the first error ends it, and the process."""
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", *arguments, self.url]
        done = subprocess.run(command, input=script, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"psql ended with {done.returncode}")
        return done.stdout

    def check(self) -> None:
        """Make the ledger."""
        self.psql("-c", f"set client_min_messages = warning; {LEDGER}")

    def dump(self) -> str:
        """All of it as SQL, the same for the same content."""
        command = ["pg_dump", "--no-owner", "--no-privileges", self.url]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        # Newer versions of pg_dump write a word there that is made up anew each time.
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))

    def change(self, name: str, script: Path, *, applied: bool) -> bool:
        """As for SQLite. The lock waits for a server that still ends the transaction of a client that was killed."""
        note = "insert into migrations values (:'name');" if applied else "delete from migrations where name = :'name';"
        todo = "not" if applied else ""
        said = self.psql(
            "-v", f"name={name}", "-v", f"script={script}",
            script=f"""begin;
lock table migrations in access exclusive mode;
select {todo} exists (select from migrations where name = :'name') as todo \\gset
\\if :todo
\\i :script
{note}
\\echo done
\\endif
commit;
""",
        )  # fmt: skip
        return "done" in said.splitlines()

    def query(self, script: Path) -> str:
        """What the statements of a script answer, one row a line."""
        return self.psql("-f", str(script))

    def close(self) -> None:
        """Each psql has ended."""


def main(command: str, file: str = "") -> None:
    """Do one command on the database that $DB_URL names."""
    url = os.environ["DB_URL"]
    kind, _, path = url.partition(":")
    script = Path(file)
    with closing(Sqlite(path) if kind == "sqlite" else Postgres(url)) as database:
        match command:
            case "check":
                database.check()
            case "dump":
                print(database.dump(), end="")
            case "query":
                print(database.query(script), end="")
            case "apply" | "revert":
                name = script.name.removesuffix(".sql").removesuffix(".up").removesuffix(".down")
                done = database.change(name, script, applied=command == "apply")
                print(f"{command}: {name}" if done else f"{command}: {name} was so already")
            case _:
                sys.exit(f"no such command: {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
