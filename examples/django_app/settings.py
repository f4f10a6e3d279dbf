"""Settings of the Django example: the least that a site without a database needs."""

SECRET_KEY = "an example has no secrets"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_app.urls"
WSGI_APPLICATION = "django_app.wsgi.application"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
