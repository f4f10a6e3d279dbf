"""uWSGI's options, and what becomes of them: the table behind `oxicorn migrate` and its guide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oxicorn.migrate.plan import Verdict

__all__ = ["ROWS", "Row", "find"]


@dataclass(frozen=True)
class Row:
    """Options that share their fate."""

    names: tuple[str, ...]
    setting: str
    """What it becomes; empty if nothing."""
    remark: str = ""
    """What differs, or what to do instead."""
    verdict: Verdict | None = None
    """How the remark is to be taken; None: the guide has it, a migrated file does not."""
    value: Callable[[str], object] | None = None
    """From its text to the value of the setting; None where more than that is to be done."""
    is_flag: bool = False
    """It is yes or no, and `no` means that it is not there."""


def _same(names: str, setting: str, value: Callable[[str], object] = str, remark: str = "") -> Row:
    verdict = Verdict.DIFFERS if remark else None
    return Row(tuple(names.split()), setting, remark, verdict, value)


def _own(names: str, setting: str, remark: str = "") -> Row:
    return Row(tuple(names.split()), setting, remark)


def _needless(names: str, remark: str) -> Row:
    return Row(tuple(names.split()), "", remark, Verdict.NEEDLESS, is_flag=True)


def _missing(names: str, remark: str) -> Row:
    return Row(tuple(names.split()), "", remark, Verdict.MISSING, is_flag=True)


ROWS = (
    # The application.
    _own("module wsgi", "wsgi_app", "`module` and `callable` are one: `module:callable`"),
    _own("wsgi-file file", "wsgi_app", "the file as a module; its directory goes to `pythonpath`"),
    _own("callable", "wsgi_app"),
    _own(
        "mount",
        "wsgi_app",
        "one application for each server; a prefix is the proxy's business "
        "(`proxy_x_prefix`) or `oxicorn.middleware.PublicUrl`",
    ),
    _needless("manage-script-name", "it belongs to mount"),
    _same("chdir chdir2", "chdir"),
    _own("pythonpath python-path pp", "pythonpath"),
    _own(
        "home virtualenv venv pyhome",
        "",
        "install oxicorn into that environment, and start the `oxicorn` in its `bin`",
    ),
    _own("env", "raw_env"),
    _needless("need-app", "a server whose application does not load does not start"),
    _needless("plugin plugins plugins-dir plugin-dir", "there are no plugins"),
    _needless("single-interpreter", "each worker is one interpreter"),
    _needless("enable-threads", "the application's own threads always run"),
    _needless("strict", "unknown names are always reported"),
    _needless("autoload no-default-app", "there are no plugins"),
    _missing("import shared-import python-import pyimport", "import it in the application"),
    _missing("paste ini-paste ini-paste-logged", "say in Python which application it is"),
    _missing("spooler spooler-processes spooler-frequency", "use a task queue"),
    _missing("mule mules farm", "use a task queue, or a service of its own"),
    _missing("cron cron2 unique-cron timer rb-timer", "use cron or a timer of systemd"),
    _missing(
        "attach-daemon attach-daemon2 smart-attach-daemon smart-attach-daemon2",
        "make it a service of its own",
    ),
    _missing(
        "cache cache2 queue sharedarea lock locks",
        "`import uwsgi` finds nothing here; use Redis or memcached, or a database",
    ),
    # Where it listens.
    _own("http http-socket http11-socket", "bind"),
    _own(
        "socket uwsgi-socket s",
        "bind",
        "HTTP is spoken there instead of the uwsgi protocol: in nginx, `proxy_pass` takes the "
        "place of `uwsgi_pass`",
    ),
    _own("https https-socket", "bind", "with `certfile` and `keyfile`"),
    _own("protocol", "", "always HTTP"),
    _missing("fastcgi-socket scgi-socket fastcgi-nph-socket", "HTTP is the only protocol"),
    _missing("shared-socket", "name the address in `bind`, or pass the socket as `fd://N`"),
    _same("listen l", "backlog", int),
    _own("reuse-port", "reuse_port", "the workers share one socket all the same"),
    _own("chmod-socket chmod C", "umask", "the bits that the socket does not get"),
    _missing("chown-socket", "the socket belongs to `user` and `group`"),
    _needless("vacuum", "sockets and pidfile are always removed at the end"),
    _needless("thunder-lock", "new connections go to idle workers by themselves"),
    _needless(
        "http-keepalive http-auto-chunked http-chunked-input http-processes http-to "
        "http-raw-body http-websockets so-keepalive tcp-nodelay socket-sndbuf socket-rcvbuf "
        "http-buffer-size http-timeout",
        "there is no HTTP router: the workers speak HTTP/1.1 with keep-alive themselves",
    ),
    _missing("http-modifier1 modifier1 modifier2", "WSGI applications only"),
    _missing("http-to-https", "let the proxy redirect"),
    _missing(
        "subscribe-to subscribe2 subscription-server fastrouter", "use a proxy that discovers"
    ),
    _missing("zerg zerg-server", "HUP and USR2 change workers and programs without a pause"),
    # Processes.
    _same("processes workers p", "workers", int),
    _own("threads", "threads"),
    _needless("master M", "there always is one"),
    _needless("lazy-apps lazy", "each worker loads the application, as here by default"),
    _own("harakiri", "timeout", "with more than one thread it guards the worker, not each request"),
    _needless("harakiri-verbose", "the log always says which request it was, and where it stood"),
    _same("max-requests R", "max_requests", int),
    _same("max-requests-delta", "max_requests_jitter", int, "drawn by chance for each worker"),
    _missing("min-worker-lifetime max-worker-lifetime", "`max_requests` replaces workers by work"),
    _missing(
        "reload-on-rss evil-reload-on-rss reload-on-as evil-reload-on-as limit-as",
        "limit the memory of the service (`MemoryMax=` of systemd), or use `max_requests`",
    ),
    _same("worker-reload-mercy reload-mercy", "graceful_timeout", int),
    _needless("no-orphans", "workers never outlive the master"),
    _needless("die-on-term", "TERM always ends it; HUP reloads"),
    _missing(
        "cheap cheaper cheaper-initial cheaper-step cheaper-algo cheaper-algo-list "
        "cheaper-overload cheaper-rss-limit-soft cheaper-busyness-max cheaper-busyness-min "
        "cheaper-busyness-multiplier idle die-on-idle",
        "the number of workers is fixed; TTIN and TTOU change it while it runs",
    ),
    _missing("emperor vassals-dir emperor-stats", "a service of systemd for each application"),
    _own("gevent", "worker_class", '`worker_class = "gevent"`, with `worker_connections`'),
    _needless("gevent-monkey-patch gevent-early-monkey-patch", "the worker class always patches"),
    _missing("asyncio async ugreen greenlet", "threads, or the worker class gevent"),
    _missing("websockets", "see the guide about gevent"),
    _same("uid", "user"),
    _same("gid", "group"),
    _missing("umask", "`UMask=` of systemd; `umask` here is for unix sockets only"),
    _missing(
        "add-gid additional-gid", "`initgroups = true` gives workers all groups of their user"
    ),
    _missing("cpu-affinity cap cgroup chroot namespace unshare", "systemd does that"),
    _needless("rlimit-nofile max-fd", "`LimitNOFILE=` of systemd"),
    _same("pidfile safe-pidfile", "pidfile"),
    _missing("pidfile2 safe-pidfile2", "there is one pidfile"),
    _own("daemonize daemonize2 d", "daemon", "its file becomes `errorlog` and `accesslog`"),
    _same("procname procname-master procname-prefix procname-prefix-spaced", "proc_name"),
    _needless("auto-procname", "with the `setproctitle` module installed titles are set"),
    _own("py-autoreload python-autoreload py-auto-reload", "reload", "for development only"),
    _missing("touch-reload touch-workers-reload touch-chain-reload", "send HUP to the master"),
    _missing("fs-reload fs-brain-reload", "send HUP to the master"),
    _missing(
        "exec-asap exec-pre-jail exec-post-jail exec-pre-app exec-post-app exec-as-user "
        "hook-asap hook-pre-app hook-post-app hook-as-user hook-post-fork",
        "`ExecStartPre=` of systemd, or a hook such as `on_starting` or `post_fork`",
    ),
    _missing("master-fifo", "signals to the master"),
    # Requests.
    _own("buffer-size b", "limit_request_field_size", "needed only above 8190"),
    _own(
        "post-buffering", "body_memory", "bodies are always buffered; this is what stays in memory"
    ),
    _needless("post-buffering-bufsize", "bodies are always buffered"),
    _same("limit-post", "limit_request_body", int),
    _missing(
        "socket-timeout so-send-timeout", "slow clients hold nothing; see `client_send_timeout`"
    ),
    _needless(
        "ignore-sigpipe ignore-write-errors disable-write-exception write-errors-tolerance",
        "a client that has left is no error",
    ),
    _needless("wsgi-disable-file-wrapper offload-threads", "the kernel sends files, at no cost"),
    _missing(
        "static-map static-map2 check-static static-index static-expires static-expires-uri "
        "static-gzip static-gzip-all static-safe static-skip-ext static-cache-paths mimefile",
        "let the proxy serve files, or WhiteNoise",
    ),
    _missing(
        "route route-run route-uri route-host route-remote-addr final-route response-route "
        "error-route",
        "rules belong to the proxy or the application",
    ),
    _missing("add-header rem-header del-header", "the application or the proxy sets fields"),
    _missing("catch-exceptions", "errors go to the log, never to clients"),
    _missing("honour-range", "the application or the proxy answers ranges"),
    # Logs and figures.
    _own("logto logto2", "errorlog", "requests go to `accesslog`"),
    _own("logger req-logger", "errorlog", "`file:PATH`; other kinds of loggers have none"),
    _own("log-format logformat", "access_log_format"),
    _own("disable-logging", "accesslog", "no access log, as by default here"),
    _own(
        "log-x-forwarded-for",
        "proxy",
        "name the proxies that are believed (`proxy_trusted`, `proxy_x_for`)",
    ),
    _needless(
        "log-master log-reopen threaded-logger log-master-bufsize logfile-chmod logfile-chown",
        "logs are reopened by USR1",
    ),
    _missing("log-maxsize log-backupname touch-logreopen touch-logrotate", "logrotate, then USR1"),
    _missing(
        "log-4xx log-5xx log-slow log-big log-date log-zero log-sendfile log-micros "
        "log-prefix log-encoder log-req-encoder",
        "choose with `access_log_format`, or filter the log",
    ),
    _missing(
        "stats stats-server stats-http stats-push memory-report carbon snmp metric",
        "`statsd_host` sends figures",
    ),
    _needless(
        "for for-glob for-times endfor if-env if-exists if-file if-dir if-opt if-not-env "
        "if-not-exists if-not-file if-not-dir endif end",
        "conditions and loops are written out, as they come out here and now",
    ),
)

_BY_NAME = {name: row for row in ROWS for name in row.names}


def find(name: str) -> Row | None:
    """The row of an option."""
    return _BY_NAME.get(name)
