"""A short-lived process that reads the settings, looks at the machine, and prints the plan."""
