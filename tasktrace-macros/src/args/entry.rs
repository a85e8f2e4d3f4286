//! Arguments of `#[tasktrace::main]` and `#[tasktrace::test]`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Error, LitStr, Path, Result, Token};

use super::{comma, key, path, peek_key};

const TASKTRACE: &str = "`tasktrace` takes the path of the `tasktrace` crate: `tasktrace = path`";
const BLOCK_ON: &str = "`block_on` takes the path of a function that runs a future: \
                        `block_on = path::to::fn`";
const BESIDE_BLOCK_ON: &str = "`block_on` replaces tokio, and only `tasktrace = path` goes with it";

/// Arguments of `#[tasktrace::main]` and `#[tasktrace::test]`.
pub(crate) struct EntryArgs {
    /// The runtime crate, where it is renamed.
    pub(crate) tasktrace: Option<Path>,
    pub(crate) executor: Executor,
}

/// What runs the function.
pub(crate) enum Executor {
    Tokio(TokioArgs),
    BlockOn(Path),
}

/// The arguments that are tokio's own: passed on to its attribute as they were written, so that
/// it is tokio that defines what they mean and what is wrong with them.
#[derive(Default)]
pub(crate) struct TokioArgs {
    /// Tokio, where it is renamed.
    pub(crate) krate: Option<Path>,
    pub(crate) tokens: TokenStream,
}

impl EntryArgs {
    pub(crate) fn parse(args: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let mut tasktrace = None;
            let mut block_on = None;
            let mut tokio = TokioArgs::default();
            while !input.is_empty() {
                match peek_key(input).as_deref() {
                    Some("tasktrace") => {
                        key(input, tasktrace.is_some(), TASKTRACE)?;
                        tasktrace = Some(path(input, TASKTRACE)?);
                        comma(input)?;
                    }
                    Some("block_on") => {
                        key(input, block_on.is_some(), BLOCK_ON)?;
                        block_on = Some(path(input, BLOCK_ON)?);
                        comma(input)?;
                    }
                    _ => tokio.parse_one(input)?,
                }
            }
            let executor = match block_on {
                None => Executor::Tokio(tokio),
                Some(path) if tokio.tokens.is_empty() => Executor::BlockOn(path),
                Some(_) => return Err(Error::new_spanned(tokio.tokens, BESIDE_BLOCK_ON)),
            };
            Ok(Self {
                tasktrace,
                executor,
            })
        };
        parser.parse2(args)
    }
}

impl TokioArgs {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if tokio_crate(&input.fork()).is_ok() {
            let (path, tokens) = tokio_crate(input)?;
            self.krate.get_or_insert(path);
            self.tokens.append_all(tokens);
        }
        while !input.is_empty() && !input.peek(Token![,]) {
            self.tokens.append(input.parse::<TokenTree>()?);
        }
        self.tokens.append_all(input.parse::<Option<Token![,]>>()?);
        Ok(())
    }
}

/// `crate = …`, and the same with the path in a string literal, which is the form tokio takes.
fn tokio_crate(input: ParseStream<'_>) -> Result<(Path, TokenStream)> {
    let key = input.parse::<Token![crate]>()?;
    let eq = input.parse::<Token![=]>()?;
    let (path, literal) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.parse_with(Path::parse_mod_style)?, literal)
    } else {
        let path = input.call(Path::parse_mod_style)?;
        let text = path.to_token_stream().to_string().replace(' ', "");
        let literal = LitStr::new(&text, path.span());
        (path, literal)
    };
    Ok((path, quote!(#key #eq #literal)))
}
