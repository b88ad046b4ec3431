"""Access to Linux facilities (processes, files, accounts, systemd); standard library only, importable by every room."""
