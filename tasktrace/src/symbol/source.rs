//! Names of functions, read from their source.
//!
//! With `debug = "line-tables-only"` an async function that was inlined is called
//! `{async_fn#0}`: its file and line are right, but nothing in the binary says its name. Where the
//! file is at hand, [`function_at`] finds the function around that line.
//!
//! A name is put together from where the file lies in its package and from the items around the
//! line. It reads like the symbol would, once generics are left out. What the one file cannot tell
//! is taken at its likeliest:
//!
//! - a type lives in the module of its `impl`, unless the `impl` spells out another path;
//! - a module is the file of its name: `#[path]` and `include!` are not followed;
//! - what is shared between the crates in `tests` (or `examples`, …) is named after its own folder;
//! - the source is still the one that was compiled.

pub(super) mod package;
#[cfg(test)]
mod tests;
mod tokens;

use std::fs;
use std::io;
use std::iter::Peekable;
use std::mem;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::tokens::{Token, Tokens};
use crate::os;
use crate::sync::Map;

/// Nobody writes a longer file by hand.
const MAX_BYTES: u64 = 2 << 20;

/// Files we remember. Names are kept by address elsewhere, so forgetting one costs little.
const MAX_FILES: usize = 64;

/// What is known of each file, `None` where there is nothing to know.
static FILES: Map<PathBuf, Option<Arc<File>>> = Map::new();

/// The path of the function whose body contains `line` of `file`, e.g.
/// `krate::module::Type::method`. A closure or an async block belongs to the function around it.
///
/// Reads the file, so this is not for an executor's thread. A relative path is not looked for: the
/// directory it was relative to is that of the compiler, not ours.
///
/// # Errors
///
/// If it could not be read for want of something that there may be more of later, such as file descriptors.
pub(crate) fn function_at(file: &Path, line: u32) -> io::Result<Option<String>> {
    if !file.is_absolute() {
        return Ok(None);
    }
    let contents = known_or_read(file, File::read)?;
    Ok(contents.and_then(|contents| contents.function_at(line)))
}

/// Returns a file from memory, or reads it with `read`, and remembers it, also that there is nothing to know.
fn known_or_read(
    file: &Path,
    read: impl FnOnce(&Path) -> io::Result<Option<File>>,
) -> io::Result<Option<Arc<File>>> {
    if let Some(known) = FILES.get(file) {
        return Ok(known);
    }
    let contents = match read(file) {
        Err(error) if os::program::is_passing(&error) => return Err(error),
        contents => contents.ok().flatten().map(Arc::new),
    };
    // Another thread has read the same.
    let _ = FILES.insert_among(MAX_FILES, file.to_owned(), contents.clone());
    Ok(contents)
}

fn read(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    // Opening anything but a regular file might block.
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::read_to_string(file)
}

/// A source file, as far as names go.
struct File {
    /// The crate, and the modules down to this file.
    module: Vec<String>,
    items: Vec<Item>,
}

impl File {
    fn read(file: &Path) -> io::Result<Option<Self>> {
        let Some(module) = package::module_of(file)? else {
            return Ok(None);
        };
        let items = scan(&read(file)?);
        Ok(Some(Self { module, items }))
    }

    fn function_at(&self, line: u32) -> Option<String> {
        // The last to begin is the innermost.
        let found = self
            .items
            .iter()
            .rfind(|item| item.is_function && item.lines.contains(&line));
        let mut names = Vec::new();
        let mut item = Some(found?);
        while let Some(Item { name, parent, .. }) = item {
            names.push(name.as_str());
            item = parent.map(|parent| &self.items[parent]);
        }

        let mut path: Vec<&str> = self.module.iter().map(String::as_str).collect();
        for name in names.iter().rev().flat_map(|name| name.split("::")) {
            match name {
                "crate" => path.truncate(1),
                "super" if path.len() > 1 => drop(path.pop()),
                "super" | "self" | "" => {}
                name => path.push(name),
            }
        }
        Some(path.join("::"))
    }
}

/// An item with a body in which functions may be.
#[derive(Debug)]
struct Item {
    /// Its own name; of an `impl`, the path of the type as written there.
    name: String,
    /// The item around it, by its place in the list.
    parent: Option<usize>,
    /// From its first attribute, where code that a macro wrote may claim to be, to its last brace.
    lines: RangeInclusive<u32>,
    is_function: bool,
}

