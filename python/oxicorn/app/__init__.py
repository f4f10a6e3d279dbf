"""For programs that embed gunicorn: the same classes, under the same names."""
