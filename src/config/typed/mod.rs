//! From the checked tree to typed settings: one file per room. What cannot be used is reported, with its line.

mod admin;
mod auth;
mod backend;
mod director;
mod listener;
mod log;
mod login;
mod passdb;
mod pem;
mod process;
mod relay;
mod resolve;
mod tls;
mod view;

pub(crate) use view::View;

use super::{
    grammar::Block,
    report::Report,
    settings::{AdminSettings, Settings},
};

/// The settings of the whole program. They are worth something only if the report has no errors.
pub(crate) fn settings(root: &Block, report: &mut Report) -> Settings {
    let view = View::top(root);
    let process = process::process(&view, report);
    Settings {
        admin: admin::admin(root, &process.base_dir, report),
        process,
        log: log::log(&view),
        tls: tls::tls(root, report),
        login: login::login(root),
        auth: auth::auth(root, report),
        director: director::director(&view, report),
        relay: relay::relay(root, report),
        backend: backend::backend(&view, report),
        proxy_header: listener::proxy_header(&view),
        listeners: listener::listeners(root, report),
    }
}

/// The part for administrators alone.
pub(crate) fn admin_sockets(root: &Block, report: &mut Report) -> AdminSettings {
    let base_dir = process::process(&View::top(root), report).base_dir;
    admin::admin(root, &base_dir, report)
}
