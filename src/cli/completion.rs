//! `homing completion`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing completion bash > /etc/bash_completion.d/homing
  homing completion zsh > /usr/share/zsh/vendor-completions/_homing
  homing completion fish > /etc/fish/completions/homing.fish")]
pub(super) struct Completion {
    /// Which shell
    shell: Shell,
}

impl Completion {
    pub(super) fn print(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "homing", &mut script);
        super::print(&String::from_utf8_lossy(&script));
        ExitCode::SUCCESS
    }
}
