//! `FileWatch`: notices that files have been replaced.

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
    paths: Vec<PathBuf>,
    /// As they were when they were read last.
    read: Vec<Mark>,
    on_change: OnChange,
}

/// What changes when a file is written or replaced: inode, length, and the time of the last write in nanoseconds.
/// `None`: the file is not there.
type Mark = Option<(u64, u64, i64, i64)>;

impl FileWatch {
    /// `name` appears in the log.
    pub fn new(name: &str, paths: Vec<PathBuf>, on_change: OnChange) -> FileWatch {
        let mut watch = FileWatch { name: name.to_owned(), paths, read: Vec::new(), on_change };
        watch.read = watch.look();
        watch
    }

    fn look(&self) -> Vec<Mark> {
        let mark = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        self.paths.iter().map(mark).collect()
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
                let now = self.look();
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
        let watch = FileWatch::new("test", vec![path.clone()], Box::new(|_| {}));
        let mut marks = vec![watch.look()];
        std::fs::write(&path, "one").unwrap();
        marks.push(watch.look());
        std::fs::write(&path, "longer").unwrap();
        marks.push(watch.look());
        std::fs::write(folder.join("b.pem"), "longer").unwrap();
        std::fs::rename(folder.join("b.pem"), &path).unwrap();
        marks.push(watch.look());
        for pair in marks.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        assert_eq!(watch.look(), marks[3]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
