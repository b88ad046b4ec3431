"""Authentication: logins, their rate limit, trusted proxies, and security headers."""
