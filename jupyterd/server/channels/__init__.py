"""A notebook's tab: what it has missed, how far it has come, and the recorder that keeps the rest."""
