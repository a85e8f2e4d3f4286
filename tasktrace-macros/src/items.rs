//! Splits the content of an `impl` block, a trait or a module into items.
//!
//! It only determines where an item ends, and if the item may contain functions. All tokens are passed on unchanged,
//! even those that the compiler does not accept.

use std::collections::VecDeque;

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::Attribute;
use syn::parse::Parser;

use crate::tokens::{braces, is_punct, with_content};

/// One item, which keeps all of its tokens.
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attribute>,
    /// The tokens after the attributes.
    tokens: Vec<TokenTree>,
    pub(crate) kind: ItemKind,
}

pub(crate) enum ItemKind {
    Function,
    /// An `impl` block, a trait or a module, by its keyword.
    Container(Ident),
    /// `const`, `static` or `use`: it ends at a semicolon, and may contain braces before that.
    Statement,
    Other,
}

/// Iterates over the items of a stream of tokens.
pub(crate) struct Items {
    tokens: VecDeque<TokenTree>,
}

impl Items {
    pub(crate) fn new(tokens: TokenStream) -> Self {
        Self {
            tokens: tokens.into_iter().collect(),
        }
    }

    /// Removes the invisible delimiters of an item that is a fragment of a `macro_rules!` macro. A smaller fragment at
    /// the beginning of an item, such as `$vis`, keeps them.
    fn ungroup(&mut self) {
        while let Some(TokenTree::Group(group)) = self.tokens.front()
            && group.delimiter() == Delimiter::None
            && is_item(group)
        {
            let content = group.stream();
            let after = self.tokens.split_off(1);
            self.tokens = content.into_iter().chain(after).collect();
        }
    }

    /// Removes and returns the outer attributes, `#[…]`.
    fn outer_attrs(&mut self) -> Vec<Attribute> {
        let is_attr = |at: &usize| self.is_punct(*at, '#') && self.is_group(at + 1);
        let count = (0..).step_by(2).take_while(is_attr).count();
        let tokens: TokenStream = self.tokens.iter().take(count * 2).cloned().collect();
        match Attribute::parse_outer.parse2(tokens) {
            Ok(attrs) => {
                self.tokens.drain(..count * 2);
                attrs
            }
            Err(_) => Vec::new(),
        }
    }

    /// Removes and returns an inner attribute, `#![…]`.
    fn inner_attr(&mut self) -> Option<Vec<TokenTree>> {
        let is_attr = self.is_punct(0, '#') && self.is_punct(1, '!') && self.is_group(2);
        is_attr.then(|| self.tokens.drain(..3).collect())
    }

    fn is_punct(&self, at: usize, char: char) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| is_punct(token, char))
    }

    fn is_group(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), Some(TokenTree::Group(_)))
    }
}

/// Returns `true` if the content ends like an item.
fn is_item(content: &Group) -> bool {
    match content.stream().into_iter().last() {
        Some(TokenTree::Group(inner)) => {
            inner.delimiter() == Delimiter::Brace
                || (inner.delimiter() == Delimiter::None && is_item(&inner))
        }
        Some(token) => is_punct(&token, ';'),
        None => false,
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if let Some(tokens) = self.inner_attr() {
            return Some(Item::other(tokens));
        }
        let mut attrs = Vec::new();
        loop {
            self.ungroup();
            let more = self.outer_attrs();
            if more.is_empty() {
                break;
            }
            attrs.extend(more);
        }
        let kind = ItemKind::of(&self.tokens);
        let end = kind.end(&self.tokens);
        let tokens: Vec<TokenTree> = self.tokens.drain(..end).collect();
        (!attrs.is_empty() || !tokens.is_empty()).then_some(Item {
            attrs,
            tokens,
            kind,
        })
    }
}

impl Item {
    fn other(tokens: Vec<TokenTree>) -> Self {
        Self {
            attrs: Vec::new(),
            tokens,
            kind: ItemKind::Other,
        }
    }

    /// Returns `true` if the item ends with braces.
    pub(crate) fn has_content(&self) -> bool {
        self.tokens.last().cloned().and_then(braces).is_some()
    }

    /// Replaces the content of the braces at the end of the item, if there are any.
    pub(crate) fn replace_content(&mut self, content: impl FnOnce(TokenStream) -> TokenStream) {
        if let Some(last) = self.tokens.last_mut()
            && let Some(group) = braces(last.clone())
        {
            *last = with_content(&group, content(group.stream())).into();
        }
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        tokens.append_all(&self.tokens);
    }
}

impl ItemKind {
    /// Determines the kind by the first keyword that is not a modifier.
    fn of(tokens: &VecDeque<TokenTree>) -> Self {
        let mut is_const = false;
        for token in tokens {
            let ident = match token {
                TokenTree::Ident(ident) => ident,
                // These tokens are part of the modifiers: an ABI, `(in path)` after `pub`, or a fragment of a macro.
                TokenTree::Literal(_) => continue,
                TokenTree::Group(group) if group.delimiter() != Delimiter::Brace => continue,
                TokenTree::Group(_) | TokenTree::Punct(_) => break,
            };
            match ident.to_string().as_str() {
                "fn" => return Self::Function,
                "impl" | "trait" | "mod" => return Self::Container(ident.clone()),
                "static" | "use" => return Self::Statement,
                "const" => is_const = true,
                "pub" | "default" | "async" | "unsafe" | "safe" | "extern" | "auto" => {}
                _ => break,
            }
        }
        if is_const {
            Self::Statement
        } else {
            Self::Other
        }
    }

