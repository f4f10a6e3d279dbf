import os

workers = int(os.environ.get("SHOP_WORKERS", "2"))
threads = 2
timeout = 60
graceful_timeout = 20
accesslog = "-"
access_log_format = '%({x-forwarded-for}i)s "%(r)s" %(s)s'
raw_env = ["SHOP_MOTTO=cheap and cheerful"]
proc_name = "shop"


def when_ready(server):
    server.log.info("shop: ready")


def post_fork(server, worker):
    server.log.info("shop: worker %s", worker.age)


def worker_exit(server, worker):
    server.log.info("shop: worker %s leaves", worker.age)


def on_exit(server):
    server.log.info("shop: closed")
