//! Inspects and builds tokens that are not parsed.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Returns a group like `group` around other tokens. Keeps the spans of the delimiters.
pub(crate) fn with_content(group: &Group, content: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), content);
    new.set_span(group.span());
    new
}

/// Removes the invisible delimiters that a `macro_rules!` macro puts around a fragment.
pub(crate) fn ungroup(tokens: TokenStream) -> TokenStream {
    let mut iter = tokens.clone().into_iter();
    match (iter.next(), iter.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => {
            ungroup(group.stream())
        }
        _ => tokens,
    }
}

/// Returns the token as a group, if it is a group in braces.
pub(crate) fn braces(token: TokenTree) -> Option<Group> {
    match ungroup(token.into()).into_iter().next() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

/// Returns `true` if the identifier is among the tokens, at any depth.
pub(crate) fn mentions(tokens: impl IntoIterator<Item = TokenTree>, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), name),
        token => is_ident(&token, name),
    })
}

pub(crate) fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

pub(crate) fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}
