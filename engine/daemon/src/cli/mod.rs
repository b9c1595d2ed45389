//! The command line: a file for each command.

pub mod exit;

pub mod init;

pub mod check;

use clap::{Parser, Subcommand};

/// Watches Data Mover servers, decides by the site's policies, fails over, and tells people.
#[derive(Debug, Parser)]
#[command(name = "watchkeeper", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented configuration to start from.
    Init(init::Init),
    /// Look for mistakes in the configuration.
    Check(check::Check),
}
