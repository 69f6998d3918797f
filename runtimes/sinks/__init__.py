"""Where results go: sinks that take them one by one."""
