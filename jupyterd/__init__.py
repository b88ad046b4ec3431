"""jupyterd keeps one person's Jupyter server alive. The rooms are described in docs/architecture.md."""

__version__ = "0.1.0"
