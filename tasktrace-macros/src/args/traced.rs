//! Parses the arguments of `#[traced]`:
//!
//! ```text
//! arguments = skip | [option {, option} ,] [label [, option {, option}]]
//! label     = "…" {, format argument}
//! option    = name = "…" | wait_limit = "duration" | crate = path
//! ```
//!
//! `stalled_after` is the former name of `wait_limit`, and is deprecated.
//!
//! The format arguments of a label stay tokens that only `format!` parses. So the compiler reports their errors, where
//! they are.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, LitStr, Path, Result, Token};

use super::{Duration, comma, is_last_token, key, path, peek_key, string};

const ACCEPTED: &str = "`#[traced]` accepts a label (`\"…\"`, and what `format!` accepts \
                        after it), `name = \"…\"`, `wait_limit = \"…\"`, \
                        `crate = path` and `skip`";
const NAME: &str = "`name` takes a string literal: `name = \"…\"`";
const EMPTY_NAME: &str = "`name` cannot be empty";
const EMPTY_LABEL: &str = "a label cannot be empty";
const WAIT_LIMIT: &str = "`wait_limit` takes a duration in a string literal: `wait_limit = \"5s\"`";
const STALLED_AFTER: &str = "`stalled_after` takes a duration in a string literal: \
                             `stalled_after = \"5s\"`";
const CRATE: &str = "`crate` takes the path of the `tasktrace` crate: `crate = path`";
const NAME_AND_LABEL: &str = "a label replaces the name: give only one of them";
const TWO_LABELS: &str = "a label is already given, and its arguments end at the first option";
const SKIP: &str = "`skip` leaves the item as it is, so it cannot be combined with other arguments";

/// The arguments of `#[traced]`.
#[derive(Default)]
pub(crate) struct TracedArgs {
    pub(crate) label: Option<Label>,
    /// The longest time that a call may wait.
    pub(crate) wait_limit: Option<WaitLimit>,
    /// The path of the `tasktrace` crate, if it is given.
    pub(crate) tasktrace: Option<Path>,
    /// The argument `skip`, if it is given: the function is not traced.
    pub(crate) skip: Option<Ident>,
}

/// The argument `wait_limit = "…"`, or its deprecated name.
pub(crate) struct WaitLimit {
    pub(crate) key: Ident,
    pub(crate) duration: Duration,
}

/// The text to show with the function.
pub(crate) enum Label {
    /// A text for all calls: `name = "…"`, or a label without format arguments.
    Name(LitStr),
    /// The arguments of `format!`.
    Format(TokenStream),
}

impl ToTokens for Label {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Name(name) => name.to_tokens(tokens),
            Self::Format(format) => format.to_tokens(tokens),
        }
    }
}

impl TracedArgs {
    /// Returns arguments without any argument but `crate = path`.
    pub(crate) fn of_crate(tasktrace: Option<Path>) -> Self {
        Self {
            tasktrace,
            ..Self::default()
        }
    }

    pub(crate) fn parse(args: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let mut written = TracedArgsParser::default();
            while !input.is_empty() {
                written.parse_one(input)?;
                comma(input)?;
            }
            written.check()
        };
        parser.parse2(args)
    }
}

/// Parses the arguments one by one.
#[derive(Default)]
struct TracedArgsParser {
    name: Option<LitStr>,
    label: Option<Label>,
    wait_limit: Option<WaitLimit>,
    tasktrace: Option<Path>,
    skip: Option<Ident>,
}

impl TracedArgsParser {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.peek(LitStr) {
            if self.label.is_some() {
                return Err(input.error(TWO_LABELS));
            }
            self.label = Some(label(input)?);
            return Ok(());
        }
        match peek_key(input).as_deref() {
            Some("name") => {
                if self.label.is_some() {
                    return Err(input.error(NAME_AND_LABEL));
                }
                key(input, self.name.is_some(), NAME)?;
                self.name = Some(name(input)?);
            }
            Some(name @ ("wait_limit" | "stalled_after")) => {
                let usage = match name {
                    "wait_limit" => WAIT_LIMIT,
                    _ => STALLED_AFTER,
                };
                let written = input.fork().call(Ident::parse_any)?;
                key(input, self.wait_limit.is_some(), usage)?;
                let duration = Duration::parse(string(input, usage)?)?;
                self.wait_limit = Some(WaitLimit {
                    key: written,
                    duration,
                });
            }
            Some("crate") => {
                key(input, self.tasktrace.is_some(), CRATE)?;
                self.tasktrace = Some(path(input, CRATE)?);
            }
            Some("skip") if is_last_token(input) => {
                self.skip = Some(input.call(Ident::parse_any)?);
            }
            _ => return Err(input.error(ACCEPTED)),
        }
        Ok(())
    }

    fn check(self) -> Result<TracedArgs> {
        let Self {
            name,
            label,
            wait_limit,
            tasktrace,
            skip,
        } = self;
        let label = match (name, label) {
            (Some(_), Some(label)) => return Err(Error::new_spanned(label, NAME_AND_LABEL)),
            (name, label) => name.map(Label::Name).or(label),
        };
        let any_other = label.is_some() || wait_limit.is_some() || tasktrace.is_some();
        match skip {
            Some(skip) if any_other => Err(Error::new_spanned(skip, SKIP)),
            skip => Ok(TracedArgs {
                label,
                wait_limit,
                tasktrace,
                skip,
            }),
        }
    }
}