    /// Returns the number of tokens of the first item.
    ///
    /// An item ends with a semicolon or with its body. Braces inside `<…>` are a generic argument, and not the body.
    fn end(&self, tokens: &VecDeque<TokenTree>) -> usize {
        let mut angles = 0_usize;
        let mut before_arrow = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Punct(punct) => match punct.as_char() {
                    ';' => return at + 1,
                    '<' => angles += 1,
                    '>' if !before_arrow => angles = angles.saturating_sub(1),
                    _ => {}
                },
                TokenTree::Group(group)
                    if angles == 0
                        && !matches!(self, Self::Statement)
                        && braces(group.clone().into()).is_some() =>
                {
                    return at + 1;
                }
                _ => {}
            }
            before_arrow = matches!(token, TokenTree::Punct(punct)
                if matches!(punct.as_char(), '-' | '=') && punct.spacing() == Spacing::Joint);
        }
        tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn tokens(source: &str) -> TokenStream {
        source.parse().expect("it is made of tokens")
    }

    /// Returns the kinds of the items, and checks that the items contain all tokens.
    fn kinds(source: &str) -> Vec<String> {
        let items: Vec<Item> = Items::new(tokens(source)).collect();
        assert_eq!(quote!(#(#items)*).to_string(), tokens(source).to_string());
        let kind = |item: Item| match item.kind {
            ItemKind::Function => "fn".to_owned(),
            ItemKind::Container(keyword) => keyword.to_string(),
            ItemKind::Statement => "statement".to_owned(),
            ItemKind::Other => "other".to_owned(),
        };
        items.into_iter().map(kind).collect()
    }

    /// Checks that a text is one item, even if another item follows.
    fn assert_one(item: &str, kind: &str) {
        assert_eq!(kinds(item), [kind], "{item}");
        let two = format!("{item} fn next() {{}}");
        assert_eq!(kinds(&two), [kind, "fn"], "{two}");
    }

    #[test]
    fn functions_are_items_of_their_own() {
        assert_one("fn f() {}", "fn");
        assert_one(
            "#[a] /** b */ pub(in c::d) async fn f(&self) -> u32 { 1 }",
            "fn",
        );
        assert_one(
            "default const unsafe extern \"C\" fn f() where (): {}",
            "fn",
        );
        assert_one(
            "async fn f() -> A<{ 1 + 1 }, fn() -> B> where [(); { 2 }]: {}",
            "fn",
        );
        assert_one("fn f<T: Fn(u32) -> A<A<T>>>(self);", "fn");
        assert_one("extern fn f() {}", "fn");
    }

    #[test]
    fn impl_blocks_traits_and_modules_are_containers() {
        assert_one("impl<const N: usize> A<{ N }> for B<N> {}", "impl");
        assert_one("#[a] unsafe impl !A for B {}", "impl");
        assert_one("pub unsafe auto trait A: B where C: D {}", "trait");
        assert_one("pub mod m { mod n; }", "mod");
        assert_one("mod m;", "mod");
    }

    /// These items contain the keyword of another item, or braces before their end.
    #[test]
    fn keywords_inside_other_items_do_not_split_them() {
        assert_one("struct S { f: fn() }", "other");
        assert_one("struct S<const N: usize = { 1 }>(fn());", "other");
        assert_one("enum E { F }", "other");
        assert_one("union U { f: fn() }", "other");
        assert_one("type F = fn(A<{ 1 }>) -> B;", "other");
        assert_one("extern \"C\" { fn f(); }", "other");
        assert_one("extern crate a as b;", "other");
        assert_one("macro_rules! m { () => { fn f() {} } }", "other");
        assert_one("a::m! { fn f() {} }", "other");
        assert_one("m!(fn f() {});", "other");
        assert_one("#![a]", "other");
        assert_one("nonsense;", "other");
        assert_one("const A: fn() -> u32 = { || { 1 } };", "statement");
        assert_one("pub static A: bool = B < { C };", "statement");
        assert_one("use a::{b, c};", "statement");
        assert_one("const _: () = {};", "statement");
    }

    /// Incomplete items keep all their tokens.
    #[test]
    fn incomplete_items_keep_their_tokens() {
        let sources = [
            "",
            "#",
            "#[a]",
            "pub",
            "async fn",
            "fn f()",
            "impl A<B",
            "impl A<B { fn f() {} }",
            "const",
            "const A: = { fn f() {} }",
            "-> => < > ;;",
        ];
        for source in sources {
            kinds(source);
        }
        assert_eq!(kinds("async fn f(a: ) { let } fn g() {}"), ["fn", "fn"]);
    }

    /// Fragments of a macro are a whole item, or the beginning of one.
    #[test]
    fn macro_fragments_are_part_of_items() {
        let group = |content| TokenTree::from(Group::new(Delimiter::None, content));
        let item = group(group(tokens("#[b] fn f() {}")).into());
        let vis = group(tokens("pub"));
        let body = group(tokens("{ 1 }"));
        let items: Vec<_> = Items::new(quote!(#[a] #item #vis fn g() #body mod m {})).collect();
        let [first, second, third] = &items[..] else {
            panic!("three items");
        };
        assert_eq!(first.attrs.len(), 2);
        assert!(matches!(first.kind, ItemKind::Function));
        assert!(matches!(second.kind, ItemKind::Function));
        assert!(matches!(third.kind, ItemKind::Container(_)));
    }
}
