//! Parses the arguments of `#[tasktrace::main]` and `#[tasktrace::test]`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprField, LitStr, Member, Path, Result, Token};

use super::{Duration, comma, is_last_token, key, path, peek_key, signal, string};

const TASKTRACE: &str = "`tasktrace` takes the path of the `tasktrace` crate: `tasktrace = path`";
const BLOCK_ON: &str = "`block_on` takes the path of a function that runs a future, or a method of a value: \
                        `block_on = path::to::fn`, `block_on = Runtime::new().block_on`";
const BESIDE_BLOCK_ON: &str =
    "`block_on` replaces tokio, so it cannot be combined with tokio's arguments";
const TIMEOUT: &str = "`timeout` takes a duration in a string literal, or `\"none\"`: \
                       `timeout = \"30s\"`";
const DUMP_ON_SIGNAL: &str = "`dump_on_signal` takes no value, or the name of a signal in a string literal: \
                              `dump_on_signal = \"SIGUSR1\"`";
const ATTACH: &str = "`attach` takes no value";

/// The arguments of `#[tasktrace::main]` and `#[tasktrace::test]`.
pub(crate) struct EntryArgs {
    /// The path of the `tasktrace` crate, if it is given.
    pub(crate) tasktrace: Option<Path>,
    pub(crate) executor: Executor,
    pub(crate) timeout: Option<Timeout>,
    /// The signal for dumps. The literal is empty if no signal is named.
    pub(crate) dump_on_signal: Option<LitStr>,
    /// The argument `attach`, if it is given.
    pub(crate) attach: Option<Ident>,
}

/// The time limit of a test.
pub(crate) struct Timeout {
    pub(crate) key: Ident,
    /// The limit in nanoseconds, or `None` if there is no limit.
    pub(crate) nanos: Option<u64>,
}

/// The executor that runs the function.
pub(crate) enum Executor {
    Tokio(TokioArgs),
    BlockOn(BlockOn),
}

/// The value of the argument `block_on`.
pub(crate) enum BlockOn {
    /// `block_on = path::to::fn`
    Function(Path),
    /// `block_on = Runtime::new().block_on`
    Method(ExprField),
}

/// The arguments of tokio's attribute. They are passed on as they were written, so tokio defines their meaning and
/// reports their errors.
#[derive(Default)]
pub(crate) struct TokioArgs {
    /// The path of tokio, if it is given.
    pub(crate) krate: Option<Path>,
    pub(crate) tokens: TokenStream,
}

impl EntryArgs {
    pub(crate) fn parse(args: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let mut written = EntryArgsParser::default();
            while !input.is_empty() {
                written.parse_one(input)?;
            }
            written.check()
        };
        parser.parse2(args)
    }
}

/// Parses the arguments one by one.
#[derive(Default)]
struct EntryArgsParser {
    tasktrace: Option<Path>,
    block_on: Option<BlockOn>,
    timeout: Option<Timeout>,
    dump_on_signal: Option<LitStr>,
    attach: Option<Ident>,
    tokio: TokioArgs,
}

impl EntryArgsParser {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        match peek_key(input).as_deref() {
            Some("tasktrace") => {
                key(input, self.tasktrace.is_some(), TASKTRACE)?;
                self.tasktrace = Some(path(input, TASKTRACE)?);
            }
            Some("block_on") => {
                key(input, self.block_on.is_some(), BLOCK_ON)?;
                self.block_on = Some(block_on(input)?);
            }
            Some("timeout") => {
                let key = key(input, self.timeout.is_some(), TIMEOUT)?;
                let nanos = nanos(input)?;
                self.timeout = Some(Timeout { key, nanos });
            }
            Some("dump_on_signal") => {
                let signal = dump_on_signal(input, self.dump_on_signal.is_some())?;
                self.dump_on_signal = Some(signal);
            }
            Some("attach") => {
                let key = input.call(Ident::parse_any)?;
                if self.attach.is_some() {
                    return Err(Error::new_spanned(&key, "`attach` is given twice"));
                }
                if !input.is_empty() && !input.peek(Token![,]) {
                    return Err(Error::new_spanned(&key, ATTACH));
                }
                self.attach = Some(key);
            }
            Some(other) => {
                if let Some(suggestion) = suggestion(other) {
                    let key = input.call(Ident::parse_any)?;
                    let message = format!("there is no argument `{key}`: is `{suggestion}` meant?");
                    return Err(Error::new_spanned(&key, message));
                }
                return self.tokio.parse_one(input);
            }
            None => return self.tokio.parse_one(input),
        }
        comma(input)
    }

    fn check(self) -> Result<EntryArgs> {
        let executor = match self.block_on {
            None => Executor::Tokio(self.tokio),
            Some(block_on) if self.tokio.tokens.is_empty() => Executor::BlockOn(block_on),
            Some(_) => return Err(Error::new_spanned(self.tokio.tokens, BESIDE_BLOCK_ON)),
        };
        Ok(EntryArgs {
            tasktrace: self.tasktrace,
            executor,
            timeout: self.timeout,
            dump_on_signal: self.dump_on_signal,
            attach: self.attach,
        })
    }
}

