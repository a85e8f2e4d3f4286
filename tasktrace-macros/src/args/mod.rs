//! The grammar of the attributes' arguments.

mod entry;
mod traced;

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, LitStr, Path, Result, Token};

pub(crate) use entry::{EntryArgs, Executor};
pub(crate) use traced::{Label, TracedArgs};

fn peek_key(input: ParseStream<'_>) -> Option<String> {
    let key = input.fork().call(Ident::parse_any).ok()?;
    Some(key.to_string())
}

/// The key and the `=` after it.
fn key(input: ParseStream<'_>, seen: bool, usage: &str) -> Result<()> {
    let key = input.call(Ident::parse_any)?;
    if seen {
        return Err(Error::new_spanned(&key, format!("`{key}` is given twice")));
    }
    match input.parse::<Token![=]>() {
        Ok(_) if !input.is_empty() => Ok(()),
        _ => Err(Error::new_spanned(&key, usage)),
    }
}

/// A path, or one in a string literal as tokio's attributes take it.
fn path(input: ParseStream<'_>, usage: &str) -> Result<Path> {
    let path = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        literal.parse()
    } else {
        input.parse()
    };
    path.map_err(|error| Error::new(error.span(), usage))
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}
