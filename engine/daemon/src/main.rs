//! The program `watchkeeper`.

use clap::Parser;
use watchkeeper::cli::{self, Cli, exit::Exit};

#[tokio::main]
async fn main() -> Exit {
    cli::main(Cli::parse()).await
}
