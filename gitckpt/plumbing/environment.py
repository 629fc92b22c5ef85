"""Which environment and which settings a git process gets. Owns the one list of settings that keep a
repository's own configuration from running programs or changing bytes; starts no process itself.
"""

from __future__ import annotations

from collections.abc import Mapping

HARDENED: tuple[str, ...] = (
    "--no-pager",
    "--literal-pathspecs",
    "--no-optional-locks",
    "--no-replace-objects",
    *(
        word
        for setting in (
            # Programs that a repository's configuration could start.
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "core.pager=cat",
            "core.editor=false",
            "core.askPass=true",
            "core.sshCommand=ssh",
            "core.gitProxy=",
            "credential.helper=",
            "commit.gpgSign=false",
            "tag.gpgSign=false",
            "push.gpgSign=false",
            "gpg.program=false",
            "log.showSignature=false",
            "diff.external=",
            "gc.auto=0",
            "maintenance.auto=false",
            "protocol.allow=never",
            "uploadpack.packObjectsHook=",
            "submodule.recurse=false",
            "safe.bareRepository=explicit",
            # Settings that change bytes, or what counts as changed.
            "core.attributesFile=/dev/null",
            "core.autocrlf=false",
            "core.eol=lf",
            "core.safecrlf=false",
            "core.trustctime=true",
            "core.protectNTFS=false",
            "core.protectHFS=false",
            # git makes nothing durable by default: 45 of 51 power cuts left a corrupt repository (measured).
            "core.fsync=pack,pack-metadata,reference",
            "core.fsyncMethod=fsync",
        )
        for word in ("-c", setting)
    ),
)
"""What stands between `git` and the command, in every call that gitckpt makes."""

WHERE_A_REPOSITORY_IS = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_PREFIX",
        "GIT_NAMESPACE",
        "GIT_QUARANTINE_PATH",
    }
)
"""Exported by git to its hooks: they would redirect every git call below us into the caller's repository or
index.
"""

# Where git's own programs lie is a property of the installation, not of a repository.
_KEPT = frozenset({"GIT_EXEC_PATH"})
# The user's say in the user's own configuration; CI systems hand `safe.directory` over in the counted ones.
_USER_CONFIG = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT")
_USER_CONFIG_PREFIXES = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")

ACROSS_MOUNTS = "GIT_DISCOVERY_ACROSS_FILESYSTEM"
"""With this variable git looks for a repository above a mount point, too."""


def user_environment(base: Mapping[str, str]) -> dict[str, str]:
    """As `scrubbed_environment`, but git reads the user's own configuration too (identity, ignore rules)."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith("GIT_")
        or name in _KEPT
        or name in _USER_CONFIG
        or name == ACROSS_MOUNTS
        or name.startswith(_USER_CONFIG_PREFIXES)
    }
    # English, because `discover` tells git's refusals apart by their words.
    kept.update(GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0", LC_ALL="C", LANGUAGE="C")
    return kept


def scrubbed_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of our own git calls: no `GIT_*` that the caller exported, no configuration of the
    user's.

    A hook exports GIT_DIR and GIT_INDEX_FILE, a debugging session GIT_TRACE, a test bench GIT_DEFAULT_HASH:
    each changes what git does. So every name that starts with `GIT_` goes, not only those known today.
    """
    kept = {name: value for name, value in base.items() if not name.startswith("GIT_") or name in _KEPT}
    kept.update(
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL="/dev/null",
        GIT_TERMINAL_PROMPT="0",
        GIT_OPTIONAL_LOCKS="0",
        LC_ALL="C",
        LANGUAGE="C",
    )
    return kept


def phase_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment that a phase inherits: all but the nine names that say where a repository is."""
    return {name: value for name, value in base.items() if name not in WHERE_A_REPOSITORY_IS}
