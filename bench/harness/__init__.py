"""Measures WSGI servers beside each other. Standard library only; needs Linux, wrk and taskset."""
