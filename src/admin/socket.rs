//! Makes the sockets, as root if the program was started so. One that cannot be made is a warning: users are served
//! without it.

use std::fmt::Display;

use ipnet::IpNet;

use crate::{
    config::settings::{AdminProtocol, AdminSettings, SocketPlace},
    sockets::{Listening, UnixSocket},
};

/// Sockets that listen but are not accepted from yet.
#[derive(Default)]
pub struct AdminSockets {
    pub(super) listeners: Vec<AdminListener>,
    /// Who may connect over TCP beside this machine.
    pub(super) networks: Vec<IpNet>,
}

/// One of them.
pub(super) struct AdminListener {
    pub(super) protocol: AdminProtocol,
    pub(super) name: String,
    pub(super) socket: Listening,
}

impl AdminSockets {
    /// Makes what the settings want. Needs no runtime, so that it can be done before root is given up.
    pub fn bind(settings: &AdminSettings) -> Self {
        let mut sockets = Vec::new();
        for socket in &settings.sockets {
            let protocol = socket.protocol;
            let (name, made) = match &socket.place {
                SocketPlace::Unix(file) => {
                    let name = file.path.display().to_string();
                    let made = or_warn(&name, UnixSocket::listen(file));
                    (name, made.map(Listening::Unix))
                }
                SocketPlace::Tcp(address) => {
                    let name = address.to_string();
                    let made = or_warn(&name, Listening::at(*address));
                    (name, made)
                }
            };
            sockets.extend(made.map(|socket| AdminListener { protocol, name, socket }));
        }
        Self { listeners: sockets, networks: settings.networks.clone() }
    }
}

fn or_warn<T>(name: &str, made: Result<T, impl Display>) -> Option<T> {
    let warn = |error| {
        tracing::warn!(
            target: "homing::admin",
            "cannot listen on {name}: {error}; doveadm does not reach Homing there"
        );
    };
    made.map_err(warn).ok()
}
