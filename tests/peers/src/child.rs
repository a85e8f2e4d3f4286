//! Runs measurements in new processes, where nothing has happened before.

use std::process::Command;

/// The environment variable with the job of a child process.
const JOB: &str = "PEERS_JOB";

/// Returns the job of this process if it is a child.
pub fn job() -> Option<Vec<String>> {
    let job = std::env::var(JOB).ok()?;
    Some(job.split('/').map(str::to_owned).collect())
}

/// Starts a child process, and returns the number that it prints.
///
/// # Panics
///
/// If the child prints no number.
pub fn measure(job: &[&str]) -> f64 {
    let program = std::env::current_exe().expect("programs have a path");
    let output = Command::new(program).env(JOB, job.join("/")).output();
    let output = output.expect("it can be started once more");
    let printed = String::from_utf8_lossy(&output.stdout);
    let number = printed.trim().parse();
    number.unwrap_or_else(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        panic!("{job:?} printed {printed:?}, {error}")
    })
}
