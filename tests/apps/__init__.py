"""Tiny WSGI applications, one behaviour each."""
