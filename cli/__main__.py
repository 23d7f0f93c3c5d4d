"""`python -m cli`: the `tollbridge` command."""

from cli.main import main

if __name__ == "__main__":
    main()
