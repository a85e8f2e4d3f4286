//! Arguments of `#[traced]`.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{Error, LitStr, Path, Result};

use super::{comma, key, path, peek_key};

const ACCEPTED: &str = "`#[traced]` accepts the arguments `name = \"…\"` and `crate = path`";
const NAME: &str = "`name` takes a string literal: `name = \"…\"`";
const EMPTY_NAME: &str = "`name` cannot be empty";
const CRATE: &str = "`crate` takes the path of the `tasktrace` crate: `crate = path`";

/// Arguments of `#[traced]`.
#[derive(Default)]
pub(crate) struct TracedArgs {
    pub(crate) name: Option<LitStr>,
    /// The runtime crate, where it is renamed.
    pub(crate) tasktrace: Option<Path>,
}

impl TracedArgs {
    pub(crate) fn parse(args: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let mut args = Self::default();
            while !input.is_empty() {
                args.parse_one(input)?;
                comma(input)?;
            }
            Ok(args)
        };
        parser.parse2(args)
    }

    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        match peek_key(input).as_deref() {
            Some("name") => {
                key(input, self.name.is_some(), NAME)?;
                self.name = Some(name(input)?);
            }
            Some("crate") => {
                key(input, self.tasktrace.is_some(), CRATE)?;
                self.tasktrace = Some(path(input, CRATE)?);
            }
            _ => return Err(input.error(ACCEPTED)),
        }
        Ok(())
    }
}

fn name(input: ParseStream<'_>) -> Result<LitStr> {
    let name: LitStr = input
        .parse()
        .map_err(|error| Error::new(error.span(), NAME))?;
    if name.value().is_empty() {
        return Err(Error::new_spanned(name, EMPTY_NAME));
    }
    Ok(name)
}
