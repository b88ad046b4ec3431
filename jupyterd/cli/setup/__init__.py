"""`jupyterd setup`: ask, show, then write settings and units."""