/// Returns the argument of tasktrace that is similar to an unknown name. Without this hint, tokio would report the name
/// and list only its own arguments.
fn suggestion(name: &str) -> Option<&'static str> {
    const OWN_ARGUMENTS: [&str; 5] = [
        "attach",
        "block_on",
        "dump_on_signal",
        "tasktrace",
        "timeout",
    ];
    let is_near = |ours: &&str| {
        let is_begun = name.len() >= 4 && ours.starts_with(name);
        is_begun || distance(name, ours) <= 2
    };
    OWN_ARGUMENTS.into_iter().find(is_near)
}

/// Returns the number of letters to insert, delete or replace to turn one word into the other (the Levenshtein
/// distance).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

/// Parses the value of `block_on`.
fn block_on(input: ParseStream<'_>) -> Result<BlockOn> {
    if input.peek(LitStr) {
        return path(input, BLOCK_ON).map(BlockOn::Function);
    }
    let mut value: Expr = input
        .parse()
        .map_err(|error| Error::new(error.span(), BLOCK_ON))?;
    // An expression or a path that is the argument of a macro.
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    match value {
        Expr::Path(function) if function.qself.is_none() => Ok(BlockOn::Function(function.path)),
        Expr::Field(method) if matches!(method.member, Member::Named(_)) => {
            Ok(BlockOn::Method(method))
        }
        other => Err(Error::new_spanned(other, BLOCK_ON)),
    }
}

/// Parses the value of `timeout`, and returns nanoseconds, or `None` for `"none"`.
fn nanos(input: ParseStream<'_>) -> Result<Option<u64>> {
    let literal = string(input, TIMEOUT)?;
    if literal.value() == "none" {
        return Ok(None);
    }
    match Duration::parse(literal) {
        Ok(duration) => Ok(Some(duration.nanos)),
        Err(error) => Err(Error::new(
            error.span(),
            format!("{error}; `none` means no limit"),
        )),
    }
}

/// Parses `dump_on_signal`, alone or with the name of a signal.
fn dump_on_signal(input: ParseStream<'_>, seen: bool) -> Result<LitStr> {
    if is_last_token(input) && !seen {
        let key = input.call(Ident::parse_any)?;
        return Ok(LitStr::new("", key.span()));
    }
    key(input, seen, DUMP_ON_SIGNAL)?;
    signal::parse(string(input, DUMP_ON_SIGNAL)?)
}

impl TokioArgs {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if tokio_crate(&input.fork()).is_ok() {
            let (path, tokens) = tokio_crate(input)?;
            self.krate.get_or_insert(path);
            self.tokens.append_all(tokens);
        }
        while !input.is_empty() && !input.peek(Token![,]) {
            self.tokens.append(input.parse::<TokenTree>()?);
        }
        self.tokens.append_all(input.parse::<Option<Token![,]>>()?);
        Ok(())
    }
}

