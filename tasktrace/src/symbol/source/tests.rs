use super::*;

/// A source with all kinds of items. A line with a comment `// name` is in the function `krate::module::name`.
const SAMPLE: &str = r####"//! fn in_docs() {
use std::fmt; // -
/* fn in_a_comment() { /* nested " */ ' */
const TEXT: &str = "fn in_text() { \" \
    fn in_text_still() {"; // -
const RAW: &[u8] = br##"fn in_raw_text() { "# "##; // -
const QUOTES: [char; 4] = ['"', '\'', '{', 'é']; // -
static C: &std::ffi::CStr = c"{";
type Callback = fn(u8) -> u8; // -

async fn plain() {
    let wait = async { // plain
        fmt(|| { "}" }).await; // plain
    };
    wait.await // plain
}

#[instrument(skip(self), fields(x = { 1 }))] // attributes
#[doc = "a { brace"]
pub(crate) async unsafe extern "C" fn attributes<'a, const N: usize>(
    array: [u8; { 1 + 2 }], // attributes
    wait: impl Future<Output = Option<&'a u8>> + 'a,
) -> Array<{ N }>
where
    for<'b> fn(&'b u8) -> u8: Fn(u8), // attributes
{
    'outer: loop { // attributes
        break 'outer;
    }
}

mod declared;

mod inner {
    pub(super) fn deep() { // inner::deep
        fn deeper() { // inner::deep::deeper
            call(b'{', b'\'', 1.0..2.0); // inner::deep::deeper
        }
        let r#fn = deeper; // inner::deep
    }

    impl super::Outside {
        fn new() {} // Outside::new
    }
    impl crate::model::Known { fn new() {} } // :model::Known::new
    impl self::model::Known { fn new() {} } // inner::model::Known::new
}

impl<T: Into<Vec<u8>>, const N: usize> Type<'_, T, { N + 1 }> // -
where
    T: Send,
{
    const X: usize = 1; // -
    async fn method(&self) {} // Type::method
    fn r#type() {} // Type::type
}

impl<F> fmt::Debug for &mut Type<F> where F: for<'a> Fn(&'a u8) -> u8 {
    fn fmt(&self) -> fmt::Result { // Type::fmt
        helper!("{", fn in_macro() { // Type::fmt::in_macro
        })
    }
}

unsafe impl<T> Trait for dyn other::Base<T> + Send { fn m() {} } // other::Base::m
impl Trait for (u8, [u8; 4]) { fn m() {} } // Trait::m
impl Trait for fn(u8) -> u8 { fn m() {} } // Trait::m
impl !Send for Type {}

pub trait Trait: Send + for<'a> Base<'a> where Self: 'static {
    fn required(&self) -> impl Future<Output = ()>; // -
    async fn provided(&self) { // Trait::provided
        let x: Result<(), Box<dyn Fn(u8) -> u8>> = Ok(()); // Trait::provided
    }
}

extern "C" { fn foreign(x: u8); } // -

macro_rules! define {
    ($name:ident) => { fn $name() { fn in_rules() { 1 } } }; // -
    (impl) => { impl X { fn y() { '{'; } } };
}

cfg_rt! {
    impl Type {
        fn in_cfg(&self) { tokio::select! { x = wait() => { x } } } // Type::in_cfg
    }
}

fn r#match<T>(x: T) -> bool where T: PartialOrd { 1 << 2 >= 3 } // match
fn naïve() {} // naïve
struct Last { field: fn(u8), impl_: u8 } // -
"####;

fn file(source: &str) -> SourceFile {
    SourceFile {
        module: vec!["krate".to_owned(), "module".to_owned()],
        items: scan(source),
    }
}

#[test]
fn functions_are_named_by_the_items_around_them() {
    let file = file(SAMPLE);
    let mut checked = 0;
    for (line, text) in (1..).zip(SAMPLE.lines()) {
        let Some((_, name)) = text.rsplit_once("// ") else {
            continue;
        };
        let expected = match name.strip_prefix(':') {
            _ if name == "-" => None,
            Some(in_crate) => Some(format!("krate::{in_crate}")),
            None => Some(format!("krate::module::{name}")),
        };
        assert_eq!(file.function_at(line), expected, "line {line}: {text}");
        checked += 1;
    }
    assert_eq!(checked, SAMPLE.matches("// ").count());
    for name in ["in_docs", "in_text", "in_rules", "in_a_comment", "foreign"] {
        assert!(
            file.items.iter().all(|item| !item.name.contains(name)),
            "{name}"
        );
    }
}

