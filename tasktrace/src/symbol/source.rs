//! Finds the names of functions in their source files.
//!
//! With `debug = "line-tables-only"`, an async function that was inlined is called `{async_fn#0}`. Its file and line
//! are right, but the binary does not have its name. If the source file exists, [`function_at`] finds the function
//! around the line.
//!
//! Builds with full debug information do not need this. While this module found nothing, the tests of traces passed in
//! the profile `dev`, and the example `taskdump` printed the same in `release`. With line tables only, all inlined
//! async functions were then called `{async fn}`, and their frames were no longer merged with the functions that return
//! them.
//!
//! The name consists of the file's path in its package and of the items around the line. It reads like the symbol
//! without generics. The file alone does not determine it, so some assumptions are made:
//!
//! - a type is in the module of its `impl`, unless the `impl` spells out another path;
//! - a module is the file of its name: `#[path]` and `include!` are not followed;
//! - a file that several crates in `tests` (or `examples`, …) share is named after its own folder;
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
use crate::sync::LockedMap;

/// The largest size of a file that is read. Files that are written by hand are smaller.
const MAX_BYTES: u64 = 2 << 20;

/// The number of files that are kept. Names are cached by address elsewhere, so reading a file again is rare.
const MAX_FILES: usize = 64;

/// The files that were read. `None` stands for a file that cannot be read, or that is in no package.
static FILES: LockedMap<PathBuf, Option<Arc<SourceFile>>> = LockedMap::new();

/// Returns the path of the function whose body contains `line` of `file`, such as `krate::module::Type::method`. A
/// closure or an async block belongs to the function around it.
///
/// This reads the file, so it must not run on a thread of an executor. A relative path is not searched for, because it
/// is relative to the directory of the compiler and not to the current directory.
///
/// # Errors
///
/// Returns an error if the file could not be read because a resource has run out that may be available later, such as
/// file descriptors.
pub(crate) fn function_at(file: &Path, line: u32) -> io::Result<Option<String>> {
    if !file.has_root() {
        return Ok(None);
    }
    let contents = cached_or_read(file, SourceFile::read)?;
    Ok(contents.and_then(|contents| contents.function_at(line)))
}

/// Returns a file from the cache. If it is missing there, calls `read` and caches the result, even if that is `None`.
fn cached_or_read(
    file: &Path,
    read: impl FnOnce(&Path) -> io::Result<Option<SourceFile>>,
) -> io::Result<Option<Arc<SourceFile>>> {
    if let Some(known) = FILES.get(file) {
        return Ok(known);
    }
    let contents = match read(file) {
        Err(error) if os::program::is_temporary(&error) => return Err(error),
        contents => contents.ok().flatten().map(Arc::new),
    };
    // If another thread has cached the same file, there is nothing to do.
    let _ = FILES.insert_bounded(MAX_FILES, file.to_owned(), contents.clone());
    Ok(contents)
}

fn read(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    // Opening a file that is not regular might block.
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::read_to_string(file)
}

/// The module and the items of a source file.
struct SourceFile {
    /// The crate and the modules down to this file.
    module: Vec<String>,
    items: Vec<SourceItem>,
}

impl SourceFile {
    fn read(file: &Path) -> io::Result<Option<Self>> {
        let Some(module) = package::module_of(file)? else {
            return Ok(None);
        };
        let items = scan(&read(file)?);
        Ok(Some(Self { module, items }))
    }

    fn function_at(&self, line: u32) -> Option<String> {
        // The last function to begin is the innermost.
        let found = self
            .items
            .iter()
            .rfind(|item| item.is_function && item.lines.contains(&line));
        let mut names = Vec::new();
        let mut item = Some(found?);
        while let Some(SourceItem { name, parent, .. }) = item {
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

/// An item whose body may contain functions.
#[derive(Debug)]
struct SourceItem {
    /// The name of the item, or for an `impl` the path of the type, as written there.
    name: String,
    /// The position of the item around it.
    parent: Option<usize>,
    /// The lines from the first attribute to the last brace. Code that an attribute generates may have the line of the
    /// attribute.
    lines: RangeInclusive<u32>,
    is_function: bool,
}

/// Returns the modules, traits, `impl`s and functions with a body, in the order in which they begin.
///
/// The scan follows braces and a few keywords. Everything else, including attributes and macro calls, is a sequence of
/// tokens, so items in macros such as `cfg_rt! { … }` are found. The scan does not recurse, takes linear time, and also
/// finds items in a source that does not compile.
fn scan(source: &str) -> Vec<SourceItem> {
    let mut tokens = Tokens::of(source).peekable();
    let mut items: Vec<SourceItem> = Vec::new();
    // For each open brace, the item whose body it opens, if any.
    let mut braces: Vec<Option<usize>> = Vec::new();
    let mut parent = None;
    // The line of the first token behind the last brace or semicolon, which is the first line of an item.
    let mut began = None;
    while let Some((token, line)) = tokens.next() {
        let first = *began.get_or_insert(line);
        match token {
            Token::Word("macro_rules") => skip_macro_rules(&mut tokens),
            Token::Word(keyword @ ("fn" | "impl" | "mod" | "trait")) => {
                // `fn(u8)` is a type. After `impl`, any token may follow.
                let is_item =
                    keyword == "impl" || matches!(tokens.peek(), Some((Token::Word(_), _)));
                if is_item && let Some(name) = header(&mut tokens, keyword == "impl") {
                    braces.push(Some(items.len()));
                    items.push(SourceItem {
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

/// Skips the rules of `macro_rules!`, because the functions in them get their names where the macro is called.
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

/// Reads an item from its keyword through the brace that opens its body, and returns its name. Returns `None` if a
/// token shows that there is no body, and stops before that token.
fn header(tokens: &mut Peekable<Tokens<'_>>, is_impl: bool) -> Option<String> {
    let mut name = String::new();
    let mut of_trait = String::new();
    let mut naming = true;
    let (mut depth, mut angles) = (0_usize, 0_usize);
    let mut previous = Token::Punct(b' ');
    loop {
        let (token, _) = *tokens.peek()?;
        match token {
            // A brace within `Type<{ N + 1 }>` does not open the body.
            Token::Punct(b'{')
                if depth == 0
                    && !(angles > 0 && matches!(previous, Token::Punct(b'<' | b',' | b'='))) =>
            {
                tokens.next();
                // The type may have no path, such as a tuple.
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
                // Symbols do not have the `r#` of raw identifiers.
                name.push_str(word.strip_prefix("r#").unwrap_or(word));
            }
            // A `&` precedes the path. A `+` or `:` ends it.
            _ => naming = name.is_empty(),
        }
        previous = token;
        tokens.next();
    }
}
