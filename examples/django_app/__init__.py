"""A Django project in its usual parts; serve it with `oxicorn django_app.wsgi`."""
