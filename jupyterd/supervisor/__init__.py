"""The supervisor process: starts and watches the other processes, and carries out what core decides."""
