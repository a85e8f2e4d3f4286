//! Defines the arguments of the program. The doc comments of the commands and options are the text of `--help`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  another failure
  2  the command is wrong, or it names none of several processes
  3  there is no such process
  4  no permission: the process belongs to another user, or the token is wrong
  5  the process is not instrumented, or does not let other programs attach, and has no tasks in
     its memory that can be read
  6  no answer: no server listens at the address, or it did not answer in time";

const EXAMPLES: &str = "\
Examples:
  tasktrace ps                                 list the processes that can be attached to
  tasktrace dump                               print all tasks of the only such process
  tasktrace top 4711                           watch process 4711
  tasktrace profile 4711 -s 30 -f svg -o w.svg draw where tasks wait in 30 seconds
  tasktrace dump --addr http://127.0.0.1:6670  ask a process that serves HTTP
  tasktrace inspect 4711                       read the memory of a process without tasktrace
                                               (so do ps, dump and top, unless it can be
                                               attached to)

A process can be attached to if it has the feature `attach` of tasktrace, and one of these:
#[tasktrace::main(attach)], the environment variable TASKTRACE_ATTACH=1, or a call of
tasktrace::attach(). Otherwise name its HTTP server with --addr.";

/// Shows where the async tasks of a process are waiting.
#[derive(Debug, Parser)]
#[command(name = "tasktrace", bin_name = "tasktrace", version, after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print the output as JSON, and errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours
    ///
    /// `auto` uses colours if the output is a terminal and NO_COLOR is not set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(crate) color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the processes that can be attached to, or the tasks of one process
    ///
    /// Without a PID, prints one line for each process of this user that lets other programs attach.
    /// With a PID, prints the tasks of that process. Tasks that wait at the same place share a line,
    /// and the most urgent ones come first.
    Ps(Ps),
    /// Print all tasks and where they wait, as text, JSON or folded stacks
    Dump(Dump),
    /// Watch the tasks of a process on the terminal
    ///
    /// Keys: arrows or j/k move, Enter opens a task, Esc goes back, / filters, s sorts, Tab switches
    /// between groups and single tasks, p pauses, c switches between captures and snapshots, + and -
    /// change the interval, ? shows the keys, q quits.
    Top(Top),
    /// Draw a flamegraph (SVG) of where the tasks are
    Flame(Flame),
    /// Watch the tasks for some seconds, and add up the time that they wait at each place
    Profile(Profile),
    /// Read where the tasks of a process wait from its memory, or from a core file
    ///
    /// The process need not know of tasktrace, and is not stopped. Its executable needs debug info
    /// (debug = 2, as in dev builds).
    Inspect(crate::inspect::Inspect),
    /// Print a script that completes commands in a shell
    ///
    /// For bash: tasktrace completions bash > ~/.local/share/bash-completion/completions/tasktrace
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The process to inspect.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The ID of the process. It may be left out if only one process can be attached to
    #[arg(value_name = "PID", value_parser = pid(), conflicts_with = "addr")]
    pub(crate) process: Option<u32>,

    /// The ID of the process, as an option
    #[arg(long = "pid", value_name = "PID", value_parser = pid(), conflicts_with_all = ["process", "addr"])]
    pub(crate) pid: Option<u32>,

    /// A server: http://HOST:PORT[/PATH], or unix:/PATH/TO/SOCKET
    #[arg(long, value_name = "URL", env = "TASKTRACE_ADDR")]
    pub(crate) addr: Option<String>,

    /// The access token of the server (safer in the environment, where `ps` does not show it)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TASKTRACE_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// The longest time to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

impl Target {
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.or(self.pid)
    }
}

fn pid() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// The quantity that folded stacks and flamegraphs count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weight {
    /// The number of tasks
    #[default]
    Tasks,
    /// The time that tasks have been waiting
    Waited,
}

impl Weight {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Waited => "waited",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Ps {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Print one line for each task instead of each group
    #[arg(long)]
    pub(crate) each: bool,

    /// Do not poll the tasks: show only their live frames, without the lines of the `.await`s
    #[arg(long)]
    pub(crate) snapshot: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Print folded stacks: a line for each stack, for flamegraph tools
    #[arg(long, conflicts_with_all = ["json", "by_awaiter"])]
    pub(crate) folded: bool,

    /// Print each task below the task that awaits it
    #[arg(long, conflicts_with = "json")]
    pub(crate) by_awaiter: bool,

