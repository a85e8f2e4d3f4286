//! The program `tasktrace` asks processes where their tasks are waiting.
//!
//! It is a client: it prints data that a process sends, through HTTP on a Unix socket or a TCP address. The command
//! `inspect` reads memory instead. So do `ps`, `dump` and `top` for a process that does not let other programs attach.
//!
//! * [`args`]: the arguments; [`failure`]: the failures and the exit codes.
//! * [`source`]: asks a process, or reads its memory.
//! * [`server`], [`find`]: the process or server to ask; [`fetch`]: sends requests; [`document`]: parses answers.
//! * [`memory`]: makes the same document from the memory of a process.
//! * [`output`], [`table`], [`time`]: format and write text.
//! * [`ps`], [`dump`], [`top`], [`flame`], [`profile`], [`inspect`]: the commands.
#![forbid(unsafe_code)]

mod args;
mod document;
mod dump;
mod failure;
mod fetch;
mod find;
mod flame;
mod inspect;
mod memory;
mod output;
mod profile;
mod ps;
mod server;
mod source;
mod table;
mod time;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
pub(crate) use crate::failure::Failure;
use crate::output::{Output, Paint, visible};

fn main() -> ExitCode {
    // `parse` ends the process with the exit code 2 if the arguments are not valid.
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure, json);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let json = cli.json;
    let paint = Paint::new(cli.color);
    match cli.command {
        Command::Ps(args) => ps::run(&args, json, paint),
        Command::Dump(args) => dump::run(args, json, paint),
        Command::Top(args) => top::run(args, json, paint),
        Command::Flame(args) => flame::run(args, json),
        Command::Profile(args) => profile::run(args, json),
        Command::Inspect(args) => inspect::run(args, json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tasktrace", &mut script);
            Output::Stdout.write(&script)
        }
    }
}

fn tell(failure: &Failure, json: bool) {
    if matches!(failure, Failure::OutputClosed) {
        return;
    }
    let mut stderr = io::stderr();
    // If the message cannot be written, the exit code still tells the failure.
    let _ = match json {
        true => writeln!(stderr, "{}", failure.json()),
        // The message may contain paths with arbitrary characters, so only its visible characters are printed.
        false => {
            let text = failure.to_string();
            let lines: Vec<_> = text.lines().map(visible).collect();
            writeln!(stderr, "tasktrace: {}", lines.join("\n"))
        }
    };
}