/// Parses `crate = …` and returns the path, and the tokens for tokio, which accepts the path only in a string literal.
fn tokio_crate(input: ParseStream<'_>) -> Result<(Path, TokenStream)> {
    let key = input.parse::<Token![crate]>()?;
    let eq = input.parse::<Token![=]>()?;
    let (path, literal) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.parse_with(Path::parse_mod_style)?, literal)
    } else {
        let path = input.call(Path::parse_mod_style)?;
        let text = path.to_token_stream().to_string().replace(' ', "");
        let literal = LitStr::new(&text, path.span());
        (path, literal)
    };
    Ok((path, quote!(#key #eq #literal)))
}

#[cfg(test)]
mod tests {
    use proc_macro2::{Delimiter, Group};

    use super::*;

    /// Returns the timeout, the signal and the arguments of tokio.
    fn parsed(args: TokenStream) -> (Option<Option<u64>>, Option<String>, String) {
        let args = EntryArgs::parse(args).expect("they are accepted");
        let Executor::Tokio(tokio) = args.executor else {
            panic!("nothing else is named");
        };
        (
            args.timeout.map(|timeout| timeout.nanos),
            args.dump_on_signal.map(|signal| signal.value()),
            tokio.tokens.to_string(),
        )
    }

    #[test]
    fn timeouts_are_parsed() {
        let timeout = |args| parsed(args).0;
        assert_eq!(timeout(quote!()), None);
        assert_eq!(timeout(quote!(timeout = "none")), Some(None));
        assert_eq!(timeout(quote!(timeout = "5ns",)), Some(Some(5)));
    }

    #[test]
    fn block_on_takes_a_path_or_a_method_also_from_a_macro() {
        let shown = |value: TokenStream| {
            let args = EntryArgs::parse(quote!(block_on = #value, timeout = "5ns")).ok()?;
            match args.executor {
                Executor::BlockOn(BlockOn::Function(path)) => {
                    Some(quote!(function #path).to_string())
                }
                Executor::BlockOn(BlockOn::Method(method)) => {
                    Some(quote!(method #method).to_string())
                }
                Executor::Tokio(_) => None,
            }
        };
        let path = quote!(a::b);
        let method = quote!(a::new().b);
        // A macro passes on its fragments in invisible delimiters.
        let fragment = |tokens| TokenTree::from(Group::new(Delimiter::None, tokens));
        let receiver = fragment(quote!(a::new()));
        let receiver = quote!(#receiver.b);
        assert!(syn::parse2::<Path>(fragment(path.clone()).into()).is_ok());
        for (value, expected) in [
            (path.clone(), Some("function a :: b")),
            (quote!("a::b"), Some("function a :: b")),
            (method.clone(), Some("method a :: new () . b")),
            (fragment(path.clone()).into(), Some("function a :: b")),
            (
                fragment(fragment(method).into()).into(),
                Some("method a :: new () . b"),
            ),
            (receiver, Some("method a :: new () . b")),
            (quote!(a::b()), None),
            (fragment(quote!(a::b())).into(), None),
            (quote!(a.0), None),
        ] {
            assert_eq!(shown(value.clone()).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn signals_are_parsed_with_and_without_a_name() {
        let signal = |args| parsed(args).1;
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(signal(quote!()), None);
        assert_eq!(signal(quote!(dump_on_signal)), some(""));
        assert_eq!(signal(quote!(dump_on_signal,)), some(""));
        assert_eq!(signal(quote!(dump_on_signal = "usr2")), some("SIGUSR2"));
    }

    #[test]
    fn arguments_of_tasktrace_may_stand_among_those_of_tokio() {
        let args = quote!(
            a = 1,
            timeout = "1us",
            b,
            dump_on_signal,
            c = "2",
            attach,
            tasktrace = d
        );
        let written = EntryArgs::parse(args.clone()).expect("they are accepted");
        assert!(written.attach.is_some());
        let tokio = quote!(a = 1, b, c = "2",).to_string();
        assert_eq!(parsed(args), (Some(Some(1000)), Some(String::new()), tokio));
    }

    #[test]
    fn a_misspelt_argument_is_reported_with_the_similar_one() {
        for (written, is_meant) in [
            ("timout", Some("timeout")),
            ("atach", Some("attach")),
            ("dump_on_sig", Some("dump_on_signal")),
            ("block_o", Some("block_on")),
            ("name", None),
            ("flavor", None),
            ("crate", None),
            ("worker_threads", None),
            ("start_paused", None),
            ("unhandled_panic", None),
        ] {
            assert_eq!(suggestion(written), is_meant, "{written}");
        }
        let error = EntryArgs::parse(quote!(flavor = "multi_thread", timout = "30s"));
        let error = error.map(drop).unwrap_err().to_string();
        assert_eq!(error, "there is no argument `timout`: is `timeout` meant?");
    }
}