/// Git checks sources out with such line ends on Windows.
#[test]
fn carriage_returns_at_line_ends_change_no_name() {
    let (expected, seen) = (file(SAMPLE), file(&SAMPLE.replace('\n', "\r\n")));
    for line in 0..=u32::try_from(SAMPLE.lines().count()).unwrap() + 1 {
        assert_eq!(seen.function_at(line), expected.function_at(line), "{line}");
    }
}

/// Asserts the properties on which look-ups rely, for any source.
fn check(source: &str) {
    let file = file(source);
    let last = u32::try_from(source.lines().count()).unwrap() + 1;
    for (index, item) in file.items.iter().enumerate() {
        assert!(item.parent.is_none_or(|parent| parent < index));
        assert!(item.lines.start() <= item.lines.end());
    }
    for line in 0..=last {
        let found = file.function_at(line);
        assert!(found.is_none_or(|path| path.starts_with("krate")));
    }
}

#[test]
fn any_prefix_of_a_source_can_be_scanned() {
    for (end, _) in SAMPLE.char_indices() {
        check(&SAMPLE[..end]);
    }
}

#[test]
fn any_text_can_be_scanned() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    const BYTES: &[u8] = b"{}()[]<>\"'/*#!\\r\nb;:,=-&\xc3\xa9 fn";
    for _ in 0..2000 {
        let mut text = SAMPLE.as_bytes().to_vec();
        for _ in 0..=random(8) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = BYTES[random(BYTES.len())],
                1 => drop(text.remove(at)),
                _ => text.insert(at, BYTES[random(BYTES.len())]),
            }
        }
        check(&String::from_utf8_lossy(&text));

        let noise: Vec<u8> = (0..random(64)).map(|_| random(256) as u8).collect();
        check(&String::from_utf8_lossy(&noise));
    }
}

#[test]
fn deeply_nested_sources_can_be_scanned() {
    let depth = 100_000;
    let nested = "fn f() {\n".repeat(depth);
    let path = file(&nested)
        .function_at(u32::try_from(depth).unwrap())
        .unwrap();
    assert_eq!(path.matches("::f").count(), depth);

    for opening in ["{", "(", "impl<", "/*", "fn f(", "macro_rules! m {"] {
        assert_eq!(
            file(&opening.repeat(depth)).function_at(1),
            None,
            "{opening}"
        );
    }
}

#[test]
fn the_crate_and_the_module_follow_from_the_path_and_the_manifest() {
    let plain = "[package]\nname = \"my-app\"\n[dependencies]\nname = { path = \"x\" }\n";
    let named = "
        [lib]
        name = 'core_of_app' # as ever
        [ package ]
        name=\"my-app\"
        [[bin]]
        name = \"my-tool\"
        path = \"./src/main.rs\"
        [[example]]
        name = \"dump\"
        path = \"src/deep/dump_main.rs\"";
    let moved = "[package]\nname = \"my-app\"\n[lib]\npath = \"rust/lib/root.rs\"\n";
    let flat = "[package]\nname = \"my-app\"\n[lib]\npath = \"lib.rs\"\n";
    let (library, no_library) = (true, false);
    for (manifest, inside, has_library, expected) in [
        (plain, "src/lib.rs", library, "my_app"),
        (plain, "src/main.rs", library, "my_app"),
        (plain, "src/main.rs", no_library, "my_app"),
        (plain, "src/a.rs", library, "my_app::a"),
        (plain, "src/a/b.rs", no_library, "my_app::a::b"),
        (plain, "src/a/mod.rs", library, "my_app::a"),
        (plain, "src/a/main.rs", library, "my_app::a::main"),
        (plain, "src/bin/a-tool.rs", library, "a_tool"),
        (plain, "src/bin/tool/main.rs", library, "tool"),
        (plain, "src/bin/tool/part/mod.rs", library, "tool::part"),
        (plain, "examples/show.rs", library, "show"),
        (plain, "examples/show/main.rs", library, "show"),
        (plain, "examples/show/part.rs", library, "show::part"),
        (plain, "tests/it.rs", no_library, "it"),
        (plain, "tests/common/mod.rs", library, "common"),
        (plain, "benches/walk.rs", library, "walk"),
        (plain, "dump.rs", no_library, "dump"),
        (plain, "server/main.rs", library, "server"),
        (named, "src/lib.rs", library, "core_of_app"),
        (named, "src/a.rs", library, "core_of_app::a"),
        (named, "src/main.rs", library, "my_tool"),
        (named, "src/deep/dump_main.rs", library, "dump"),
        (moved, "rust/lib/root.rs", no_library, "my_app"),
        (moved, "rust/lib/a/b.rs", no_library, "my_app::a::b"),
        (moved, "src/a.rs", no_library, "my_app::a"),
        (flat, "a/mod.rs", no_library, "my_app::a"),
        (flat, "tests/it.rs", no_library, "it"),
    ] {
        let module = package::module_in(manifest, inside, has_library);
        assert_eq!(
            module.unwrap().join("::"),
            expected,
            "{inside} in {manifest}"
        );
    }

    let only_tool =
        "[package]\nname = \"my-app\"\n[[bin]]\nname = \"tool\"\npath = \"src/main.rs\"";
    assert_eq!(
        package::module_in(only_tool, "src/a.rs", no_library).unwrap(),
        ["tool", "a"]
    );
    assert_eq!(
        package::module_in(only_tool, "src/a.rs", library).unwrap(),
        ["my_app", "a"]
    );
    assert_eq!(
        package::module_in("[workspace]\nname = \"no\"", "src/lib.rs", library),
        None
    );
}

