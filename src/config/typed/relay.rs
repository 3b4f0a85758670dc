//! The sockets of `service director`, and that of `service ipc` for login processes. The end of a listener's name tells what is spoken there (spec/director.md 0.1);
//! without a mode the two in the login directory do not exist, as in the reference.

use std::path::{Path, PathBuf};

use super::{View, auth::login_socket};
use crate::config::{
    grammar::Block,
    report::Report,
    schema::{
        kind,
        known::{LOGIN_SERVICE, SOCKET_LISTENER},
        purpose::{Purpose, purpose},
    },
    settings::{RelaySettings, SocketFile, SocketRole, SocketSettings},
};

/// The socket for lookups of a Dovecot auth service, beside the one for login processes.
const USERDB_SOCKET: &str = "auth-userdb";

/// Login processes without it are asked nothing.
const UNREACHABLE: &str = "service director: login processes ask here, but cannot be told to end sessions: users whom \
    they serve are moved only when nothing was heard of them for director_user_expire (service ipc { unix_listener \
    login/ipc-proxy })";

/// Those that are off unless they have a mode.
const OFF_BY_DEFAULT: &[&str] = &["login/director", "login/proxy-notify"];

pub(super) fn relay(root: &Block, report: &mut Report) -> RelaySettings {
    let top = View::top(root);
    let service = |name: &str| root.of_kind("service").find(move |block| block.name == name);
    let director = service("director");
    let mut sockets: Vec<_> = director.map(|service| sockets(service, &top)).unwrap_or_default();
    let auth_login = login_socket(&top);
    let auth_userdb = userdb_socket(&top, &auth_login, &sockets);
    for own in sockets.iter().filter(|own| [&auth_login, &auth_userdb].contains(&&own.file.path)) {
        let text = format!(
            "service director: {} would be asked by itself (login_auth_socket_path names the auth service's own socket)",
            own.file.path.display()
        );
        report.error(director.map_or(&root.position, |block| &block.position), text);
    }
    let hub: Vec<_> = service("ipc").map(|service| self::sockets(service, &top)).unwrap_or_default();
    if let Some(block) = director.filter(|_| hub.is_empty())
        && sockets.iter().any(|socket| socket.role == SocketRole::Logins)
    {
        report.warning(&block.position, UNREACHABLE);
    }
    sockets.extend(hub);
    RelaySettings {
        sockets,
        connections_max: client_limit(director, &top),
        processes_max: client_limit(service("ipc"), &top),
        parallel_kicks_max: (top.count("director_max_parallel_kicks") as usize).max(1),
        login_time: top.time("login_proxy_timeout"),
        auth_login,
        auth_userdb,
    }
}

fn client_limit(service: Option<&Block>, top: &View<'_>) -> usize {
    let own = service.map_or(0, |block| View::of_block(block, LOGIN_SERVICE).count("client_limit"));
    let limit = if own == 0 { top.count("default_client_limit") } else { own };
    (limit as usize).max(1)
}

/// `auth_socket_path` unless it is one of our own sockets: that is how others are told to ask the director.
fn userdb_socket(top: &View<'_>, auth_login: &Path, own: &[SocketSettings]) -> PathBuf {
    let named = top.is_set("auth_socket_path").then(|| in_base_dir(top, &top.text("auth_socket_path")));
    let foreign = named.filter(|path| own.iter().all(|socket| socket.file.path != *path));
    foreign.unwrap_or_else(|| auth_login.with_file_name(USERDB_SOCKET))
}

fn in_base_dir(top: &View<'_>, path: &str) -> PathBuf {
    Path::new(&top.text("base_dir")).join(path)
}

fn sockets(service: &Block, top: &View<'_>) -> Vec<SocketSettings> {
    let is_ours =
        |block: &&Block| matches!(purpose(&service.name, block), Purpose::Question | Purpose::LoginProcess);
    let listeners = service.blocks.iter().filter(is_ours);
    listeners.filter_map(|listener| socket(&service.name, listener, top)).collect()
}

fn socket(service: &str, listener: &Block, top: &View<'_>) -> Option<SocketSettings> {
    let view = View::of_block(listener, SOCKET_LISTENER);
    let is_off = !view.is_set("mode") && OFF_BY_DEFAULT.contains(&listener.name.as_str());
    let mode = kind::mode(&view.text("mode")).filter(|mode| *mode != 0 && !is_off)?;
    let role = match purpose(service, listener) {
        Purpose::LoginProcess => SocketRole::LoginProcesses,
        _ => role(&listener.kind, &listener.name),
    };
    let path = in_base_dir(top, &listener.name);
    let text = |name| Some(view.text(name)).filter(|text| !text.is_empty());
    let file = SocketFile { path, mode, user: text("user"), group: text("group") };
    Some(SocketSettings { role, file })
}

/// What is spoken there.
fn role(kind: &str, name: &str) -> SocketRole {
    if kind == "fifo_listener" {
        return SocketRole::RefreshFifo;
    }
    match name.rsplit(['/', '-']).next().unwrap_or_default() {
        "userdb" => SocketRole::Lookups,
        "authreply" => SocketRole::Answers,
        "notify" => SocketRole::Refreshes,
        _ => SocketRole::Logins,
    }
}
