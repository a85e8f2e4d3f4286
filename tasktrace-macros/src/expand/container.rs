//! Expands `#[traced]` on an `impl` block, a trait or a module.
//!
//! Every async function in it that has a body is expanded like a function with the attribute, with the same
//! `crate = path`. A function that has its own attribute is left to it. Only `crate = path` is added to that attribute:
//!
//! ```text
//! #[traced(crate = path)]          impl Type {
//! impl Type {                          async fn f() { ::path::__private::frame(…).await }
//!     async fn f() { … }           →
//!     #[traced("label")]               #[traced(crate = path, "label")]
//!     async fn g() { … }               async fn g() { … }
//! }                                }
//! ```

use proc_macro2::TokenStream;
use quote::{ToTokens, TokenStreamExt, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Result, Signature, Token};

use super::traced::on_function;
use crate::args::TracedArgs;
use crate::item::Function;
use crate::items::{Item, ItemKind, Items};
use crate::tokens::mentions;
use crate::validate;

pub(super) fn traced(args: &TracedArgs, mut container: Item) -> Result<TokenStream> {
    validate::container(args, &container)?;
    let krate = args.tasktrace.as_ref();
    container.replace_content(|content| content_of(content, krate));
    Ok(container.into_token_stream())
}

fn content_of(content: TokenStream, krate: Option<&Path>) -> TokenStream {
    let mut expanded = TokenStream::new();
    for item in Items::new(content) {
        expanded.append_all(expanded_item(item, krate));
    }
    expanded
}

fn expanded_item(mut item: Item, krate: Option<&Path>) -> TokenStream {
    if let Some(at) = item.attrs.iter().position(|attr| is_traced(&attr.meta)) {
        if is_skip(&item.attrs[at]) {
            item.attrs.remove(at);
        } else if let Some(krate) = krate {
            pass_crate(&mut item.attrs[at].meta, krate);
        }
        return item.into_token_stream();
    }
    match item.kind {
        ItemKind::Function => {
            traced_function(&item, krate).unwrap_or_else(|| item.into_token_stream())
        }
        ItemKind::Container(_) => {
            item.replace_content(|content| content_of(content, krate));
            item.into_token_stream()
        }
        ItemKind::Statement | ItemKind::Other => item.into_token_stream(),
    }
}

/// Expands a function. Returns `None` if there is nothing to trace, or if the function cannot be parsed, which the
/// compiler reports.
fn traced_function(item: &Item, krate: Option<&Path>) -> Option<TokenStream> {
    let parsed = Function::parse(item.to_token_stream()).ok()?;
    let is_async = parsed.sig.asyncness.is_some() || was_async(&parsed.sig);
    if !is_async || parsed.attrs.iter().any(|attr| is_entry(attr, krate)) {
        return None;
    }
    on_function(&TracedArgs::of_crate(krate.cloned()), parsed).ok()
}

/// Returns `true` if `#[async_trait]` was expanded before. It turns an async fn into one that returns
/// `Pin<Box<dyn Future + 'async_trait>>`.
fn was_async(sig: &Signature) -> bool {
    mentions(sig.output.to_token_stream(), "async_trait")
}

/// Returns `true` for `#[traced]` with any path. This includes one in a `cfg_attr`, whose condition is not known here.
fn is_traced(meta: &Meta) -> bool {
    let path = meta.path();
    if path.is_ident("cfg_attr") {
        return mentions(meta.to_token_stream(), "traced");
    }
    path.segments
        .last()
        .is_some_and(|last| last.ident == "traced")
}

fn is_skip(attr: &Attribute) -> bool {
    let Meta::List(list) = &attr.meta else {
        return false;
    };
    TracedArgs::parse(list.tokens.clone()).is_ok_and(|args| args.skip.is_some())
}

/// Adds `crate = path` to an attribute without that argument, or to those in a `cfg_attr`.
fn pass_crate(meta: &mut Meta, krate: &Path) {
    let args = match meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            let metas = Punctuated::<Meta, Token![,]>::parse_terminated;
            if let Ok(mut metas) = list.parse_args_with(metas) {
                let attributes = metas.iter_mut().skip(1);
                attributes
                    .filter(|meta| is_traced(meta))
                    .for_each(|meta| pass_crate(meta, krate));
                list.tokens = metas.into_token_stream();
            }
            return;
        }
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(_) => return,
    };
    // An invalid argument is reported when that attribute is expanded.
    let accepts_crate = |args: TracedArgs| args.tasktrace.is_none() && args.skip.is_none();
    if TracedArgs::parse(args.clone()).is_ok_and(accepts_crate) {
        let path = meta.path();
        let args = if args.is_empty() {
            quote!(crate = #krate)
        } else {
            quote!(crate = #krate, #args)
        };
        *meta = Meta::List(syn::parse_quote!(#path(#args)));
    }
}

/// Returns `true` for `#[tasktrace::main]` and `#[tasktrace::test]`: the function is a task already.
fn is_entry(attr: &Attribute, krate: Option<&Path>) -> bool {
    let mut segments = attr.path().segments.iter().rev();
    let (Some(name), Some(of)) = (segments.next(), segments.next()) else {
        return false;
    };
    let renamed = krate.and_then(|path| path.segments.last());
    (name.ident == "main" || name.ident == "test")
        && (of.ident == "tasktrace" || renamed.is_some_and(|renamed| renamed.ident == of.ident))
}
