//! Functions whose future is an `async` block of their own: written so by hand, or by an
//! attribute that was expanded first.
//!
//! The block is found among the tokens of the body, in one of these places:
//!
//! ```text
//! fn f() -> impl Future<Output = T> { …; async move { … } }
//! fn f() -> Pin<Box<dyn Future<Output = T>>> { …; Box::pin(async move { … }) }  // async-trait
//! fn f() -> T { let body = async { … }; … block_on(body) }            // tokio's main and test
//! fn f() -> T { …; rt.block_on(async move { … }) }                    // actix, compio, smol, ntex, …
//! ```
//!
//! A function that declares an `async fn` and runs that, as `#[sqlx::test]` leaves it, has the inner
//! function in the place of the block: see [`inner_function`].
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

/// `body` with the content of the async block replaced that it returns or runs. `None` where there is no
/// such block.
pub(crate) fn replace(body: &TokenStream, content: Content<'_>) -> Option<TokenStream> {
    let returned = replace_in_returned(body, content);
    returned.or_else(|| {
        let mut tokens: Vec<TokenTree> = body.clone().into_iter().collect();
        replace_run(&mut tokens, content).then(|| tokens.into_iter().collect())
    })
}

/// The same for a body that returns a future, so that what it runs is something else.
pub(crate) fn replace_in_returned(body: &TokenStream, content: Content<'_>) -> Option<TokenStream> {
    let mut tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    replace_returned(&mut tokens, content).then(|| tokens.into_iter().collect())
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

/// The body runs one async block to its end.
fn replace_run(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
    // Where it runs several, none of them is the function.
    replace_body(tokens, content)
        || count_arguments(tokens) == 1 && replace_argument(tokens, content)
}

/// The body, or a block in it, begins with `let body = async …;` and names `block_on` later.
fn replace_body(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
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
        replace_in(group, |inner| replace_body(inner, content))
    })
}

/// How many async blocks the tokens run.
fn count_arguments(tokens: &[TokenTree]) -> usize {
    let count = std::cell::Cell::new(0);
    let mut copy = tokens.to_vec();
    visit_run(&mut copy, &|_, _| {
        count.set(count.get() + 1);
        false
    });
    count.get()
}

/// Replaces the content of the first async block that the tokens run.
fn replace_argument(tokens: &mut [TokenTree], content: Content<'_>) -> bool {
    visit_run(tokens, &|block, range| {
        replace_last(&mut block[range], content)
    })
}

/// Calls `visit` for each async block that is run, with the tokens that it is among and its place
/// there, until it returns `true`: for `runs(async { … })`, and for `let a = async { … };` before
/// `runs(… a …)`.
fn visit_run(
    tokens: &mut [TokenTree],
    visit: &dyn Fn(&mut [TokenTree], std::ops::Range<usize>) -> bool,
) -> bool {
    for at in 0..tokens.len() {
        if let Some(range) = let_async(&tokens[at..])
            && runs_variable(&tokens[at + range.end..], &tokens[at + 1])
            && visit(tokens, at + range.start..at + range.end)
        {
            return true;
        }
        if is_inner_function(tokens, at) || is_async_block(tokens, at) {
            continue;
        }
        let is_run = at > 0 && is_runner(&tokens[at - 1]);
        let TokenTree::Group(group) = &mut tokens[at] else {
            continue;
        };
        let is_arguments = is_run && group.delimiter() == Delimiter::Parenthesis;
        let found = replace_in(group, |inner| {
            let found = is_arguments
                && arguments(inner)
                    .into_iter()
                    .any(|range| is_async(&inner[range.clone()]) && visit(inner, range));
            found || visit_run(inner, visit)
        });
        if found {
            return true;
        }
    }
    false
}

/// Returns `true` if a function of this name runs a future to its end.
fn is_runner(name: &TokenTree) -> bool {
    let TokenTree::Ident(name) = name else {
        return false;
    };
    let name = name.to_string();
    name.contains("block_on")
        || name == "run"
        || name.starts_with("run_")
        || name == "async_main"
        || name == "async_test"
}

/// Where the block is in `let a = async { … };`, if the tokens begin with that.
fn let_async(tokens: &[TokenTree]) -> Option<std::ops::Range<usize>> {
    let [keyword, TokenTree::Ident(_), equals, ..] = tokens else {
        return None;
    };
    if !is_ident(keyword, "let") || !is_punct(equals, '=') {
        return None;
    }
    let end = tokens.iter().position(|token| is_punct(token, ';'))?;
    is_async(&tokens[3..end]).then_some(3..end)
}

/// Returns `true` if the tokens, or a group among them, have a call that runs a variable.
fn runs_variable(tokens: &[TokenTree], variable: &TokenTree) -> bool {
    tokens.windows(2).any(|two| match two {
        [runner, TokenTree::Group(arguments)] if is_runner(runner) => {
            mentions(arguments.stream(), &variable.to_string())
        }
        _ => false,
    }) || tokens.iter().any(|token| match token {
        TokenTree::Group(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            runs_variable(&inner, variable)
        }
        _ => false,
    })
}

/// The ranges between commas.
fn arguments(tokens: &[TokenTree]) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if is_punct(token, ',') {
            ranges.push(start..at);
            start = at + 1;
        }
    }
    ranges.push(start..tokens.len());
    ranges
}

