//! The processes themselves: user, directory, environment, names.

use super::nothing;
use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "preload_app",
        section: Section::ServerMechanics,
        flags: &["--preload"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Load the application in the master, before workers are forked",
        long: "Saves memory and time; the code is then not loaded again by a reload.",
        support: Support::Works,
        apply: |settings, value| {
            settings.preload_app = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "sendfile",
        section: Section::ServerMechanics,
        flags: &["--no-sendfile"],
        meta: "",
        kind: Kind::Flag(false),
        default: "True",
        short: "Let the kernel send files given to wsgi.file_wrapper",
        long: "Switch it off on file systems where sendfile misbehaves. If the environment \
           has `SENDFILE`, that is the default.",
        support: Support::Works,
        apply: |settings, value| {
            settings.sendfile = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "chdir",
        section: Section::ServerMechanics,
        flags: &["--chdir"],
        meta: "DIR",
        kind: Kind::Text,
        default: "",
        short: "Directory to change to before the application is loaded",
        long: "It is put first on sys.path.",
        support: Support::Works,
        apply: |settings, value| {
            settings.chdir = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "raw_env",
        section: Section::ServerMechanics,
        flags: &["-e", "--env"],
        meta: "NAME=TEXT",
        kind: Kind::List,
        default: "",
        short: "Variable for the environment of the application; repeatable",
        long: "Set before the application is loaded.",
        support: Support::Works,
        apply: |settings, value| {
            settings.raw_env = value.list()?;
            Ok(())
        },
    },
    Setting {
        name: "pythonpath",
        section: Section::ServerMechanics,
        flags: &["--pythonpath"],
        meta: "DIRS",
        kind: Kind::Text,
        default: "",
        short: "Directories to put on sys.path, separated by commas",
        long: "They come before the current directory; of two, the later one comes first.",
        support: Support::Works,
        apply: |settings, value| {
            settings.pythonpath = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "pidfile",
        section: Section::ServerMechanics,
        flags: &["-p", "--pid"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "File that holds the master's process id",
        long: "A file that names a living process stops the start.",
        support: Support::Works,
        apply: |settings, value| {
            settings.pidfile = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "user",
        section: Section::ServerMechanics,
        flags: &["-u", "--user"],
        meta: "USER",
        kind: Kind::Text,
        default: "",
        short: "User that workers run as, by name or number",
        long: "Start as root only to bind a low port, and name a user here.",
        support: Support::Works,
        apply: |settings, value| {
            settings.user = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "group",
        section: Section::ServerMechanics,
        flags: &["-g", "--group"],
        meta: "GROUP",
        kind: Kind::Text,
        default: "",
        short: "Group that workers run as, by name or number",
        long: "See user.",
        support: Support::Works,
        apply: |settings, value| {
            settings.group = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "initgroups",
        section: Section::ServerMechanics,
        flags: &["--initgroups"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Give workers all the groups of their user",
        long: "Set it if files are shared through a second group. Without it a worker that \
           changes its user belongs to its group only, and to none of root's.",
        support: Support::Works,
        apply: |settings, value| {
            settings.initgroups = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "umask",
        section: Section::ServerMechanics,
        flags: &["-m", "--umask"],
        meta: "MODE",
        kind: Kind::Mode,
        default: "0",
        short: "Mode bits that unix sockets do not get",
        long: "Octal with a leading zero: `007` lets the group connect and nobody else. Files that \
           the application makes follow the umask with which the server was started; a daemon's is \
           022.",
        support: Support::Works,
        apply: |settings, value| {
            settings.umask = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "proc_name",
        section: Section::ServerMechanics,
        flags: &["-n", "--name"],
        meta: "NAME",
        kind: Kind::Text,
        default: "",
        short: "Name in the title of the processes",
        long: "With the `setproctitle` module installed, `ps` shows `oxicorn: master [NAME]` and \
           `oxicorn: worker [NAME]`, where the name is the application's if unset. Without the \
           module, a name that is set becomes the one that `top` and `pgrep` show, cut at 15 \
           bytes.",
        support: Support::Works,
        apply: |settings, value| {
            settings.proc_name = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "daemon",
        section: Section::ServerMechanics,
        flags: &["-D", "--daemon"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Run in the background",
        long: "A service manager does it better. Name files for the logs: standard output and \
           error go nowhere.",
        support: Support::Works,
        apply: |settings, value| {
            settings.daemon = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "worker_tmp_dir",
        section: Section::ServerMechanics,
        flags: &["--worker-tmp-dir"],
        meta: "DIR",
        kind: Kind::Text,
        default: "",
        short: "Directory of gunicorn's heartbeat files",
        long: "oxicorn keeps heartbeats in memory.",
        support: Support::WarnIgnored("heartbeats are kept in memory, no file is needed"),
        apply: nothing,
    },
    Setting {
        name: "default_proc_name",
        section: Section::ServerMechanics,
        flags: &[],
        meta: "",
        kind: Kind::Text,
        default: "oxicorn",
        short: "Name of the processes when nothing else gives one",
        long: "For programs that embed the server: proc_name and the application's name win.",
        support: Support::Works,
        apply: |settings, value| {
            settings.default_proc_name = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "control_socket",
        section: Section::ServerMechanics,
        flags: &["--control-socket"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "Socket of gunicorn's control program",
        long: "oxicorn opens none.",
        support: Support::WarnIgnored("there is no control socket"),
        apply: nothing,
    },
    Setting {
        name: "control_socket_mode",
        section: Section::ServerMechanics,
        flags: &["--control-socket-mode"],
        meta: "MODE",
        kind: Kind::Mode,
        default: "0600",
        short: "Mode of the control socket",
        long: "oxicorn opens none.",
        support: Support::WarnIgnored("there is no control socket"),
        apply: nothing,
    },
    Setting {
        name: "control_socket_disable",
        section: Section::ServerMechanics,
        flags: &["--no-control-socket"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Open no control socket",
        long: "Accepted because deployments pass it; oxicorn opens none anyway.",
        support: Support::Works,
        apply: nothing,
    },
];
