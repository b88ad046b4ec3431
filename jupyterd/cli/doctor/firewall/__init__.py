"""The local firewall: its rules as data, what they do to a connection, and how to open the port."""