/// Returns the name of the function at a line, in a process that does not run out of descriptors.
fn function_at(file: &Path, line: u32) -> Option<String> {
    super::function_at(file, line).expect("there are descriptors")
}

/// Returns the path of this file.
fn this_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/symbol/source/tests.rs")
}

#[test]
fn a_function_finds_itself() {
    let here = || function_at(&this_file(), line!());
    let expected = format!("{}::a_function_finds_itself", module_path!());
    assert_eq!(here(), Some(expected.clone()));
    assert_eq!(here(), Some(expected), "the second time, from the cache");
    assert_eq!(function_at(&this_file(), 1), None);
    assert_eq!(function_at(&this_file(), u32::MAX), None);
}

#[test]
fn paths_that_are_no_sources_have_no_functions() {
    let dir = this_file().parent().unwrap().to_owned();
    assert_eq!(
        function_at(Path::new("src/lib.rs"), 1),
        None,
        "a relative path"
    );
    assert_eq!(function_at(&dir, 1), None, "a directory");
    assert_eq!(function_at(&dir.join("missing.rs"), 1), None);
    assert_eq!(
        function_at(&dir.join("../source/tests.rs"), line!()),
        None,
        "not a plain path"
    );
}

#[test]
fn large_binary_and_stray_files_have_no_functions() {
    let dir = std::env::temp_dir().join(format!("tasktrace-source-{}", std::process::id()));
    fs::create_dir_all(dir.join("package/src")).unwrap();
    let inside = |name: &str| dir.join("package/src").join(name);
    let long = "fn f() {}\n".repeat(MAX_BYTES as usize / 10 + 1);
    fs::write(dir.join("Cargo.toml"), "[workspace]").unwrap();
    fs::write(dir.join("stray.rs"), "fn f() {}").unwrap();
    fs::write(
        dir.join("package/Cargo.toml"),
        "[package]\nname = \"found\"",
    )
    .unwrap();
    fs::write(inside("lib.rs"), "fn f() {}").unwrap();
    fs::write(inside("long.rs"), long).unwrap();
    fs::write(inside("binary.rs"), b"fn f() {}\xff").unwrap();

    let found = function_at(&inside("lib.rs"), 1);
    let others = [dir.join("stray.rs"), inside("long.rs"), inside("binary.rs")];
    let others = others.map(|file| function_at(&file, 1));
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(found.as_deref(), Some("found::f"));
    assert_eq!(others, [None, None, None]);
}

#[test]
fn the_number_of_cached_files_is_bounded() {
    let dir = this_file().parent().unwrap().to_owned();
    for number in 0..2 * MAX_FILES {
        assert_eq!(
            function_at(&dir.join(format!("missing-{number}.rs")), 1),
            None
        );
        assert!(FILES.len() <= MAX_FILES);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_is_read_again_after_descriptors_ran_out() {
    let file = this_file().with_file_name("tokens.rs");
    let refused = cached_or_read(&file, |_| Err(io::Error::from_raw_os_error(libc::EMFILE)));
    assert!(refused.is_err());
    let line = 1 + include_str!("tokens.rs")
        .lines()
        .position(|line| line.contains("fn "))
        .expect("the file has functions");
    assert!(function_at(&file, u32::try_from(line).unwrap()).is_some());

    let gone = this_file().with_file_name("gone.rs");
    let not_found = || io::Error::from(io::ErrorKind::NotFound);
    assert!(cached_or_read(&gone, |_| Err(not_found())).is_ok_and(|file| file.is_none()));
    let known = cached_or_read(&gone, |_| panic!("it is cached"));
    assert!(known.is_ok_and(|file| file.is_none()));
}
