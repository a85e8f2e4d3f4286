//! Runs `tasktrace dump`: prints all tasks as the process formats them.

use crate::args;
use crate::failure::Failure;
use crate::fetch;
use crate::output::{Output, Paint, TextFormat, visible};
use crate::server::Server;

pub(crate) fn run(args: args::Dump, json: bool, paint: Paint) -> Result<(), Failure> {
    let server = Server::new(&args.target)?;
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
    let mut bytes = fetch::get(&server, &path)?;
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let output = Output::new(args.output);
    let is_text = !json && !args.folded;
    if is_text && output.is_terminal_output(paint) {
        let painted = painted(&String::from_utf8_lossy(&bytes), paint);
        return output.write(painted.as_bytes());
    }
    output.write_foreign(
        &bytes,
        if json {
            TextFormat::Json
        } else {
            TextFormat::Text
        },
    )?;
    output.tell(bytes.len(), json)
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
