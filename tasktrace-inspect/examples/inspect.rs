//! Prints where the tasks of a process wait: `cargo run -p tasktrace-inspect --example inspect PID`.

use std::env;
use std::error::Error;

use tasktrace_inspect::{Options, inspect_process};

fn main() -> Result<(), Box<dyn Error>> {
    let pid = env::args().nth(1).ok_or("name a process by its number")?;
    let report = inspect_process(pid.parse()?, &Options::default())?;
    println!("{report}");
    eprintln!(
        "debug info: {:.0} ms, memory: {:.0} ms",
        report.source.index_ms, report.source.read_ms
    );
    Ok(())
}
