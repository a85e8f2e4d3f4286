//! Traces as text: data in, [`fmt::Write`](std::fmt::Write) out. Nothing is captured or looked up.
#![forbid(unsafe_code)]

mod text;

use std::fmt;

use crate::trace::Trace;
use text::Style;

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = match f.alternate() {
            false => self.tidy(),
            true => self.full(),
        };
        text::write(tree, Style::Plain, f)
    }
}

impl Trace {
    /// As `{}`, coloured with ANSI escape sequences, for terminals.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// println!("{}", trace.ansi());
    /// # }
    /// # fn main() {}
    /// ```
    pub fn ansi(&self) -> impl fmt::Display + '_ {
        struct Ansi<'a>(&'a Trace);

        impl fmt::Display for Ansi<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write(self.0.tidy(), Style::Ansi, f)
            }
        }

        Ansi(self)
    }
}
