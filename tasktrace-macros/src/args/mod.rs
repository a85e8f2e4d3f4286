//! Parses the arguments of the attributes.

mod duration;
mod entry;
mod signal;
mod traced;

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, LitStr, Path, Result, Token};

pub(crate) use duration::Duration;
pub(crate) use entry::{BlockOn, EntryArgs, Executor, Timeout, TokioArgs};
pub(crate) use traced::{Label, TracedArgs, WaitLimit};

/// Returns the next key without consuming it.
fn peek_key(input: ParseStream<'_>) -> Option<String> {
    let key = input.fork().call(Ident::parse_any).ok()?;
    Some(key.to_string())
}

/// Parses a key and the `=` that must follow it.
fn key(input: ParseStream<'_>, seen: bool, usage: &str) -> Result<Ident> {
    let key = input.call(Ident::parse_any)?;
    if seen {
        return Err(Error::new_spanned(&key, format!("`{key}` is given twice")));
    }
    match input.parse::<Token![=]>() {
        Ok(_) if !input.is_empty() => Ok(key),
        _ => Err(Error::new_spanned(&key, usage)),
    }
}

/// Parses a path, which may be in a string literal, as in tokio's attributes.
fn path(input: ParseStream<'_>, usage: &str) -> Result<Path> {
    let path = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        literal.parse()
    } else {
        input.parse()
    };
    path.map_err(|error| Error::new(error.span(), usage))
}

fn string(input: ParseStream<'_>, usage: &str) -> Result<LitStr> {
    input
        .parse()
        .map_err(|error: Error| Error::new(error.span(), usage))
}

/// Returns `true` if the next token is the last one of an argument.
fn is_last_token(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.parse::<TokenTree>().is_ok() && (ahead.is_empty() || ahead.peek(Token![,]))
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}
