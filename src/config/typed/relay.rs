//! The sockets of `service director`. The end of a listener's name tells what is spoken there (spec/director.md 0.1);
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

/// Those that are off unless they have a mode.
const OFF_BY_DEFAULT: &[&str] = &["login/director", "login/proxy-notify"];

pub(super) fn relay(root: &Block, report: &mut Report) -> RelaySettings {
    let top = View::top(root);
    let service = root.of_kind("service").find(|block| block.name == "director");
    let sockets: Vec<_> = service.map(|service| sockets(service, &top)).unwrap_or_default();
    let auth_login = login_socket(&top);
    let auth_userdb = userdb_socket(&top, &auth_login, &sockets);
    for own in sockets.iter().filter(|own| [&auth_login, &auth_userdb].contains(&&own.file.path)) {
        let text = format!(
            "service director: {} would be asked by itself (login_auth_socket_path names the auth service's own socket)",
            own.file.path.display()
        );
        report.error(service.map_or(&root.position, |block| &block.position), text);
    }
    let own_limit = service.map_or(0, |block| View::of_block(block, LOGIN_SERVICE).count("client_limit"));
    let limit = if own_limit == 0 { top.count("default_client_limit") } else { own_limit };
    RelaySettings { sockets, connections_max: (limit as usize).max(1), auth_login, auth_userdb }
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
    let listeners = service.blocks.iter().filter(|block| purpose("director", block) == Purpose::Question);
    listeners.filter_map(|listener| socket(listener, top)).collect()
}

fn socket(listener: &Block, top: &View<'_>) -> Option<SocketSettings> {
    let view = View::of_block(listener, SOCKET_LISTENER);
    let is_off = !view.is_set("mode") && OFF_BY_DEFAULT.contains(&listener.name.as_str());
    let mode = kind::mode(&view.text("mode")).filter(|mode| *mode != 0 && !is_off)?;
    let role = role(&listener.kind, &listener.name);
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
