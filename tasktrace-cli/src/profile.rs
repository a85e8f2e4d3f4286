//! Runs `tasktrace profile`: adds up where tasks wait over some time.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{self, Format};
use crate::failure::Failure;
use crate::fetch;
use crate::output::{Output, TextFormat};
use crate::server::Server;

pub(crate) fn run(args: args::Profile, json: bool) -> Result<(), Failure> {
    let server = Server::new(&args.target)?;
    let default_format = if json { Format::Json } else { Format::Text };
    let format = args.format.unwrap_or(default_format);
    let extension = match format {
        Format::Text => "txt",
        Format::Folded => "folded",
        Format::Svg => "svg",
        Format::Pprof => "pb.gz",
        Format::Json => "json",
    };
    let is_text = matches!(format, Format::Text | Format::Folded | Format::Json);
    let output = match args.output {
        output if is_text => Output::new(output),
        None if json => Output::File(server.file(extension).into()),
        output => Output::or_file(output, || server.file(extension)),
    };
    let mut path = format!(
        "/profile.{extension}?seconds={}&capture={}",
        args.seconds.as_secs_f64(),
        u8::from(args.capture)
    );
    if let Some(every) = args.every {
        path += &format!("&every={}", every.as_secs_f64());
    }
    if matches!(format, Format::Folded | Format::Svg) {
        path += &format!("&weight={}", args.weight.word());
    }
    let bar = Progress::new(args.seconds, io::stderr().is_terminal());
    let answer = fetch::get_after(&server, &path, args.seconds, || bar.tick());
    bar.clear();
    let mut bytes = answer?;
    if is_text && !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let form = match format {
        Format::Json => TextFormat::Json,
        _ => TextFormat::Text,
    };
    output.write_foreign(&bytes, form)?;
    output.tell(bytes.len(), json)
}

/// A progress bar, which shows the part of the time that is over.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    fn new(time: Duration, is_terminal: bool) -> Self {
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(millis), target);
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3}%");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.set_message("watching");
        Self {
            bar,
            begun: Instant::now(),
        }
    }

    fn tick(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let length = self.bar.length().unwrap_or(millis);
        if millis >= length {
            self.bar.set_message("reading");
        }
        self.bar.set_position(millis.min(length));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
