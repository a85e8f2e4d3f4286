//! Measuring in a process of its own, where nothing has happened before.

use std::process::Command;

/// The environment variable that tells a child what to do.
const JOB: &str = "PEERS_JOB";

/// What this process is to do, if it is a child.
pub fn job() -> Option<Vec<String>> {
    let job = std::env::var(JOB).ok()?;
    Some(job.split('/').map(str::to_owned).collect())
}

/// Starts a child, and returns the number that it prints.
///
/// # Panics
///
/// If it does not.
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
