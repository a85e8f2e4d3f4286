//! ELF files and their sections.

use std::ops::Range;
use std::path::{Path, PathBuf};

use gimli::{LittleEndian, SectionId};
use memmap2::Mmap;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};

use super::Slice;
use super::unwind::UnwindTables;
use crate::error::Error;
use crate::mapped_file;

/// The largest section that is decompressed.
const LARGEST: u64 = 8 << 30;

/// The largest ratio of compression that is believed.
const RATIO: u64 = 1100;

/// An ELF file: an executable, or a file with the debug info of one.
pub(crate) struct DebugFile {
    path: PathBuf,
    map: Mmap,
    debug: Vec<(SectionId, Data)>,
    /// The parts of the file that are loaded: their addresses before they are moved, and their places in the file.
    loads: Vec<(u64, Range<usize>)>,
    /// Sections that hold constants: address and length.
    constants: Vec<(u64, u64)>,
    /// The addresses and sizes of the parts that are loaded.
    addresses: Vec<(u64, u64)>,
    entry: u64,
    /// The lowest address.
    start: u64,
    build_id: Option<Vec<u8>>,
    link: Option<String>,
    has_symbols: bool,
}

enum Data {
    InFile(Range<usize>),
    Decompressed(Vec<u8>),
}

impl DebugFile {
    /// Opens and maps an ELF file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, |id| Some(id.name()))
    }

    /// Opens and maps a file with split debug info.
    pub(super) fn open_split(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, SectionId::dwo_name)
    }

    /// Opens and maps an ELF file. `name` returns the names of its sections with debug info.
    fn open_with(path: &Path, name: Names) -> Result<Self, Error> {
        let map = mapped_file::map(path)?;
        Self::parse(path, map, name).map_err(|reason| Error::Elf {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(path: &Path, map: Mmap, name: Names) -> Result<Self, String> {
        let file = object::File::parse(&*map).map_err(|error| error.to_string())?;
        if file.architecture() != object::Architecture::X86_64 || !file.is_little_endian() {
            return Err("it is of another processor".to_owned());
        }
        let range = |(offset, length): (u64, u64)| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= map.len()).then_some(start..end)
        };
        let mut debug = Vec::new();
        for id in SECTIONS {
            let section = name(*id).and_then(|name| file.section_by_name(name));
            let Some(section) = section else {
                continue;
            };
            let compressed = section
                .compressed_file_range()
                .map_err(|error| error.to_string())?;
            let data = match compressed.format {
                object::CompressionFormat::None => {
                    let Some(range) = section.file_range().and_then(range) else {
                        continue;
                    };
                    Data::InFile(range)
                }
                _ if compressed.uncompressed_size > LARGEST
                    || compressed.uncompressed_size / RATIO > compressed.compressed_size =>
                {
                    return Err(format!("{} is too large", id.name()));
                }
                _ => {
                    let data = section
                        .uncompressed_data()
                        .map_err(|error| error.to_string())?;
                    Data::Decompressed(data.into_owned())
                }
            };
            debug.push((*id, data));
        }
        let mut loads: Vec<(u64, Range<usize>)> = file
            .segments()
            .filter_map(|segment| Some((segment.address(), range(segment.file_range())?)))
            .collect();
        loads.sort_by_key(|load| load.0);
        let start = file.segments().map(|segment| segment.address()).min();
        let constants = file.sections().filter(|section| {
            let name = section.name().unwrap_or_default();
            name.starts_with(".data.rel.ro") || name.starts_with(".rodata")
        });
        let link = match file.gnu_debuglink() {
            Ok(Some((name, _))) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        };
        Ok(Self {
            path: path.to_owned(),
            debug,
            loads,
            constants: constants
                .map(|section| (section.address(), section.size()))
                .filter(|section| section.1 <= map.len() as u64)
                .collect(),
            addresses: file
                .segments()
                .map(|segment| (segment.address(), segment.size()))
                .collect(),
            entry: file.entry(),
            start: start.unwrap_or_default() & !0xfff,
            build_id: file.build_id().ok().flatten().map(<[u8]>::to_vec),
            link,
            has_symbols: file.symbols().next().is_some(),
            map,
        })
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the sections with DWARF.
    pub(crate) fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        let load = |id| -> Result<_, std::convert::Infallible> { Ok(self.section(id)) };
        match gimli::Dwarf::load(load) {
            Ok(mut dwarf) => {
                dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
                dwarf
            }
            Err(error) => match error {},
        }
    }

    fn section(&self, id: SectionId) -> Slice<'_> {
        let data = self.debug.iter().find(|(it, _)| *it == id);
        let bytes = match data {
            Some((_, Data::InFile(range))) => self.map.get(range.clone()).unwrap_or_default(),
            Some((_, Data::Decompressed(bytes))) => bytes,
            None => &[],
        };
        Slice::new(bytes, LittleEndian)
    }

    /// Returns `true` if there is a section with entries of debug info.
    pub(crate) fn has_debug_info(&self) -> bool {
        !self.section(SectionId::DebugInfo).is_empty()
    }

    /// Returns `true` if this is a package of split debug info.
    pub(super) fn is_package(&self) -> bool {
        !self.section(SectionId::DebugCuIndex).is_empty()
    }

    /// Returns the package of split debug info, if its index can be read.
    pub(super) fn package(&self) -> Option<gimli::DwarfPackage<Slice<'_>>> {
        let load = |id| -> gimli::Result<_> { Ok(self.section(id)) };
        gimli::DwarfPackage::load(load, Slice::new(&[], LittleEndian)).ok()
    }

    /// Returns `true` if there is a table of symbols.
    pub(crate) fn has_symbols(&self) -> bool {
        self.has_symbols
    }

    /// Returns the functions in the table of symbols: their addresses, before the program is moved, and mangled names.
    /// They are ordered by address.
    pub(crate) fn functions(&self) -> Vec<(Range<u64>, &str)> {
        let Ok(file) = object::File::parse(&*self.map) else {
            return Vec::new();
        };
        let functions = file.symbols().filter_map(|symbol| {
            let end = symbol.address().checked_add(symbol.size())?;
            let name = symbol.name().ok()?;
            (symbol.kind() == SymbolKind::Text).then_some((symbol.address()..end, name))
        });
        let mut functions: Vec<_> = functions.collect();
        functions.sort_unstable_by_key(|(range, _)| (range.start, range.end));
        functions
    }

    /// Returns the unwind tables.
    pub(crate) fn unwind_tables(&self) -> Option<UnwindTables<'_>> {
        UnwindTables::new(self, &object::File::parse(&*self.map).ok()?)
    }

    /// Returns the address of a place in the file, before the program is moved.
    pub(crate) fn address_of(&self, place: u64) -> Option<u64> {
        let place = usize::try_from(place).ok()?;
        let mut loads = self.loads.iter();
        let (address, range) = loads.find(|(_, range)| range.contains(&place))?;
        address.checked_add((place - range.start) as u64)
    }

    /// Returns the bytes that are loaded to an address, before the program is moved.
    pub(crate) fn loaded(&self, address: u64, length: usize) -> Option<&[u8]> {
        let after = self.loads.partition_point(|load| load.0 <= address);
        let (start, range) = self.loads.get(after.checked_sub(1)?)?;
        let within = usize::try_from(address - start).ok()?;
        let from = range.start.checked_add(within)?;
        let to = from.checked_add(length)?;
        (to <= range.end).then(|| self.map.get(from..to))?
    }

    /// Returns the addresses and lengths of the sections that hold constants.
    pub(crate) fn constants(&self) -> &[(u64, u64)] {
        &self.constants
    }

    /// Returns the address of the first instruction, before the program is moved.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// Returns the lowest address, before the program is moved.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Returns the build id.
    pub(crate) fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// Returns the name of the separate file with debug info that `.gnu_debuglink` says.
    pub(crate) fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }

    /// Returns the bytes at the beginning of the file that are loaded, up to a length.
    pub(crate) fn first_bytes(&self, length: usize) -> &[u8] {
        let first = self.loads.first().map_or(0, |(_, range)| range.len());
        self.loaded(self.start, length.min(first))
            .unwrap_or_default()
    }

    /// Returns `false` if both files have build ids that differ. If one has none, addresses are compared: separate
    /// debug info keeps them.
    pub(crate) fn may_be_of(&self, other: &Self) -> bool {
        match (self.build_id(), other.build_id()) {
            (Some(one), Some(other)) => one == other,
            _ => (self.entry, &self.addresses) == (other.entry, &other.addresses),
        }
    }

    /// Returns `true` if the Rust compiler has made a part of the program.
    pub(crate) fn is_rust(&self) -> bool {
        let contains = |text: &[u8]| self.map.windows(text.len()).any(|it| it == text);
        // The first is in the section `.comment`. The standard library has the other, even in stripped programs.
        contains(b"rustc version ") || contains(b"RUST_BACKTRACE")
    }
}

/// A function that returns the name of a section, or `None` if files of this kind do not have the section.
type Names = fn(SectionId) -> Option<&'static str>;

const SECTIONS: &[SectionId] = &[
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTuIndex,
    SectionId::DebugTypes,
];
