//! Functions whose future is an `async` block of their own: written so by hand, or by an
//! attribute that was expanded first.
//!
//! The block is found among the tokens of the body, in one of these places:
//!
//! ```text
//! fn f() -> impl Future<Output = T> { …; async move { … } }
//! fn f() -> Pin<Box<dyn Future<Output = T>>> { …; Box::pin(async move { … }) }  // async-trait
//! fn f() -> T { let body = async { … }; … block_on(body) }            // tokio's main and test
//! ```
//!
//! What is in the block is replaced, and the block stays where it was: an attribute that is
//! expanded later looks for it in the same place.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::item::with_content;

/// `async { … }` or `async move { … }`.
pub(crate) struct AsyncBlock {
    pub(crate) capture: Option<Ident>,
    pub(crate) block: Group,
}

type Content<'a> = &'a dyn Fn(AsyncBlock) -> TokenStream;

/// `body` with the content of its async block replaced. `None` where there is no such block.
pub(crate) fn replace(body: &TokenStream, content: Content<'_>) -> Option<TokenStream> {
    let mut tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    let found = replace_returned(&mut tokens, content) || replace_run(&mut tokens, content);
    found.then(|| tokens.into_iter().collect())
}

/// Whether the body already runs its future to the end, as tokio's `main` and `test` do.
pub(crate) fn is_run(body: &TokenStream) -> bool {
    let mut tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    replace_run(&mut tokens, &|_| TokenStream::new())
}

/// The block, boxed or not, is the last expression of the body.
fn replace_returned(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
    if replace_last(tokens, content) {
        return true;
    }
    let Some((TokenTree::Group(arguments), before)) = tokens.split_last_mut() else {
        return false;
    };
    let Some(path) = strip_path(before, &["Box", "pin"]) else {
        return false;
    };
    let mut argument: Vec<TokenTree> = arguments.stream().into_iter().collect();
    let found = arguments.delimiter() == Delimiter::Parenthesis
        && is_statement_start(path)
        && replace_last(&mut argument, content);
    if found {
        *arguments = with_content(arguments, argument.into_iter().collect());
    }
    found
}

/// The body, or a block in it, begins with `let body = async …;` and names `block_on` later.
fn replace_run(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
    if let [first, second, third, rest @ ..] = &mut *tokens
        && is_ident(first, "let")
        && is_ident(second, "body")
        && is_punct(third, '=')
        && let Some(end) = rest.iter().position(|token| is_punct(token, ';'))
        && mentions(&rest[end..], "block_on")
        && replace_last(&mut rest[..end], content)
    {
        return true;
    }
    tokens.iter_mut().any(|token| {
        let TokenTree::Group(group) = token else {
            return false;
        };
        let mut inner: Vec<TokenTree> = group.stream().into_iter().collect();
        let found = replace_run(&mut inner, content);
        if found {
            *group = with_content(group, inner.into_iter().collect());
        }
        found
    })
}

/// The block is the last statement, and the whole of it.
fn replace_last(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
    let Some((TokenTree::Group(block), before)) = tokens.split_last_mut() else {
        return false;
    };
    let (before, capture) = match &*before {
        [before @ .., TokenTree::Ident(ident)] if ident == "move" => (before, Some(ident.clone())),
        before => (before, None),
    };
    let [before @ .., keyword] = before else {
        return false;
    };
    let found = block.delimiter() == Delimiter::Brace
        && is_ident(keyword, "async")
        && is_statement_start(before);
    if found {
        let inner = AsyncBlock {
            capture,
            block: block.clone(),
        };
        *block = with_content(block, content(inner));
    }
    found
}

/// Whether what follows `before` is a statement of its own, not a part of one.
fn is_statement_start(before: &[TokenTree]) -> bool {
    match before.last() {
        None => true,
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(token) => is_punct(token, ';'),
    }
}

/// What is before a path that ends in `segments`.
fn strip_path<'a>(mut tokens: &'a [TokenTree], segments: &[&str]) -> Option<&'a [TokenTree]> {
    for segment in segments.iter().rev() {
        let (last, before) = tokens.split_last()?;
        tokens = is_ident(last, segment).then_some(before)?;
        tokens = strip_colons(tokens).unwrap_or(tokens);
    }
    while let [before @ .., TokenTree::Ident(_)] = tokens {
        tokens = strip_colons(before).unwrap_or(before);
    }
    Some(tokens)
}

fn strip_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [before @ .., first, second] if is_punct(first, ':') && is_punct(second, ':') => {
            Some(before)
        }
        _ => None,
    }
}

fn mentions(tokens: &[TokenTree], name: &str) -> bool {
    tokens.iter().any(|token| match token {
        TokenTree::Group(group) => mentions(&group.stream().into_iter().collect::<Vec<_>>(), name),
        token => is_ident(token, name),
    })
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}
