"""`python -m loaders` is the command `loaders`."""

from loaders.cli import main

main()
