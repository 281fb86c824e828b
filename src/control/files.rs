//! `FileWatch`: notices that files have been replaced since they were `Seen`.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::log::Log;

/// How often the files are looked at. One look is a system call a file.
const LOOK: Duration = Duration::from_secs(1);

/// Called with the log when files have changed and then stayed the same from one look to the next, so that a certificate
/// and its key that are written one after the other are read together.
pub type OnChange = Box<dyn FnMut(&Log) + Send>;

/// Looks at a few files about once a second.
pub struct FileWatch {
    name: String,
    /// As they were when they were read last.
    read: Seen,
    on_change: OnChange,
}

/// Files as they were at one moment: to be taken before they are read, so that no change in between is missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    paths: Vec<PathBuf>,
    marks: Vec<Mark>,
}

/// What changes when a file is written or replaced: inode, length, and the time of the last write in nanoseconds.
/// `None`: the file is not there.
type Mark = Option<(u64, u64, i64, i64)>;

impl FileWatch {
    /// `name` appears in the log.
    pub fn new(name: &str, read: Seen, on_change: OnChange) -> FileWatch {
        FileWatch { name: name.to_owned(), read, on_change }
    }
}

impl Seen {
    pub fn now(paths: Vec<PathBuf>) -> Seen {
        let mark = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        let marks = paths.iter().map(mark).collect();
        Seen { paths, marks }
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn again(&self) -> Seen {
        Seen::now(self.paths.clone())
    }
}

impl Task for FileWatch {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let mut last = self.read.clone();
            loop {
                sleep(LOOK).await;
                let now = self.read.again();
                if now != self.read && now == last {
                    self.read.clone_from(&now);
                    (self.on_change)(&env.log);
                }
                last = now;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_change_a_file_leaves_another_mark() {
        let folder = std::env::temp_dir().join(format!("file-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.pem");
        let look = || Seen::now(vec![path.clone()]);
        let mut marks = vec![look()];
        std::fs::write(&path, "one").unwrap();
        marks.push(look());
        std::fs::write(&path, "longer").unwrap();
        marks.push(look());
        std::fs::write(folder.join("b.pem"), "longer").unwrap();
        std::fs::rename(folder.join("b.pem"), &path).unwrap();
        marks.push(look());
        for pair in marks.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        assert_eq!(look(), marks[3]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
