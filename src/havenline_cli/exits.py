"""Exit codes, the same for every command, and how they are told in `--help`."""

DONE = 0
FAILED = 1
WRONG_USAGE = 2
SOMETHING_REFUSED = 3
INTERRUPTED = 130

EPILOG = (
    "Exit codes: 0 done; 1 the command failed; 2 wrong usage; "
    "3 done, but some files or lines were refused (each is named); 130 interrupted."
)
