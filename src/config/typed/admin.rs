//! The sockets for administrators: those that always exist beside a director, and the blocks that change them or add
//! others.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{View, listener::addresses};
use crate::config::{
    grammar::Block,
    report::Report,
    schema::{
        kind,
        known::{INET_LISTENER, SOCKET_LISTENER},
        purpose::{Purpose, purpose},
    },
    settings::{AdminProtocol, AdminSettings, AdminSocket, SocketFile, SocketPlace},
};

/// Sockets that exist without being configured, as in the reference: service, name.
const PRESETS: [(&str, &str, AdminProtocol); 2] =
    [("director", "director-admin", AdminProtocol::Director), ("ipc", "ipc", AdminProtocol::Ipc)];

/// Without `director_mail_servers` there is nothing to administer.
pub(super) fn admin(root: &Block, base_dir: &Path, report: &mut Report) -> AdminSettings {
    let top = View::top(root);
    let (mut sockets, networks) = (Vec::new(), top.networks("director_admin_networks"));
    if top.text("director_mail_servers").is_empty() {
        return AdminSettings { sockets, networks };
    }
    for (service, preset, protocol) in PRESETS {
        let blocks: Vec<_> = listeners(root, service).collect();
        if !blocks.iter().any(|block| block.kind == "unix_listener" && block.name == preset) {
            let nothing = Block::new("unix_listener", preset, root.position.clone());
            sockets.extend(unix(&nothing, protocol, base_dir));
        }
        for block in blocks {
            match block.kind.as_str() {
                "unix_listener" => sockets.extend(unix(block, protocol, base_dir)),
                _ => sockets.extend(tcp(block, protocol, &top, report)),
            }
        }
    }
    AdminSettings { sockets, networks }
}

fn listeners<'a>(root: &'a Block, service: &'a str) -> impl Iterator<Item = &'a Block> {
    let blocks = root.of_kind("service").filter(move |block| block.name == service);
    let is_ours = move |block: &&Block| matches!(purpose(service, block), Purpose::Admin | Purpose::Ipc);
    blocks.flat_map(|block| &block.blocks).filter(is_ours)
}

/// `None` with `mode = 0`.
fn unix(block: &Block, protocol: AdminProtocol, base_dir: &Path) -> Option<AdminSocket> {
    let view = View::of_block(block, SOCKET_LISTENER);
    let mode = kind::mode(&view.text("mode")).filter(|mode| *mode > 0)?;
    let name = |setting| Some(view.text(setting)).filter(|text| !text.is_empty());
    let path = base_dir.join(&block.name);
    let file = SocketFile { path, mode, user: name("user"), group: name("group") };
    Some(AdminSocket { protocol, place: SocketPlace::Unix(file) })
}

/// Empty with `port = 0`.
fn tcp(block: &Block, protocol: AdminProtocol, top: &View<'_>, report: &mut Report) -> Vec<AdminSocket> {
    let view = View::of_block(block, INET_LISTENER);
    let port = kind::port(&view.text("port")).unwrap_or(0);
    if port == 0 {
        return Vec::new();
    }
    let name = format!("inet_listener {}", block.name);
    if view.flag("ssl") || view.flag("haproxy") {
        report.error(&block.position, format!("{name}: ssl and haproxy are not served for doveadm"));
    }
    let mut ips = addresses("address", &view.text("address"), &block.position, report);
    if ips.is_empty() {
        ips = addresses("listen", &top.text("listen"), top.position("listen"), report);
    }
    if ips.iter().any(|ip| !ip.is_loopback()) {
        let text = match top.networks("director_admin_networks").is_empty() {
            true => format!("{name}: only this machine may connect; director_admin_networks names others"),
            false => format!(
                "{name}: whoever is in director_admin_networks rules the director; there is no password"
            ),
        };
        report.warning(&block.position, text);
    }
    let socket = |ip: &IpAddr| AdminSocket { protocol, place: SocketPlace::Tcp(SocketAddr::new(*ip, port)) };
    ips.iter().map(socket).collect()
}
