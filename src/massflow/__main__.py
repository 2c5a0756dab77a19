"""`python -m massflow` is the command line."""

from massflow.cli.main import main

if __name__ == "__main__":
    main()
