//! The embedded demo: users, three tiny backends and a certificate made at start, so that one command shows
//! a user landing on the same backend in all three protocols. Nothing here is meant for real mail.

mod backend;
mod imap;
mod pop3;
mod sieve;
mod site;

use std::{io::Write, process::ExitCode, sync::Arc};

use crate::{
    app::{App, Prepared},
    config, observe,
};

/// Serves the demo until Ctrl-C.
pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "homing demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let site = site::Site::create()?;
    let outcome = config::load(&site.config);
    let settings = outcome.settings.ok_or_else(|| outcome.report.to_string())?;
    let log = observe::start(&settings.log, &settings.process.instance_name)?;
    let prepared = Prepared::new(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        backend::start_all().await?;
        let app = App::start(prepared, Some(site.config.clone()), Arc::new(log)).await?;
        std::io::stdout().lock().write_all(site.instructions().as_bytes())?;
        app.run().await?;
        Ok(())
    })
}