    /// The quantity that folded stacks count
    #[arg(
        long,
        requires = "folded",
        value_name = "WHAT",
        default_value = "tasks"
    )]
    pub(crate) weight: Weight,

    /// Do not poll the tasks: show only their live frames, without the lines of the `.await`s
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// Write the output to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The time between two dumps, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,

    /// Do not poll the tasks: show only their live frames, without the lines of the `.await`s
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// The order of the tasks
    #[arg(long, value_name = "WHAT", default_value = "urgency")]
    pub(crate) sort: Sort,

    /// Show only tasks with this text in their name, label, state or place
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) filter: String,

    /// With --json: stop after COUNT documents. Each document is one line
    #[arg(short = 'n', long, value_name = "COUNT", requires = "json")]
    pub(crate) count: Option<u64>,
}

/// The order of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Tasks that may have a problem first
    Urgency,
    /// Tasks that have waited longest first
    Waited,
    /// Groups with most tasks first
    Tasks,
    /// By name
    Name,
    /// By state
    State,
}

#[derive(Args, Debug)]
pub(crate) struct Flame {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The quantity that the width of a box shows
    #[arg(long, value_name = "WHAT", default_value = "tasks")]
    pub(crate) weight: Weight,

    /// Do not poll the tasks: show only their live frames, without the resources that they wait for
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// The output file; `-` is the standard output. The default on a terminal is tasktrace-PID.svg
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The time to watch, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// The time between two samples, in seconds. By default the process chooses it, so that samples
    /// cost at most a hundredth of a processor
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) every: Option<Duration>,

    /// Poll the tasks for each sample, to learn which resources they wait for
    ///
    /// Without this option only their live frames are read, which costs the tasks nothing.
    #[arg(long)]
    pub(crate) capture: bool,

    /// The output format. The default is text, or JSON with --json
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// The quantity that folded stacks and flamegraphs count
    #[arg(long, value_name = "WHAT", default_value = "waited")]
    pub(crate) weight: Weight,

    /// The output file; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The format of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text: the longest waits come first
    Text,
    /// A line for each stack
    Folded,
    /// A flamegraph
    Svg,
    /// The pprof format, for `go tool pprof` and other tools
    Pprof,
    /// JSON
    Json,
}

/// Parses a number of seconds, or a number with a unit.
fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, length)| Some((text.strip_suffix(unit)?, *length)))
        .unwrap_or((text, 1.0));
    let time = number.parse::<f64>().ok().map(|number| number * unit);
    let time = time.and_then(|time| Duration::try_from_secs_f64(time).ok());
    match time {
        Some(time) if time >= Duration::from_millis(1) && time <= MAX_DURATION => Ok(time),
        _ => Err("use a number of seconds, such as 2.5 or 500ms, of at most a day".to_owned()),
    }
}

/// The longest duration that an option accepts.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_accepts_the_definition_of_the_arguments() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_parsed_and_bounded() {
        for (text, millis) in [
            ("1", 1000),
            ("2.5", 2500),
            ("500ms", 500),
            ("2m", 120_000),
            ("10s", 10_000),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "-1", "1d", "nan", "inf", "1e300", "s", "25h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    fn parsed(arguments: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
        let arguments = ["tasktrace"].iter().chain(arguments);
        Cli::try_parse_from(arguments).map_err(|error| error.kind())
    }

    #[test]
    fn a_process_is_named_by_one_argument() {
        use clap::error::ErrorKind;
        for arguments in [&["dump", "1"][..], &["dump", "--pid", "1"]] {
            let Ok(Cli {
                command: Command::Dump(dump),
                ..
            }) = parsed(arguments)
            else {
                panic!("{arguments:?}");
            };
            assert_eq!(dump.target.process(), Some(1));
        }
        for arguments in [
            &["dump", "1", "--pid", "2"][..],
            &["dump", "1", "--addr", "http://localhost:1"],
            &["dump", "--folded", "--json"],
            &["dump", "--folded", "--by-awaiter"],
        ] {
            assert_eq!(
                parsed(arguments).err(),
                Some(ErrorKind::ArgumentConflict),
                "{arguments:?}"
            );
        }
        for arguments in [&["dump", "0"][..], &["dump", "-1"], &["dump", "shop"]] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_process_or_a_core_file_is_inspected() {
        for arguments in [
            &["inspect", "4711"][..],
            &["inspect", "4711", "--freeze", "--json"],
            &[
                "inspect",
                "core.4711",
                "--exe",
                "shop",
                "--debuginfo",
                "shop.debug",
            ],
        ] {
            let parsed = parsed(arguments).map(|cli| cli.command);
            assert!(matches!(parsed, Ok(Command::Inspect(_))), "{arguments:?}");
        }
        assert!(parsed(&["inspect"]).is_err());
        assert!(parsed(&["inspect", "4711", "--timeout", "1"]).is_err());
    }
}
