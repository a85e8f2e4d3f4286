//! Runs `tasktrace flame`: writes a flamegraph of the current tasks.

use crate::args;
use crate::failure::Failure;
use crate::fetch;
use crate::output::{Output, TextFormat};
use crate::server::Server;

pub(crate) fn run(args: args::Flame, json: bool) -> Result<(), Failure> {
    let server = Server::new(&args.target)?;
    let path = format!(
        "/dump.svg?capture={}&weight={}",
        u8::from(!args.snapshot),
        args.weight.word()
    );
    // The standard output is for JSON, so the flamegraph goes to a file.
    let output = match (args.output, json) {
        (None, true) => Output::File(server.file("svg").into()),
        (output, _) => Output::or_file(output, || server.file("svg")),
    };
    let bytes = fetch::get(&server, &path)?;
    output.write_foreign(&bytes, TextFormat::Text)?;
    output.tell(bytes.len(), json)
}
