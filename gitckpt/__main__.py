"""`python -m gitckpt`."""

from gitckpt.cli.main import main

if __name__ == "__main__":
    main()
