//! Split debug info: the executable has only a skeleton of each unit, and the entries of the units are in other files.
//! These are `.dwo` files, one for each unit (`split-debuginfo = "unpacked"`), or a package of all units, a `.dwp` file
//! (`"packed"`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::DwoId;

use super::Slice;
use super::file::DebugFile;
use super::unit::{Dwarf, Unit, UnitSource};
use crate::error::Error;

/// The files with the entries of split units.
pub(crate) struct SplitFiles {
    package: Option<DebugFile>,
    objects: HashMap<DwoId, DebugFile>,
}

impl SplitFiles {
    /// Opens the files with the entries of the skeletons in `info`. `name` is the path of the program, and `named` is a
    /// file that the user has named.
    pub(crate) fn open(info: &DebugFile, name: &Path, named: Option<&Path>) -> Result<Self, Error> {
        let mut files = Self {
            package: None,
            objects: HashMap::new(),
        };
        let dwarf = Arc::new(info.dwarf());
        let skeletons: Vec<Skeleton> = sources(&dwarf, 0, info)?
            .iter()
            .filter_map(|source| Skeleton::new(&source.read()?))
            .collect();
        if skeletons.is_empty() {
            return Ok(files);
        }
        let mut programs = vec![name.to_owned(), info.path().to_owned()];
        // A link to the program may be elsewhere, and have another name.
        programs.extend(name.canonicalize());
        programs.dedup();
        let beside = programs.iter().map(|path| {
            let mut path = path.as_os_str().to_owned();
            path.push(".dwp");
            PathBuf::from(path)
        });
        files.package = named
            .map(Path::to_owned)
            .into_iter()
            .chain(beside)
            .filter_map(|path| DebugFile::open_split(&path).ok())
            .find(DebugFile::is_package);
        let package = files.package.as_ref().and_then(DebugFile::package);
        let is_packed = |id: DwoId| {
            let package = package.as_ref();
            package.is_some_and(|package| package.cu_index.find(id.0).is_some())
        };
        let directories: Vec<&Path> = programs.iter().filter_map(|path| path.parent()).collect();
        for skeleton in skeletons {
            if is_packed(skeleton.id) {
                continue;
            }
            let paths = skeleton.candidates(&directories);
            let opened = paths
                .iter()
                .find_map(|path| DebugFile::open_split(path).ok());
            files.objects.extend(opened.map(|file| (skeleton.id, file)));
        }
        Ok(files)
    }

    /// Returns all units of a program, with split units in place of their skeletons. A skeleton stays if its split unit
    /// was not found.
    pub(super) fn units<'d>(&'d self, info: &'d DebugFile) -> Result<Vec<UnitSource<'d>>, Error> {
        let dwarf = Arc::new(info.dwarf());
        let package = self.package.as_ref().and_then(DebugFile::package);
        let sources = sources(&dwarf, 0, info)?;
        if self.package.is_none() && self.objects.is_empty() {
            return Ok(sources);
        }
        let mut units = Vec::with_capacity(sources.len());
        // The ids of the entries in each split file follow the ids of all files before it.
        let mut file_start = sources.last().map_or(0, UnitSource::end);
        for source in sources {
            let split = || {
                let unit = source.read()?;
                let id = Skeleton::new(&unit)?.id;
                let packed = package.as_ref();
                let packed = packed.and_then(|package| package.find_cu(id, &dwarf).ok()?);
                let split = packed.or_else(|| {
                    let mut split = self.objects.get(&id)?.dwarf();
                    split.make_dwo(&dwarf);
                    Some(split)
                })?;
                find(split, id, file_start, unit)
            };
            match split() {
                Some(split) => {
                    file_start = split.end();
                    units.push(split);
                }
                None => units.push(source),
            }
        }
        Ok(units)
    }
}

/// Returns the units of a file.
fn sources<'d>(
    dwarf: &Arc<Dwarf<'d>>,
    file_start: usize,
    file: &DebugFile,
) -> Result<Vec<UnitSource<'d>>, Error> {
    let mut units = Vec::new();
    let mut headers = dwarf.units();
    let damaged = |error: gimli::Error| Error::Dwarf {
        path: file.path().to_owned(),
        reason: error.to_string(),
    };
    while let Some(header) = headers.next().map_err(damaged)? {
        units.push(UnitSource {
            dwarf: Arc::clone(dwarf),
            header,
            file_start,
            skeleton: None,
        });
    }
    Ok(units)
}

/// Returns the unit with this id.
fn find<'d>(
    dwarf: Dwarf<'d>,
    id: DwoId,
    file_start: usize,
    skeleton: Unit<'d>,
) -> Option<UnitSource<'d>> {
    let dwarf = Arc::new(dwarf);
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().ok()? {
        if dwarf.unit(header).ok()?.dwo_id == Some(id) {
            return Some(UnitSource {
                dwarf: Arc::clone(&dwarf),
                header,
                file_start,
                skeleton: Some(Box::new(skeleton)),
            });
        }
    }
    None
}

/// A unit in the executable that names the file with its entries.
struct Skeleton {
    id: DwoId,
    /// The path of the file, relative to the directory in which the compiler ran.
    path: PathBuf,
    compiled_in: Option<PathBuf>,
}

impl Skeleton {
    /// Returns `None` for a unit that has its entries itself.
    fn new(unit: &Unit<'_>) -> Option<Self> {
        let path = |text: Slice<'_>| PathBuf::from(&*text.to_string_lossy());
        let name = unit.dwo_name().ok()??;
        let root = unit.entry(unit.header.root_offset()).ok()?;
        // A split unit names its own file too, but it has entries, and a skeleton has none.
        (!root.has_children()).then_some(())?;
        Some(Self {
            id: unit.dwo_id?,
            path: path(unit.attribute_text(name)?),
            compiled_in: unit.comp_dir.map(path),
        })
    }

    /// Returns the paths at which the file may be: where the compiler wrote it, and at two places in each of
    /// `directories`, one of which the program is in, if both were moved together.
    fn candidates(&self, directories: &[&Path]) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        paths.push(match &self.compiled_in {
            Some(compiled_in) => compiled_in.join(&self.path),
            None => self.path.clone(),
        });
        if let Some(name) = self.path.file_name() {
            for directory in directories {
                paths.push(directory.join(name));
                paths.push(directory.join("deps").join(name));
            }
        }
        paths
    }
}
