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

use crate::tokens::{is_ident, is_punct, mentions, with_content};

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
    let Some(before) = strip_box_pin(before) else {
        return false;
    };
    let mut argument: Vec<TokenTree> = arguments.stream().into_iter().collect();
    let found = arguments.delimiter() == Delimiter::Parenthesis
        && is_statement_start(before)
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
        && mentions(rest[end..].iter().cloned(), "block_on")
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

/// What is before a path to `Box::pin`, if that is what `tokens` ends with.
fn strip_box_pin(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let in_path = |token: &TokenTree| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':');
    let before = tokens.iter().rposition(|token| !in_path(token));
    let (before, path) = tokens.split_at(before.map_or(0, |last| last + 1));
    let path: String = path.iter().map(TokenTree::to_string).collect();
    (path == "Box::pin" || path.ends_with("::Box::pin")).then_some(before)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// Replaces the content of the block with `new`.
    fn replaced(body: TokenStream) -> Option<String> {
        let replaced = replace(&body, &|inner| {
            let AsyncBlock { capture, block } = inner;
            assert_eq!(block.stream().to_string(), "old");
            quote!(new #capture)
        });
        replaced.map(|tokens| tokens.to_string())
    }

    fn assert_replaced(body: TokenStream, expected: TokenStream) {
        assert_eq!(replaced(body), Some(expected.to_string()));
    }

    #[test]
    fn returned() {
        assert_replaced(quote!(async { old }), quote!(async { new }));
        assert_replaced(
            quote!(first(); async move { old }),
            quote!(first(); async move { new move }),
        );
        assert_replaced(
            quote!(if first {} async { old }),
            quote!(if first {} async { new }),
        );
    }

    #[test]
    fn boxed() {
        assert_replaced(
            quote!(first(); Box::pin(async move { old })),
            quote!(first(); Box::pin(async move { new move })),
        );
        assert_replaced(
            quote!(::std::boxed::Box::pin(async { old })),
            quote!(::std::boxed::Box::pin(async { new })),
        );
    }

    #[test]
    fn run() {
        assert_replaced(
            quote!(let body = async { old }; return runtime().block_on(body);),
            quote!(let body = async { new }; return runtime().block_on(body);),
        );
        // As `#[tracing::instrument]` leaves it.
        assert_replaced(
            quote!(enter(); match (move || { let body = async { old }; block_on(body) })() {}),
            quote!(enter(); match (move || { let body = async { new }; block_on(body) })() {}),
        );
        // As `#[tasktrace::test]` leaves it.
        assert_replaced(
            quote!(let _a = { &B }; ({ let body = async { old }; block_on(body) })),
            quote!(let _a = { &B }; ({ let body = async { new }; block_on(body) })),
        );
    }

    #[test]
    fn something_else() {
        let bodies = [
            quote!(),
            quote!({}),
            quote!(1),
            quote!(|| async { old }),
            quote!(let _ = async { old };),
            quote!(first(async { old })),
            quote!(first(Box::pin(async { old }))),
            quote!(NotBox::pin(async { old })),
            quote!(Box::new(async { old })),
            quote!(Box::pin(first, async { old })),
            quote!(Box::pin[async { old }]),
            quote!(async { old }.boxed()),
            quote!(unsafe { old }),
            quote!(async),
            quote!(async move),
            quote!(let body = async { old }; drop(body);),
            quote!(let other = async { old }; block_on(other)),
            quote!(let body = first(async { old }); block_on(body)),
        ];
        for body in bodies {
            assert_eq!(replaced(body.clone()), None, "{body}");
        }
    }
}