/// The modules, traits, `impl`s and functions with a body, in the order in which they begin.
///
/// This follows braces and a few keywords, and takes everything else, attributes and macro calls
/// too, for tokens: macros such as `cfg_rt! { … }` hold items like any other. It does not recurse,
/// takes linear time, and finds what it can in a source that does not compile.
fn scan(source: &str) -> Vec<Item> {
    let mut tokens = Tokens::of(source).peekable();
    let mut items: Vec<Item> = Vec::new();
    // The braces that are open: the item of which each is the body, if it is one.
    let mut braces: Vec<Option<usize>> = Vec::new();
    let mut parent = None;
    // The line of the first token behind the last brace or semicolon: where an item began.
    let mut began = None;
    while let Some((token, line)) = tokens.next() {
        let first = *began.get_or_insert(line);
        match token {
            Token::Word("macro_rules") => skip_macro_rules(&mut tokens),
            Token::Word(keyword @ ("fn" | "impl" | "mod" | "trait")) => {
                // `fn(u8)` is a type. An `impl` may go on with anything.
                let is_item =
                    keyword == "impl" || matches!(tokens.peek(), Some((Token::Word(_), _)));
                if is_item && let Some(name) = header(&mut tokens, keyword == "impl") {
                    braces.push(Some(items.len()));
                    items.push(Item {
                        name,
                        parent,
                        lines: first..=u32::MAX,
                        is_function: keyword == "fn",
                    });
                    parent = Some(items.len() - 1);
                    began = None;
                }
            }
            Token::Punct(b'{') => {
                braces.push(None);
                began = None;
            }
            Token::Punct(b'}') => {
                if let Some(item) = braces.pop().flatten() {
                    items[item].lines = *items[item].lines.start()..=line;
                    parent = items[item].parent;
                }
                began = None;
            }
            Token::Punct(b';') => began = None,
            _ => {}
        }
    }
    items
}

/// Skips the rules of `macro_rules!`: the functions in them are named where the macro is called.
fn skip_macro_rules(tokens: &mut Peekable<Tokens<'_>>) {
    if tokens
        .next_if(|(token, _)| *token == Token::Punct(b'!'))
        .is_none()
    {
        return;
    }
    let mut depth = 0_usize;
    for (token, _) in tokens {
        match token {
            Token::Punct(b'(' | b'[' | b'{') => depth += 1,
            Token::Punct(b')' | b']' | b'}') if depth <= 1 => return,
            Token::Punct(b')' | b']' | b'}') => depth -= 1,
            _ => {}
        }
    }
}

/// Reads an item from its keyword through the brace that opens its body, and returns its name.
/// Stops before what shows that there is no body, and returns `None`.
fn header(tokens: &mut Peekable<Tokens<'_>>, is_impl: bool) -> Option<String> {
    let mut name = String::new();
    let mut of_trait = String::new();
    let mut naming = true;
    let (mut depth, mut angles) = (0_usize, 0_usize);
    let mut previous = Token::Punct(b' ');
    loop {
        let (token, _) = *tokens.peek()?;
        match token {
            // `Type<{ N + 1 }>` has a brace too.
            Token::Punct(b'{')
                if depth == 0
                    && !(angles > 0 && matches!(previous, Token::Punct(b'<' | b',' | b'='))) =>
            {
                tokens.next();
                // The type may have no path, like a tuple.
                return Some(if name.is_empty() { of_trait } else { name });
            }
            Token::Punct(b'(' | b'[' | b'{') => depth += 1,
            Token::Punct(b')' | b']' | b'}' | b';') if depth == 0 => return None,
            Token::Punct(b')' | b']' | b'}') => depth -= 1,
            _ if depth > 0 => {}
            Token::Punct(b'<') => angles += 1,
            Token::Punct(b'>') => angles = angles.saturating_sub(1),
            _ if angles > 0 || !naming => {}
            Token::Word("for") if is_impl => of_trait = mem::take(&mut name),
            Token::Word("where") | Token::Arrow => naming = false,
            Token::Word("const" | "dyn" | "fn" | "mut" | "unsafe") | Token::Colons => {}
            Token::Word(word) if name.is_empty() || previous == Token::Colons => {
                if !name.is_empty() {
                    name.push_str("::");
                }
                // Symbols have the bare name.
                name.push_str(word.strip_prefix("r#").unwrap_or(word));
            }
            // `&` comes before the path, `+` or `:` after it.
            _ => naming = name.is_empty(),
        }
        previous = token;
        tokens.next();
    }
}