fn name(input: ParseStream<'_>) -> Result<LitStr> {
    let name = string(input, NAME)?;
    if name.value().is_empty() {
        return Err(Error::new_spanned(name, EMPTY_NAME));
    }
    Ok(name)
}

/// Parses a literal and its format arguments.
fn label(input: ParseStream<'_>) -> Result<Label> {
    let literal: LitStr = input.parse()?;
    if literal.value().is_empty() {
        return Err(Error::new_spanned(literal, EMPTY_LABEL));
    }
    let args = format_args(input)?;
    if args.is_empty()
        && let Some(text) = unformatted(&literal.value())
    {
        let changed = text != literal.value();
        return Ok(Label::Name(if changed {
            LitStr::new(&text, literal.span())
        } else {
            literal
        }));
    }
    let mut format = literal.into_token_stream();
    format.append_all(args);
    Ok(Label::Format(format))
}

/// Parses the format arguments that follow a label, each after a comma, up to the first option. `name = "…"` is an
/// option, because a literal makes no sense as a format argument.
fn format_args(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut args = TokenStream::new();
    while input.peek(Token![,]) {
        let ahead = input.fork();
        ahead.parse::<Token![,]>()?;
        if ahead.is_empty() || is_option(&ahead) {
            break;
        }
        args.append(input.parse::<TokenTree>()?);
        while !input.is_empty() && !input.peek(Token![,]) {
            args.append(input.parse::<TokenTree>()?);
        }
    }
    Ok(args)
}

fn is_option(input: ParseStream<'_>) -> bool {
    match peek_key(input).as_deref() {
        // `wait_limit == 5` is a format argument.
        Some("crate" | "wait_limit" | "stalled_after") => {
            input.peek2(Token![=]) && !input.peek2(Token![==])
        }
        Some("name") => is_static_name(&input.fork()),
        _ => false,
    }
}

/// Returns `true` if the input is `name = "…"`.
fn is_static_name(input: ParseStream<'_>) -> bool {
    peek_key(input).as_deref() == Some("name")
        && key(input, false, NAME).is_ok()
        && is_last_token(input)
        && input.peek(LitStr)
}

/// Returns the text of a format string without placeholders, in which `{{` stands for a brace. Returns `None` if there
/// are placeholders, or if the string is not valid, which `format!` reports.
fn unformatted(format: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if matches!(char, '{' | '}') && chars.next() != Some(char) {
            return None;
        }
        text.push(char);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// Returns the name, the format and the crate.
    fn parsed(args: TokenStream) -> [Option<String>; 3] {
        let TracedArgs {
            label,
            wait_limit: _,
            tasktrace,
            skip,
        } = TracedArgs::parse(args).expect("they are accepted");
        assert_eq!(skip, None);
        let (name, format) = match label {
            Some(Label::Name(name)) => (Some(name.value()), None),
            Some(Label::Format(format)) => (None, Some(format.to_string())),
            None => (None, None),
        };
        let tasktrace = tasktrace.map(|path| path.into_token_stream().to_string());
        [name, format, tasktrace]
    }

    fn some(tokens: TokenStream) -> Option<String> {
        Some(tokens.to_string())
    }

    #[test]
    fn a_label_without_placeholders_is_a_name() {
        let name = |name: &str| [Some(name.to_owned()), None, None];
        assert_eq!(parsed(quote!("a")), name("a"));
        assert_eq!(parsed(quote!("a",)), name("a"));
        assert_eq!(parsed(quote!(name = "{a}")), name("{a}"));
        assert_eq!(parsed(quote!("{{a}} {{{{")), name("{a} {{"));
    }

    #[test]
    fn a_label_with_placeholders_keeps_its_format_arguments() {
        for format in [
            quote!("{a}"),
            quote!("{{{a}}}"),
            quote!("}"),
            quote!("a", b),
            quote!("{}", f::<A, B>(), c = |d, e| crate::g),
            quote!("{} {name}", crate::A, name = a.name),
            quote!("{crate_name}", crate_name = "a"),
            quote!("{}", wait_limit == b),
        ] {
            let expected = some(format.clone());
            assert_eq!(parsed(format), [None, expected, None]);
        }
    }

    #[test]
    fn options_stand_before_or_after_the_label() {
        let expected = [None, some(quote!("{}", a)), some(quote!(b::c))];
        assert_eq!(parsed(quote!("{}", a, crate = b::c)), expected);
        assert_eq!(parsed(quote!(crate = b::c, "{}", a,)), expected);
        let expected = [Some("a".to_owned()), None, some(quote!(crate::b))];
        assert_eq!(parsed(quote!("a", crate = crate::b,)), expected);
        assert_eq!(parsed(quote!(crate = crate::b, name = "a")), expected);
    }

    #[test]
    fn wait_limit() {
        let nanos = |args| {
            let args = TracedArgs::parse(args).expect("they are accepted");
            args.wait_limit.map(|limit| limit.duration.nanos)
        };
        assert_eq!(nanos(quote!()), None);
        for args in [
            quote!(stalled_after = "5ns"),
            quote!(wait_limit = "5ns"),
            quote!(stalled_after = "5ns", "{}", a, crate = b::c),
            quote!("{}", a, wait_limit = "5ns",),
            quote!("{}", a, crate = b, stalled_after = "5ns"),
            quote!(name = "a", wait_limit = "5ns"),
        ] {
            assert_eq!(nanos(args.clone()), Some(5), "{args}");
        }
        let expected = [None, some(quote!("{}", a)), some(quote!(b))];
        let args = quote!("{}", a, wait_limit = "5ns", crate = b);
        assert_eq!(parsed(args), expected);
    }
}
