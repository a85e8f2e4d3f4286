//! Debug info: of which type the values in memory are.
//!
//! * [`file`]: ELF files and their sections. [`find`]: separate files with debug info. [`split`]: split debug info.
//! * [`index`]: one pass over all entries, for what is looked up by address.
//! * [`types`]: types, each read when it is first asked for. [`parse`]: how.
//! * [`body`]: variables of async functions. [`frame`]: variables on the stack.
//! * [`unwind`]: the callers of functions on the stack. [`prologue`]: the first instructions of functions.
//! * [`scope`]: the namespaces around a type. [`lines`]: names of source files. [`names`]: how functions are called.

mod body;
mod file;
mod find;
mod frame;
mod index;
mod lines;
mod names;
mod parse;
mod prologue;
mod scope;
mod split;
mod types;
mod unit;
mod unwind;

pub(crate) use self::body::Where;
pub(crate) use self::file::DebugFile;
pub(crate) use self::find::debug_file;
pub(crate) use self::index::{BlockOn, Poll};
pub(crate) use self::names::{is_runtime_crate, public_path};
pub(crate) use self::parse::{Kind, Member, Structure, Type, Variant, Variants};
pub(crate) use self::split::SplitFiles;
pub(crate) use self::types::Types;
pub(crate) use self::unwind::{Registers, UnwindTables};

/// The data of a section.
pub(crate) type Slice<'d> = gimli::EndianSlice<'d, gimli::LittleEndian>;

/// A type: where its entry is in `.debug_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TypeId(pub(crate) usize);
