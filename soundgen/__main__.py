"""`python -m soundgen`, the same as the `soundgen` script."""

from soundgen.cli import main

if __name__ == "__main__":
    main()
