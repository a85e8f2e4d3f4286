//! `tasktrace inspect`: reads the memory of a process, or a core file. The process need not know of tasktrace.

use std::path::{Path, PathBuf};

use clap::Args;
use tasktrace_inspect::{Error, Options, Report, inspect_core, inspect_process, is_core_file};

use crate::failure::Failure;
use crate::output::{Output, TextFormat};

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The process, by its number, or a core file
    #[arg(value_name = "PID | CORE")]
    target: PathBuf,

    /// The executable, if it is not where the process or the core file says
    #[arg(long, value_name = "FILE")]
    exe: Option<PathBuf>,

    /// A file with the debug info (.debug or .dwp), if it is not in the executable or beside it
    #[arg(long, value_name = "FILE")]
    debuginfo: Option<PathBuf>,

    /// Stop the process while its memory is read, so that the tasks are shown as of one moment
    #[arg(long)]
    freeze: bool,

    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: Inspect, json: bool) -> Result<(), Failure> {
    let mut options = Options::default();
    options.executable = args.exe;
    options.debug_info = args.debuginfo;
    options.freeze = args.freeze;
    let report = report(&args.target, &options)?;
    let output = Output::new(args.output);
    let (bytes, form) = match json {
        true => {
            let mut bytes = serde_json::to_vec_pretty(&report)
                .map_err(|error| Failure::Other(error.to_string()))?;
            bytes.push(b'\n');
            (bytes, TextFormat::Json)
        }
        false => (report.to_string().into_bytes(), TextFormat::Text),
    };
    output.write_foreign(&bytes, form)?;
    output.tell(bytes.len(), json)
}

/// Digits are a process, unless there is a core file of that name.
fn report(target: &Path, options: &Options) -> Result<Report, Failure> {
    let pid = target.to_str().and_then(|text| text.parse().ok());
    let is_number = target
        .to_str()
        .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let report = match pid {
        // There are no numbers of processes as large as this.
        None if is_number && !target.exists() => {
            return Err(Failure::NoProcess(format!(
                "there is no process {}",
                target.display()
            )));
        }
        Some(pid) if !is_core_file(target) => inspect_process(pid, options),
        _ if options.freeze => {
            return Err(Failure::Usage(
                "only a process can be stopped: leave out --freeze".to_owned(),
            ));
        }
        _ => inspect_core(target, options),
    };
    report.map_err(failure)
}

fn failure(error: Error) -> Failure {
    let text = error.to_string();
    match error {
        Error::NoProcess { .. } | Error::Ended { .. } | Error::EndedMeanwhile { .. } => {
            Failure::NoProcess(text)
        }
        Error::Permission { .. } => Failure::NoPermission(text),
        _ => Failure::Other(text),
    }
}
