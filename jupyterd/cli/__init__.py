"""The `jupyterd` command: one verb per file, each with HELP, arguments(parser) and main(args) -> exit code."""
