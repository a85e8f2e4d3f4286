//! Runs `tasktrace dump`: prints all tasks as the process formats them, or as they are in its memory.

use std::path::PathBuf;

use crate::args;
use crate::failure::Failure;
use crate::fetch;
use crate::memory;
use crate::output::{Output, Paint, TextFormat, visible};
use crate::source::Source;

pub(crate) fn run(args: args::Dump, json: bool, paint: Paint) -> Result<(), Failure> {
    let server = match Source::new(&args.target)? {
        Source::Server(server) => server,
        Source::Memory(memory) if args.folded || args.by_awaiter => {
            return Err(memory.unsupported_format());
        }
        Source::Memory(memory) => {
            let report = memory.read()?;
            let (bytes, format) = match json {
                true => (memory::json(&report)?, TextFormat::Json),
                false => {
                    memory.tell();
                    (report.to_string().into_bytes(), TextFormat::Text)
                }
            };
            return print(bytes, format, args.output, paint);
        }
    };
    let capture = u8::from(!args.snapshot);
    let path = if json {
        format!("/dump.json?capture={capture}")
    } else if args.folded {
        format!(
            "/dump.folded?capture={capture}&weight={}",
            args.weight.word()
        )
    } else if args.by_awaiter {
        format!("/dump.txt?capture={capture}&by=awaiter")
    } else {
        format!("/dump.txt?capture={capture}")
    };
    let bytes = fetch::get(&server, &path)?;
    let format = match json {
        true => TextFormat::Json,
        false => TextFormat::Text,
    };
    // Folded stacks are for other programs.
    let paint = match args.folded {
        true => Paint::none(),
        false => paint,
    };
    print(bytes, format, args.output, paint)
}

/// Prints a document, and reports the file that it is written to.
fn print(
    mut bytes: Vec<u8>,
    format: TextFormat,
    file: Option<PathBuf>,
    paint: Paint,
) -> Result<(), Failure> {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let output = Output::new(file);
    let is_json = format == TextFormat::Json;
    if !is_json && output.is_terminal_output(paint) {
        let painted = painted(&String::from_utf8_lossy(&bytes), paint);
        return output.write(painted.as_bytes());
    }
    output.write_foreign(&bytes, format)?;
    output.tell(bytes.len(), is_json)
}

/// Highlights the problems in the text of a dump, and removes the characters that a terminal would obey.
fn painted(text: &str, paint: Paint) -> String {
    let mut painted = String::with_capacity(text.len());
    for line in text.lines().map(visible) {
        let line = line.as_str();
        let is_task =
            line.starts_with("task ") || line.contains(" tasks ") && !line.starts_with(' ');
        painted += &match line {
            line if line.starts_with("! ") => paint.red(line),
            line if is_task => paint.bold(line),
            line => line.to_owned(),
        };
        painted.push('\n');
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::When;

    #[test]
    fn problems_are_red_and_control_characters_are_replaced() {
        let text = "2 tasks: 2 suspended\n! task 2\n  ╼ \u{7}a\n";
        let paint = Paint::new(When::Always);
        assert_eq!(
            painted(text, paint),
            "2 tasks: 2 suspended\n\x1b[1;31m! task 2\x1b[0m\n  ╼ \u{fffd}a\n"
        );
    }
}
