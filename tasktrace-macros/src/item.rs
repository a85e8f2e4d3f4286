//! Parses the function that an attribute is applied to.
//!
//! The body stays a stream of tokens, which is passed on unchanged. So this accepts every body that the compiler
//! accepts, and a half-written body in an editor still expands.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Result, Signature, Token, Visibility};

use crate::tokens::{braces, ungroup, with_content};

/// A function with a body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    defaultness: Option<Ident>,
    pub(crate) sig: Signature,
    pub(crate) body: Body,
}

/// The braces of a function and their content.
pub(crate) struct Body {
    braces: Group,
    /// The attributes at the top of the body. They apply to the function, so they stay at its top.
    inner_attrs: Vec<Attribute>,
    pub(crate) tokens: TokenStream,
}

/// An item that is not a function with a body.
pub(crate) enum NotAFunction {
    /// A function of a trait without a default body.
    NoBody(Token![fn]),
    /// An item of another kind, with its keyword.
    Other(Ident),
    /// Tokens that cannot be parsed.
    Invalid(Error),
}

impl Function {
    pub(crate) fn parse(item: TokenStream) -> std::result::Result<Self, NotAFunction> {
        let mut tokens: Vec<TokenTree> = ungroup(item).into_iter().collect();
        let last = tokens.pop();
        let head: TokenStream = tokens.into_iter().collect();
        let head = match Head::parse.parse2(head.clone()) {
            Ok(head) => head,
            Err(error) => {
                return Err(match keyword.parse2(head) {
                    Ok(keyword) => NotAFunction::Other(keyword),
                    Err(_) => NotAFunction::Invalid(error),
                });
            }
        };
        let Some(body) = last.and_then(braces) else {
            return Err(NotAFunction::NoBody(head.sig.fn_token));
        };
        Ok(Self {
            attrs: head.attrs,
            vis: head.vis,
            defaultness: head.defaultness,
            sig: head.sig,
            body: Body::parse(body).map_err(NotAFunction::Invalid)?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.defaultness.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl Body {
    fn parse(braces: Group) -> Result<Self> {
        let parser = |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, input.parse()?));
        let (inner_attrs, tokens) = parser.parse2(braces.stream())?;
        Ok(Self {
            braces,
            inner_attrs,
            tokens,
        })
    }

    /// Returns the braces of the body around other tokens.
    pub(crate) fn braces(&self, content: TokenStream) -> Group {
        with_content(&self.braces, content)
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let mut content = TokenStream::new();
        content.append_all(&self.inner_attrs);
        self.tokens.to_tokens(&mut content);
        with_content(&self.braces, content).to_tokens(tokens);
    }
}

/// The part of a function before its body.
struct Head {
    attrs: Vec<Attribute>,
    vis: Visibility,
    defaultness: Option<Ident>,
    sig: Signature,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let defaultness = input
            .peek(Token![default])
            .then(|| input.call(Ident::parse_any))
            .transpose()?;
        Ok(Self {
            attrs,
            vis,
            defaultness,
            sig: input.parse()?,
        })
    }
}

/// Returns the keyword that determines the kind of an item.
fn keyword(input: ParseStream<'_>) -> Result<Ident> {
    const KINDS: [&str; 12] = [
        "const",
        "enum",
        "extern",
        "impl",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "use",
    ];
    input.call(Attribute::parse_outer)?;
    input.parse::<Visibility>()?;
    loop {
        let ident = input.call(Ident::parse_any)?;
        if KINDS.iter().any(|kind| ident == kind) {
            // The rest is of no interest.
            input.parse::<TokenStream>()?;
            return Ok(ident);
        }
    }
}
