//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed for another reason
  2  the command is wrong, or there are several processes and none is named
  3  there is no such process
  4  no permission: it belongs to another user, or the token is wrong
  5  the process is not instrumented, or lets nobody attach
  6  no answer: nobody listens there, or not in time";

const EXAMPLES: &str = "\
Examples:
  tasktrace ps                                 the processes that can be asked
  tasktrace dump                               all tasks of the only one
  tasktrace top 4711                           watch process 4711
  tasktrace profile 4711 -s 30 -f svg -o w.svg where 30 seconds are waited
  tasktrace dump --addr http://127.0.0.1:6670  a process that serves HTTP
  tasktrace inspect 4711                       a process that does not know of tasktrace

A process can be asked if it has the feature `attach` of tasktrace, and #[tasktrace::main(attach)],
the environment variable TASKTRACE_ATTACH=1 or a call of tasktrace::attach(). Or name its HTTP
server with --addr.";

/// Shows where the async tasks of a process are waiting.
#[derive(Debug, Parser)]
#[command(name = "tasktrace", bin_name = "tasktrace", version, after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print what is asked for as JSON, and an error as well
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Whether to use colours
    ///
    /// `auto` does if the output is a terminal and NO_COLOR is not set.
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
    /// List the processes that can be asked, or the tasks of one
    ///
    /// Without a process, one line for each process of this user that can be attached to. With one, its
    /// tasks: those that wait at the same place are one line, the most urgent first.
    Ps(Ps),
    /// Print all tasks and where they wait, as text, JSON or folded stacks
    Dump(Dump),
    /// Watch the tasks of a process on the terminal
    ///
    /// Keys: arrows or j/k move, Enter opens a task, Esc goes back, / filters, s sorts, Tab shows each
    /// task or groups, p pauses, c asks the tasks or only looks at them, + and - change how often, ?
    /// helps, q quits.
    Top(Top),
    /// Draw a flamegraph (SVG) of where the tasks are
    Flame(Flame),
    /// Watch for some seconds, and add up where time is waited
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
        /// Which shell
        shell: Shell,
    },
}

/// Which process.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The process, by its number. If there is one that can be asked, it need not be named
    #[arg(value_name = "PID", value_parser = pid(), conflicts_with = "addr")]
    pub(crate) process: Option<u32>,

    /// The process, as an option
    #[arg(long = "pid", value_name = "PID", value_parser = pid(), conflicts_with_all = ["process", "addr"])]
    pub(crate) pid: Option<u32>,

    /// A server: http://HOST:PORT[/PATH], or unix:/PATH/TO/SOCKET
    #[arg(long, value_name = "URL", env = "TASKTRACE_ADDR")]
    pub(crate) addr: Option<String>,

    /// What the server wants to be told (better in the environment, where `ps` does not show it)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TASKTRACE_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// How long to wait for an answer, in seconds
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

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weight {
    /// How many tasks are there
    #[default]
    Tasks,
    /// For how long they have been waiting
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

    /// One line for each task instead of each group
    #[arg(long)]
    pub(crate) each: bool,

    /// Do not ask the tasks: show their live frames, without the lines of the `.await`s
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

    /// Print who waits for whom
    #[arg(long, conflicts_with = "json")]
    pub(crate) by_awaiter: bool,

    /// What folded stacks count
    #[arg(
        long,
        requires = "folded",
        value_name = "WHAT",
        default_value = "tasks"
    )]
    pub(crate) weight: Weight,

    /// Do not ask the tasks: show their live frames, without the lines of the `.await`s
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) target: Target,

    /// How often to look, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,

    /// Do not ask the tasks: show their live frames, without the lines of the `.await`s
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// What comes first
    #[arg(long, value_name = "WHAT", default_value = "urgency")]
    pub(crate) sort: Sort,

    /// Show only what has this in its name, label, state or place
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) filter: String,

    /// With --json: end after so many documents, one a line
    #[arg(short = 'n', long, value_name = "COUNT", requires = "json")]
    pub(crate) count: Option<u64>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// What may be wrong
    Urgency,
    /// Who waits for longest
    Waited,
    /// The groups with most tasks
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

    /// What the width of a box counts
    #[arg(long, value_name = "WHAT", default_value = "tasks")]
    pub(crate) weight: Weight,

    /// Do not ask the tasks: show their live frames, without what they wait for
    #[arg(long)]
    pub(crate) snapshot: bool,

    /// The file; `-` is the standard output. By default tasktrace-PID.svg on a terminal
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) target: Target,

    /// For how long to watch
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// How often to look, in seconds. By default the process decides, and it looks less often
    /// rather than spend more than a hundredth of a processor
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) every: Option<Duration>,

    /// Have the tasks polled at each look, so that it is known what they wait for
    ///
    /// Otherwise their live frames are read, which costs them nothing.
    #[arg(long)]
    pub(crate) capture: bool,

    /// What to write. By default text, or JSON with --json
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// What folded stacks and flamegraphs count
    #[arg(long, value_name = "WHAT", default_value = "waited")]
    pub(crate) weight: Weight,

    /// The file; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What a profile is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For readers: the longest waits first
    Text,
    /// A line for each stack
    Folded,
    /// A flamegraph
    Svg,
    /// For `go tool pprof` and others that read its format
    Pprof,
    /// For machines
    Json,
}

/// A number of seconds, or a number with a unit.
fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, length)| Some((text.strip_suffix(unit)?, *length)))
        .unwrap_or((text, 1.0));
    let time = number.parse::<f64>().ok().map(|number| number * unit);
    let time = time.and_then(|time| Duration::try_from_secs_f64(time).ok());
    match time {
        Some(time) if time >= Duration::from_millis(1) && time <= DAY => Ok(time),
        _ => Err("use a number of seconds, such as 2.5 or 500ms, of at most a day".to_owned()),
    }
}

/// Longer than anybody waits.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
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
    fn a_process_is_named_once() {
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
