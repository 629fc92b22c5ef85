"""Git, and nothing about workflows: objects, packs, refs, and how a git process is called."""

import os

# GitPython looks for git when it is imported and raises ImportError without it; `discover` says it better.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
