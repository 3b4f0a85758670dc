//! `homing run`: configuration, log, runtime, program.

use std::{path::Path, process::ExitCode, sync::Arc};

use super::{EXIT_CONFIG, complain};
use crate::{
    app::{App, Prepared, StartError},
    config, observe,
};

pub(super) fn run(path: &Path) -> ExitCode {
    let outcome = config::load(path);
    let Some(settings) = outcome.settings else {
        let errors: Vec<_> = outcome.report.errors().collect();
        complain(&format!("the configuration has errors\n{}", errors.join("\n")));
        return ExitCode::from(EXIT_CONFIG);
    };
    let log = match observe::start(&settings.log, &settings.process.instance_name) {
        Ok(log) => log,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    for line in outcome.report.warnings_to_log() {
        tracing::warn!(target: "homing::config", "{line}");
    }
    match Prepared::new(settings) {
        Ok(prepared) => serve(prepared, path, log),
        Err(error) => failed(&error),
    }
}

fn failed(error: &StartError) -> ExitCode {
    tracing::error!(target: "homing::app", "{error}");
    complain(&error.to_string());
    ExitCode::FAILURE
}

fn serve(prepared: Prepared, path: &Path, log: observe::LogHandle) -> ExitCode {
    // Kept here, too: the reason why the program does not start belongs in the log.
    let log = Arc::new(log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(async {
        let app = App::start(prepared, Some(path.to_owned()), Arc::clone(&log)).await?;
        app.run().await
    });
    // What still blocks (a file system or a name server that does not answer) must not keep the process.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}