/// Returns `true` if the tokens are an async block and nothing else.
fn is_async(tokens: &[TokenTree]) -> bool {
    let block = match tokens {
        [keyword, block] if is_ident(keyword, "async") => block,
        [keyword, capture, block] if is_ident(keyword, "async") && is_ident(capture, "move") => {
            block
        }
        _ => return false,
    };
    matches!(block, TokenTree::Group(block) if block.delimiter() == Delimiter::Brace)
}

/// Returns `true` if the token is the braces of an async block.
fn is_async_block(tokens: &[TokenTree], at: usize) -> bool {
    (2..=3).any(|length| at + 1 >= length && is_async(&tokens[at + 1 - length..=at]))
}

/// Returns `true` if the token is in a function that the tokens declare, from its `fn` to its body.
fn is_inner_function(tokens: &[TokenTree], at: usize) -> bool {
    let keyword = tokens[..at].iter().rposition(|token| is_ident(token, "fn"));
    keyword.is_some_and(|keyword| !tokens[keyword..at].iter().any(ends_item))
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    }
}

/// Where in the body the one `async fn` is that it declares and runs: of the name of the function
/// itself, or of one that is named in a call that runs it.
pub(crate) fn inner_function(body: &[TokenTree], name: &Ident) -> Option<std::ops::Range<usize>> {
    let is_start = |at: &usize| match &body[*at..] {
        [keyword, function, TokenTree::Ident(_), ..] => {
            is_ident(keyword, "async") && is_ident(function, "fn")
        }
        _ => false,
    };
    let mut starts = (0..body.len()).filter(is_start);
    let (Some(start), None) = (starts.next(), starts.next()) else {
        return None;
    };
    let inner = &body[start + 2];
    let end = start + 1 + body[start..].iter().position(ends_item)?;
    (is_ident(inner, &name.to_string()) || runs_variable(&body[end..], inner)).then_some(start..end)
}

/// Replaces the content of a group, if `replace` has found what to replace in it.
fn replace_in(group: &mut Group, replace: impl FnOnce(&mut [TokenTree]) -> bool) -> bool {
    let mut inner: Vec<TokenTree> = group.stream().into_iter().collect();
    let found = replace(&mut inner);
    if found {
        *group = with_content(group, inner.into_iter().collect());
    }
    found
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

    /// As the attributes of other runtimes leave it.
    #[test]
    fn blocks_that_are_run_at_once_are_replaced() {
        assert_replaced(
            quote!(<actix::System>::new().block_on(async move { old })),
            quote!(<actix::System>::new().block_on(async move { new move })),
        );
        assert_replaced(
            quote!(init(); return ::sqlx::test_block_on(async { old });),
            quote!(init(); return ::sqlx::test_block_on(async { new });),
        );
        assert_replaced(
            quote!(<E>::with_main(|ex| {
                block_on(ex.run(async move { old }))
            })),
            quote!(<E>::with_main(|ex| { block_on(ex.run(async move { new move })) })),
        );
        assert_replaced(
            quote!(::rocket::async_main(async move { old })),
            quote!(::rocket::async_main(async move { new move })),
        );
        assert_replaced(
            quote!(block_on(&set, async { old },)),
            quote!(block_on(&set, async { new },)),
        );
        assert_replaced(
            quote!(a(); let work = async move { old }; let r = b().block_on(work); c(); r),
            quote!(a(); let work = async move { new move }; let r = b().block_on(work); c(); r),
        );
        assert_replaced(
            quote!(fn inner() {} if a { b } block_on(async { old })),
            quote!(fn inner() {} if a { b } block_on(async { new })),
        );
    }

    #[test]
    fn inner_functions() {
        let found = |body: TokenStream| {
            let body: Vec<TokenTree> = body.into_iter().collect();
            let range = inner_function(&body, &quote::format_ident!("f"))?;
            Some(
                body[range]
                    .iter()
                    .cloned()
                    .collect::<TokenStream>()
                    .to_string(),
            )
        };
        let inner = quote!(
            async fn f(a: A) -> B {
                old
            }
        );
        let same = inner.to_string();
        assert_eq!(
            found(quote!(#inner let g: fn(_) -> _ = f; test(g))),
            Some(same.clone())
        );
        assert_eq!(found(quote!(a(); #inner)), Some(same));
        let inner = quote!(
            async fn g() {
                old
            }
        );
        assert_eq!(found(quote!(#inner block_on(g()))), Some(inner.to_string()));
        assert_eq!(found(quote!(#inner spawn(g()))), None);
        assert_eq!(found(quote!(#inner async fn h() {} block_on(g()))), None);
        assert_eq!(found(quote!(block_on(async { old }))), None);
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
            quote!(let other = async { old }; block_on(another)),
            quote!(spawn(async { old })),
            quote!(block_on(spawn(async { old }))),
            quote!(block_on(async { old }.boxed())),
            quote!(block_on(|| async { old })),
            quote!(block_on(async { old }); block_on(async { old })),
            quote!(
                fn inner() {
                    block_on(async { old })
                }
            ),
            quote!(spawn(async { block_on(async { old }) })),
            quote!(let body = first(async { old }); block_on(body)),
        ];
        for body in bodies {
            assert_eq!(replaced(body.clone()), None, "{body}");
        }
    }
}
