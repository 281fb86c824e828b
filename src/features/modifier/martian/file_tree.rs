//! `FileTree`: the files that a `static.Modifier` serves, all of them below one folder.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder, and paths that stand for other ones.
#[derive(Debug)]
pub struct FileTree {
    root: PathBuf,
    explicit: HashMap<String, String>,
}

/// Content types by the file's ending, as Go knows them without the system's lists; and plain text.
const TYPES: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("xml", "text/xml; charset=utf-8"),
];

// === impl FileTree ===

impl FileTree {
    pub fn new(root: &str, explicit: HashMap<String, String>) -> FileTree {
        let root = if root.is_empty() { "." } else { root };
        FileTree { root: PathBuf::from(root), explicit }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file for a decoded path of a URL. However many `..` it has, it stays below the folder.
    pub fn file(&self, path: &[u8]) -> PathBuf {
        let clean = cleaned(path);
        let explicit = std::str::from_utf8(&clean).ok().and_then(|path| self.explicit.get(path));
        let below = explicit.map_or(clean, |explicit| cleaned(explicit.as_bytes()));
        let below = below.strip_prefix(b"/").unwrap_or(&below);
        self.root.join(std::ffi::OsStr::from_bytes(below))
    }
}

/// Without empty parts, `.` and `..`, from the root on (Go's `filepath.Clean` of what begins with `/`).
fn cleaned(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut clean = b"/".to_vec();
    clean.extend_from_slice(&parts.join(&b'/'));
    clean
}

/// Empty where the ending says nothing, as the original sends it.
pub fn content_type(file: &Path) -> &'static str {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let known = TYPES.iter().find(|(known, _)| Some(*known) == ending.as_deref());
    known.map_or("", |(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_folder() {
        let explicit = HashMap::from([("/a".to_owned(), "b/../../c.json".to_owned())]);
        let tree = FileTree::new("./assets", explicit);
        let file = |path: &str| tree.file(path.as_bytes()).to_string_lossy().into_owned();
        assert_eq!(file("/page/x.json"), "./assets/page/x.json");
        assert_eq!(file("/../../etc/passwd"), "./assets/etc/passwd");
        assert_eq!(file("../x/.//y/"), "./assets/x/y");
        assert_eq!(file("/a"), "./assets/c.json");
        assert_eq!(file("/./a/"), "./assets/c.json");
        assert_eq!(file(""), "./assets/");
    }

    #[test]
    fn the_ending_tells_the_type() {
        assert_eq!(content_type(Path::new("a/b.JSON")), "application/json");
        assert_eq!(content_type(Path::new("a.b/c")), "");
    }
}
