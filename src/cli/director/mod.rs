//! `homing director`: one file for each family of commands. They speak with a director over its admin socket, with the
//! words of Dovecot's doveadm where these suffice, so that they drive Dovecot's director, too.

mod change;
mod connection;
mod drain;
mod dump;
mod explain;
mod flush;
mod hosts;
mod load;
mod map;
mod plan;
mod ring;
mod sessions;
mod status;
mod users;
mod wait;

use clap::{Args, Subcommand};

use super::{
    exit::{EXIT_HELP, Fault},
    place::Asking,
};
use crate::config::settings::AdminProtocol;
use connection::Connection;
pub(super) use sessions::Who;

/// See and change which backend users are on.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct Director {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: DirectorCommand,
}

#[derive(Debug, Subcommand)]
enum DirectorCommand {
    /// Show the backends, or where a user is
    Status(status::Status),
    /// List which user is on which backend
    Map(map::Map),
    /// Add a backend, or change a known one
    Add(change::Add),
    /// Change the weight of a backend
    Update(change::Update),
    /// Let new users come to a backend again
    Up(change::Up),
    /// Let no new users come to a backend; those who are there stay
    Down(change::Down),
    /// Remove a backend
    Remove(change::Remove),
    /// Move a user to a backend
    Move(users::Move),
    /// End the sessions of users
    Kick(users::Kick),
    /// Move the users of a backend to where they belong
    Flush(flush::Flush),
    /// Empty a backend, so that it can be powered off
    Drain(drain::Drain),
    /// Tell why a user is where they are
    Explain(explain::Explain),
    /// Write the whole state down as text
    Dump(dump::Dump),
    /// Bring backends and users to the state of a dump
    Load(load::Load),
    /// Show the ring of directors
    Ring(ring::Ring),
}

impl Director {
    /// Does what the command line says.
    pub(super) async fn run(self) -> Result<(), Fault> {
        let (place, form) = (self.asking.place(AdminProtocol::Director)?, self.asking.form());
        let connection = &mut Connection::open(&place).await?;
        match self.command {
            DirectorCommand::Status(command) => command.run(connection, form).await,
            DirectorCommand::Map(command) => command.run(connection, form).await,
            DirectorCommand::Add(command) => command.run(connection, form).await,
            DirectorCommand::Update(command) => command.run(connection, form).await,
            DirectorCommand::Up(command) => command.run(connection, form).await,
            DirectorCommand::Down(command) => command.run(connection, form).await,
            DirectorCommand::Remove(command) => command.run(connection, form).await,
            DirectorCommand::Move(command) => command.run(connection, form).await,
            DirectorCommand::Kick(command) => command.run(connection, form).await,
            DirectorCommand::Flush(command) => command.run(connection, form).await,
            DirectorCommand::Drain(command) => command.run(connection, form).await,
            DirectorCommand::Explain(command) => command.run(connection, form).await,
            DirectorCommand::Dump(command) => command.run(connection, form).await,
            DirectorCommand::Load(command) => command.run(connection, form).await,
            DirectorCommand::Ring(command) => command.run(connection, form).await,
        }
    }
}
